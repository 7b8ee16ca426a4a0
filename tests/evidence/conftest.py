"""A stand-in for LaMa's network, in the layouts of its ONNX exports."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MakeLama = Callable[..., Path]


@pytest.fixture
def make_lama(tmp_path: Path) -> MakeLama:
    """An ONNX network that fills the hole with the mean of what it is shown around it, times ``levels``."""
    onnx = pytest.importorskip("onnx", reason="the onnx package is not here (extra dev)")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT

    def make(side: int | str = "side", levels: float = 1.0, mask_first: bool = False) -> Path:
        nodes = [
            helper.make_node("Sub", ["one", "mask"], ["known"]),
            helper.make_node("Mul", ["image", "known"], ["seen"]),
            helper.make_node("ReduceMean", ["seen", "axes"], ["total"]),
            helper.make_node("ReduceMean", ["known", "axes"], ["count"]),
            helper.make_node("Div", ["total", "count"], ["mean"]),
            helper.make_node("Mul", ["mask", "mean"], ["hole"]),
            helper.make_node("Add", ["seen", "hole"], ["share"]),
            helper.make_node("Mul", ["share", "levels"], ["output"]),
        ]
        other = f"{side}2" if isinstance(side, str) else side
        channels = {"image": 3, "mask": 1, "output": 3}
        image, mask, output = (
            helper.make_tensor_value_info(name, floats, ["batch", count, side, other])
            for name, count in channels.items()
        )
        inputs: list[Any] = [mask, image] if mask_first else [image, mask]
        constants = [
            helper.make_tensor("one", floats, [1], [1.0]),
            helper.make_tensor("levels", floats, [1], [levels]),
            helper.make_tensor("axes", onnx.TensorProto.INT64, [2], [2, 3]),
        ]
        graph = helper.make_graph(nodes, "mean", inputs, [output], constants)
        path = tmp_path / "mean.onnx"
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        path.write_bytes(model.SerializeToString())
        return path

    return make
