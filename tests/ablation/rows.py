"""Rows as a grid writes them, with figures of our choosing."""

from __future__ import annotations

from mrharm.ablation.run import RunRow


def row(
    arm: str, size: int, seed: int, figure: float, *, truth: float | None = None, seconds: float = 10.0
) -> RunRow:
    figures = {"accuracy": figure, "macro_f1": figure, "auroc": figure, "n": 100}
    return RunRow(
        key=f"{arm}/{size}/{seed}",
        arm=arm,
        size=size,
        seed=seed,
        splits={"test": figures},
        truth=None if truth is None else {"all": truth},
        steps=100,
        seconds=seconds,
    )


def rows(arm: str, size: int, figures: list[float]) -> list[RunRow]:
    return [row(arm, size, seed, figure) for seed, figure in enumerate(figures)]
