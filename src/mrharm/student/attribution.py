"""Integrated gradients of a decision with respect to words and patches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from mrharm.student.interface import Pixels

NODES = 8  # points at which each piece of the path is evaluated
PIECES = 4  # a row, that may still be cut
TOLERANCE = 0.05  # how far a piece's sum may miss the change of F over it, in F's unit


def integrated_gradients(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    baselines: Sequence[Tensor],
    *,
    halvings: int = 12,
) -> list[Tensor]:
    """Integrated gradients (Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017).

    ``IG_i = (x_i - x'_i) * integral over a in [0, 1] of dF/dx_i at x' + a (x - x')``, all inputs moving along one
    path; the sum over all i of a row is ``F(x) - F(x')`` (completeness), and so it is over each piece of the path. The
    integral is Gauss and Legendre's; a piece whose sum misses the change of F over it is cut in two: a trained
    student's decision may flip within a hundredth of the path, which evenly spread points miss or hit by luck.

    Args:
        function: F; takes the numbers of rows *Shape:* (some,), then as many tensors of those rows as there are inputs,
            and gives one number a row *Shape:* (some,) that depends on that row alone.
        inputs: x. *Shape of each:* (batch, ...)
        baselines: x', alike in shape.
        halvings: how often a piece is cut at most. Pieces are not cut further at that depth, nor where more than
            `PIECES` a row would have to be cut.

    Returns:
        One tensor an input, of its shape, in float32.
    """
    totals = [torch.zeros_like(tensor, dtype=torch.float32) for tensor in inputs]
    rows = torch.arange(len(inputs[0]), device=inputs[0].device)
    low, high = torch.zeros(len(rows), device=rows.device), torch.ones(len(rows), device=rows.device)
    for depth in range(halvings + 1):

        def interpolate(places: Tensor, rows: Tensor = rows) -> list[Tensor]:
            return [
                torch.lerp(start[rows], end[rows], _broadcast_rows(places, end).to(end.dtype)).detach()
                for start, end in zip(baselines, inputs, strict=True)
            ]

        pieces = _integrate(function, rows, interpolate, low, high)
        pieces = [
            (end[rows] - start[rows]).float() * piece
            for start, end, piece in zip(baselines, inputs, pieces, strict=True)
        ]
        with torch.no_grad():
            change = function(rows, *interpolate(high)) - function(rows, *interpolate(low))
        missed = (change - sum(piece.double().flatten(1).sum(1) for piece in pieces)).abs() > TOLERANCE
        # A steep place leaves a piece or two a row; many more are the noise of coarse numbers, which no cut mends.
        last = depth == halvings or 2 * int(missed.sum()) > PIECES * len(inputs[0])
        done = torch.ones_like(missed) if last else ~missed
        for total, piece in zip(totals, pieces, strict=True):
            total.index_add_(0, rows[done], piece[done])
        if done.all():
            break
        middle = (low[missed] + high[missed]) / 2
        low, high = torch.cat([low[missed], middle]), torch.cat([middle, high[missed]])
        rows = rows[missed].repeat(2)
    return totals


def _integrate(
    function: Callable[..., Tensor],
    rows: Tensor,
    interpolate: Callable[[Tensor], list[Tensor]],
    low: Tensor,
    high: Tensor,
) -> list[Tensor]:
    """Integrate the gradient of F from ``low`` to ``high`` of each row's path. *Shape of each:* (some, ...)"""
    sums: list[Tensor] = []
    for point, weight in zip(*np.polynomial.legendre.leggauss(NODES), strict=True):
        places = (low + high) / 2 + float(point) * (high - low) / 2
        between = [tensor.requires_grad_() for tensor in interpolate(places)]
        with torch.enable_grad():
            # A row's F depends on that row alone: the gradient of the sum holds each row's gradient.
            gradients = torch.autograd.grad(function(rows, *between).sum(), between)
        half = (high - low) / 2
        parts = [float(weight) * _broadcast_rows(half, gradient) * gradient.float() for gradient in gradients]
        sums = [total + part for total, part in zip(sums, parts, strict=True)] if sums else parts
    return sums


def _broadcast_rows(values: Tensor, tensor: Tensor) -> Tensor:
    """Reshape one number a row *Shape:* (rows,) to multiply with ``tensor`` *Shape:* (rows, ...)."""
    return values.view(-1, *[1] * (tensor.ndim - 1))


def log_odds(scores: Tensor, harmful: Sequence[bool]) -> Tensor:
    """log P(harmful) - log P(harmless) of answers' log-probabilities, each the sum over the answers that say so.

    *Shape:* (batch, answers) -> (batch,)
    """
    says = torch.tensor(harmful, device=scores.device)
    return scores[:, says].logsumexp(1) - scores[:, ~says].logsumexp(1)


def blank(pixels: Pixels) -> Pixels:
    """A picture of the same size, all in its mean colour. *Shape:* (side, side, 3)"""
    return np.broadcast_to(pixels.mean((0, 1)).round().astype(np.uint8), pixels.shape)
