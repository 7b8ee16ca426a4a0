"""Rules of the house that ruff does not hold: short functions, few parameters, no hidden loops."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import mrharm

ROOT = Path(mrharm.__file__).parent
MOST_LINES = 60
MOST_PARAMETERS = 6  # outside the command line, whose options are parameters
PUBLIC = ("import_memes", "train", "forward")  # public calls, and the one that transformers prescribes
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def nodes(*kinds: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Yield each node of these kinds with its place, as ``file:line``."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kinds):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for place, node in nodes(ast.FunctionDef, ast.AsyncFunctionDef):
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        yield f"{place} {node.name}", node


def has_condition(comprehension: ast.AST) -> bool:
    return any(generator.ifs for generator in comprehension.generators)  # type: ignore[attr-defined]


def test_no_function_is_longer_than_a_screen() -> None:
    long = [place for place, node in functions() if (node.end_lineno or 0) - node.lineno >= MOST_LINES]
    assert long == []


def test_no_function_takes_more_than_six_parameters() -> None:
    many = []
    for place, node in functions():
        names = [
            argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        ]
        if (
            len(set(names) - {"self", "cls"}) > MOST_PARAMETERS
            and not place.startswith("cli/")
            and node.name not in PUBLIC
        ):
            many.append(place)
    assert many == []


def test_no_comprehension_with_a_condition_is_nested() -> None:
    nested = []
    for place, node in nodes(*COMPREHENSIONS):
        inner = [child for child in ast.walk(node) if child is not node and isinstance(child, COMPREHENSIONS)]
        two_loops = len(node.generators) > 1 and has_condition(node)  # type: ignore[attr-defined]
        if two_loops or any(has_condition(child) for child in inner):
            nested.append(place)
    assert nested == []
