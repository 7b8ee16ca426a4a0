"""Whether bfloat16 pays on a device."""

from __future__ import annotations

import torch

from mrharm.errors import InputError


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
