"""Load models by name, from a local folder or the hub and its cache; choose device and precision.

PyTorch is imported inside the functions that need it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mrharm.errors import DataError, InputError, ModelUnavailableError, MrHarmError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?")  # of the hub: owner/name, and perhaps a revision
_SLICES, _SLICE = 16, 65536  # of each file of weights, for the version
_READ = (".json", ".txt", ".jinja", ".model", ".safetensors")  # what decides an answer, in a model's folder


def load_or_explain(source: str, load: Callable[[], T], name_it: str = "hf:FOLDER") -> T:
    """Return what ``load`` makes of a model; an error of a library becomes one that names its mend.

    ``name_it`` is how a local folder is named on the command line, for the message.

    Raises:
        ModelUnavailableError: no such folder, and the hub cannot be reached; or the folder is incomplete.
        InputError: a package it needs is not installed.
        DataError: its files are broken, of another kind, or too large for the memory.
    """
    try:
        return load()
    except MrHarmError:
        raise
    except (OSError, ValueError) as error:
        reason = _first_line(error)
        if Path(source).is_dir():
            raise ModelUnavailableError(
                f"{source}: no complete model in this folder ({reason}); expected config.json, tokenizer and "
                "safetensors as save_pretrained writes them"
            ) from None
        raise ModelUnavailableError(
            f"{source}: no such folder, and the hub cannot be reached ({reason}); name a local folder ({name_it}), or "
            "point HF_HOME at a cache that holds it"
        ) from None
    except ImportError as error:
        raise InputError(
            f"{source}: needs a package that is not installed ({_first_line(error)}); install it: most vision models "
            "need torchvision, in the build that matches torch; quantised models other packages"
        ) from None
    except Exception as error:  # broken files, weights of other shapes, too little memory
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise DataError(
            f"{source}: cannot be loaded ({reason}); expected complete weights of the kind its config.json names, "
            "that fit in memory"
        ) from None


def load_weights(
    source: str,
    kind: Any,
    device: torch.device,
    may_lack: tuple[str, ...] = (),
    name_it: str = "hf:FOLDER",
    /,
    **options: Any,
) -> Any:
    """Load a model of a transformers class from its safetensors, in evaluation mode on a device.

    ``may_lack``: parts of the names of tensors that may be missing: unused ones, and those that are yet to be trained.
    ``name_it``: as in `load_or_explain`.

    Raises:
        DataError: other tensors are missing, which would start at random; and what `load_or_explain` raises.
    """

    def load() -> tuple[Any, Any]:
        model, info = kind.from_pretrained(source, use_safetensors=True, output_loading_info=True, **options)
        return model.eval().to(device), info

    model, info = load_or_explain(source, load, name_it)
    if missing := sorted(name for name in info["missing_keys"] if not any(part in name for part in may_lack)):
        raise DataError(
            f"{source}: {len(missing)} tensors are not there ({', '.join(missing[:3])} ...); expected the weights of a "
            f"{type(model).__name__}"
        )
    return model


def split_revision(model: str) -> tuple[str, str]:
    """Split ``MODEL@REVISION`` into model and revision, which may be empty; a local folder has none."""
    source, _, revision = (model, "", "") if Path(model).is_dir() else model.partition("@")
    return source, revision


def fetch_folder(source: str | Path) -> Path:
    """Return a local folder; of a text ``owner/name`` or ``owner/name@revision``, the hub's files in its cache.

    What exists here wins, and so does a path into a folder that exists: the network is asked for nothing that looks
    local. Weights in safetensors, JSON and tokenizer files are fetched, no code and no pickle.

    Raises:
        ModelUnavailableError: no such folder, and the hub cannot be reached or has no such repository.
    """
    path = Path(source)
    is_local = isinstance(source, Path) or path.exists() or path.parent.exists()
    if is_local or not _REPOSITORY.fullmatch(str(source)):
        return path
    name, revision = split_revision(str(source))
    patterns = [f"*{suffix}" for suffix in _READ]

    def download() -> str:
        from huggingface_hub import snapshot_download

        return snapshot_download(name, revision=revision or None, allow_patterns=patterns)

    return Path(load_or_explain(str(source), download, "a run, or its detector/"))


def model_version(source: str, revision: str = "") -> str:
    """Return the version of a model: the revision of a hub model, or a hash of a folder's files."""
    folder = Path(source)
    if not folder.is_dir():
        return f"{source}@{revision or 'main'}"
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in _READ and path.is_file():
            size = path.stat().st_size
            digest.update(f"{path.name} {size}\n".encode())
            with path.open("rb") as file:
                # Training moves every weight: slices of a gigabyte tell two models apart, in milliseconds.
                for number in range(_SLICES):
                    file.seek(size * number // _SLICES)
                    digest.update(file.read(_SLICE))
    return f"{folder.resolve().name}@{digest.hexdigest()[:12]}"


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of a name: ``auto`` is CUDA where there is a GPU; anything else is a PyTorch device name.

    Raises:
        InputError: not a device, or one this machine does not have.
    """
    import torch

    if name == "auto":
        # Under torchrun every process has a different device.
        device_name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        return torch.device(device_name if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name}: not available here ({str(error).splitlines()[0]})") from None
    return device


def process_count() -> int:
    """Return how many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def bf16_pays(device: torch.device) -> bool:
    """Whether this device multiplies bfloat16 in hardware (Ampere and later; AVX512-BF16 or AMX)."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype to compute in: ``fp32``, ``bf16``, or ``auto`` for bfloat16 where the hardware multiplies it.

    Raises:
        InputError: not one of auto, fp32, bf16.
    """
    import torch

    if precision not in ("auto", "fp32", "bf16"):
        raise InputError(f"precision {precision!r}: expected auto, fp32 or bf16")
    if precision == "bf16" or (precision == "auto" and bf16_pays(device)):
        return torch.bfloat16
    return torch.float32


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:120] if lines else type(error).__name__
