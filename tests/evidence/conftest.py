"""A stand-in for LaMa's network, in the layout of its ONNX exports."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def fill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX network with LaMa's inputs and output that fills the hole with grey."""
    onnx = pytest.importorskip("onnx", reason="the onnx package is not here (extra dev)")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    whole = ["image", "mask"]
    nodes = [
        helper.make_node("Sub", ["one", "mask"], ["kept"]),
        helper.make_node("Mul", ["image", "kept"], ["seen"]),
        helper.make_node("Mul", ["mask", "grey"], ["hole"]),
        helper.make_node("Add", ["seen", "hole"], ["output"]),
    ]
    shapes = {"image": [1, 3, "h", "w"], "mask": [1, 1, "h", "w"]}
    constants = [
        helper.make_tensor("one", floats, [1], [1.0]),
        helper.make_tensor("grey", floats, [1], [0.5]),
    ]
    graph = helper.make_graph(
        nodes,
        "fill",
        [helper.make_tensor_value_info(name, floats, shapes[name]) for name in whole],
        [helper.make_tensor_value_info("output", floats, [1, 3, "h", "w"])],
        constants,
    )
    path = tmp_path_factory.mktemp("lama") / "fill.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path
