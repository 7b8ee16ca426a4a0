"""What this machine computes on, and whether bfloat16 pays on it."""

from __future__ import annotations

import os

import torch

from mrharm.errors import InputError


def pick_device(name: str = "auto") -> torch.device:
    """``auto`` takes a CUDA device where there is one; anything else is a PyTorch device name.

    Raises:
        InputError: not a device, or one this machine does not have.
    """
    if name == "auto":
        # Under torchrun every process has a device of its own.
        mine = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        return torch.device(mine if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: not to be had here ({str(error).splitlines()[0]})") from None
    return device


def bf16_pays(device: torch.device) -> bool:
    """Whether this device multiplies bfloat16 in hardware (Ampere and later; AVX512-BF16 or AMX)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """A recipe's ``precision`` -> the dtype to compute in on ``device``; ``auto`` takes bfloat16 where it pays.

    Raises:
        InputError: not one of auto, fp32, bf16.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise InputError(f"precision {precision!r}: expected auto, fp32 or bf16")
    if precision == "bf16" or (precision == "auto" and bf16_pays(device)):
        return torch.bfloat16
    return torch.float32
