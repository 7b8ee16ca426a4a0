"""What each word and patch did to a decision: integrated gradients, and the record of what they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrharm.records import Saliency
from mrharm.student.inputs import Pixels

NODES = 8
PIECES = 4


@dataclass(frozen=True)
class Attribution:
    """Signed parts of one decision: above 0 speaks for harmful, below 0 for harmless.

    The parts add up: ``odds = blank_odds + words + patches + rest`` (Sundararajan et al. 2017, completeness).

    ``odds``: log P(harmful) - log P(harmless), uncalibrated; ``blank_odds``: the same of the blank meme, whose words
    are unread and whose picture is of one colour. ``patches`` *Shape:* (rows, columns), or (0, 0) without a picture.
    ``rest``: what goes to image features that lie nowhere on the picture (a class token).
    """

    words: tuple[tuple[str, float], ...]
    patches: NDArray[np.float64]
    rest: float
    odds: float
    blank_odds: float

    def saliency(self) -> Saliency:
        """Absolute shares of words and of patches, each summing to 1: how much each mattered, not which way."""
        weights = _shares(np.array([weight for _, weight in self.words], dtype=np.float64))
        return Saliency(
            words=tuple(
                (word, weight) for (word, _), weight in zip(self.words, weights.tolist(), strict=True)
            ),
            patches=tuple(tuple(row) for row in _shares(self.patches).tolist()) if self.patches.size else (),
        )


def _shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Absolute values over their sum; alike where all are 0, for then none mattered more than another."""
    size = np.abs(values)
    return size / size.sum() if size.sum() > 0 else np.full_like(size, 1 / max(size.size, 1))


def integrated_gradients(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    baselines: Sequence[Tensor],
    *,
    tolerance: float = 0.05,
    halvings: int = 12,
) -> list[Tensor]:
    """Integrated gradients (Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017).

    ``IG_i = (x_i - x'_i) * integral over a in [0, 1] of dF/dx_i at x' + a (x - x')``, all inputs moving together; the
    sum over all i of a row is ``F(x) - F(x')`` (completeness), and so it is over each piece of the path. The integral
    is Gauss and Legendre's; a piece whose sum misses what F does over it is cut in two: a trained student changes its
    mind within a hundredth of the path, which evenly spread points miss or hit by luck.

    Args:
        function: F; takes the numbers of rows *Shape:* (some,), then as many tensors of those rows as there are inputs,
            and gives one number a row *Shape:* (some,), each of its own row alone.
        inputs: x. *Shape of each:* (batch, ...)
        baselines: x', alike in shape.
        tolerance: how far a piece's sum may miss, in F's unit.
        halvings: how often a piece is cut at most; the last ones stand as they are, and so do all where more than
            `PIECES` a row would have to be cut.

    Returns:
        One tensor an input, of its shape, in float32.
    """
    found = [torch.zeros_like(one, dtype=torch.float32) for one in inputs]
    rows = torch.arange(len(inputs[0]), device=inputs[0].device)
    low, high = torch.zeros(len(rows), device=rows.device), torch.ones(len(rows), device=rows.device)
    for depth in range(halvings + 1):

        def at(places: Tensor, rows: Tensor = rows) -> list[Tensor]:
            return [
                torch.lerp(start[rows], end[rows], _beside(places, end).to(end.dtype)).detach()
                for start, end in zip(baselines, inputs, strict=True)
            ]

        pieces = _along(function, rows, at, low, high)
        pieces = [
            (end[rows] - start[rows]).float() * piece
            for start, end, piece in zip(baselines, inputs, pieces, strict=True)
        ]
        with torch.no_grad():
            change = function(rows, *at(high)) - function(rows, *at(low))
        missed = (change - sum(piece.double().flatten(1).sum(1) for piece in pieces)).abs() > tolerance
        # A steep place leaves a piece or two a row; many more are the noise of coarse numbers, which no cut mends.
        last = depth == halvings or 2 * int(missed.sum()) > PIECES * len(inputs[0])
        done = torch.ones_like(missed) if last else ~missed
        for total, piece in zip(found, pieces, strict=True):
            total.index_add_(0, rows[done], piece[done])
        if done.all():
            break
        middle = (low[missed] + high[missed]) / 2
        low, high = torch.cat([low[missed], middle]), torch.cat([middle, high[missed]])
        rows = rows[missed].repeat(2)
    return found


def _along(
    function: Callable[..., Tensor],
    rows: Tensor,
    at: Callable[[Tensor], list[Tensor]],
    low: Tensor,
    high: Tensor,
) -> list[Tensor]:
    """The integral of F's gradient over each row's piece of the path. *Shape of each:* (some, ...)"""
    sums: list[Tensor] = []
    for point, weight in zip(*np.polynomial.legendre.leggauss(NODES), strict=True):
        between = [one.requires_grad_() for one in at((low + high) / 2 + float(point) * (high - low) / 2)]
        with torch.enable_grad():
            # Rows do not touch each other: the gradient of their sum is each row's own.
            gradients = torch.autograd.grad(function(rows, *between).sum(), between)
        parts = [float(weight) * _beside((high - low) / 2, one) * one.float() for one in gradients]
        sums = [total + part for total, part in zip(sums, parts, strict=True)] if sums else parts
    return sums


def _beside(values: Tensor, other: Tensor) -> Tensor:
    """One number a row, shaped to go with a tensor of rows."""
    return values.view(-1, *[1] * (other.ndim - 1))


def log_odds(scores: Tensor, harmful: Sequence[bool]) -> Tensor:
    """log P(harmful) - log P(harmless) of answers' log-probabilities, each the sum over the answers that say so.

    *Shape:* (batch, answers) -> (batch,)
    """
    says = torch.tensor(harmful, device=scores.device)
    return scores[:, says].logsumexp(1) - scores[:, ~says].logsumexp(1)


def blank(pixels: Pixels) -> Pixels:
    """A picture of the same size, all in its mean colour. *Shape:* (side, side, 3)"""
    return np.broadcast_to(pixels.mean((0, 1)).round().astype(np.uint8), pixels.shape)
