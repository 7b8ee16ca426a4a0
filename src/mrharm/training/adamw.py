"""AdamW as the official code steps: the one that transformers had before version 5."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer


class TransformersAdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter, ICLR 2019), in the order of transformers 4.

    Against `torch.optim.AdamW`, ``eps`` is added before the bias correction, which makes it up to 32 times as large in
    the first steps, and the decay follows the step.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step; ``closure`` is not used."""
        for group in self.param_groups:
            first, second = group["betas"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state |= {
                        "step": 0,
                        "exp_avg": torch.zeros_like(weight),
                        "exp_avg_sq": torch.zeros_like(weight),
                    }
                state["step"] += 1
                state["exp_avg"].lerp_(weight.grad, 1 - first)
                state["exp_avg_sq"].mul_(second).addcmul_(weight.grad, weight.grad, value=1 - second)
                correction = math.sqrt(1 - second ** state["step"]) / (1 - first ** state["step"])
                spread = state["exp_avg_sq"].sqrt().add_(group["eps"])
                weight.addcdiv_(state["exp_avg"], spread, value=-group["lr"] * correction)
                weight.mul_(1 - group["lr"] * group["weight_decay"])
