"""Models by name: a local folder, or the hub and its cache. PyTorch is imported when a device is asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mrharm.errors import DataError, InputError, ModelUnavailableError, MrHarmError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_SLICES, _SLICE = 16, 65536  # of each file of weights, for the version
_READ = (".json", ".txt", ".jinja", ".model", ".safetensors")  # what decides an answer, in a model's folder


def load_or_explain(source: str, load: Callable[[], T], name_it: str = "hf:FOLDER") -> T:
    """What ``load`` makes of a model; whatever a library raises on the way is said with its mend.

    Args:
        source: the model's name or folder.
        load: reads it.
        name_it: how a local folder is named instead.

    Raises:
        ModelUnavailableError: no such folder, and no hub in reach; or a folder that is not whole.
        InputError: a package it wants is not installed.
        DataError: its files are broken, of another kind, or too large for the memory.
    """
    try:
        return load()
    except MrHarmError:
        raise
    except (OSError, ValueError) as error:
        if Path(source).is_dir():
            raise ModelUnavailableError(
                f"{source}: no whole model in this folder ({_first(error)}); expected config.json, tokenizer and "
                "safetensors as save_pretrained writes them"
            ) from None
        raise ModelUnavailableError(
            f"{source}: not found here and no hub in reach ({_first(error)}); name a local folder ({name_it}), or "
            "point HF_HOME at a cache that holds it"
        ) from None
    except ImportError as error:
        raise InputError(
            f"{source}: wants a package that is not installed ({_first(error)}); install it: most models that see want "
            "torchvision, in the build that matches torch; quantised ones want their own"
        ) from None
    except Exception as error:  # broken files, weights of other shapes, too little memory
        raise DataError(
            f"{source}: cannot be loaded ({type(error).__name__}: {_first(error)}); expected whole weights of the kind "
            "its config.json names, that fit the memory"
        ) from None


def model_version(source: str, revision: str = "") -> str:
    """A hub model by its revision; a folder by what is in it, because its name says nothing of that."""
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
    """``auto`` takes a CUDA device where there is one; anything else is a PyTorch device name.

    Raises:
        InputError: not a device, or one this machine does not have.
    """
    import torch

    if name == "auto":
        # Under torchrun every process has a device of its own.
        mine = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        return torch.device(mine if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name}: not to be had here ({str(error).splitlines()[0]})") from None
    return device


def _first(error: Exception) -> str:
    said = str(error).strip().splitlines()
    return said[0][:120] if said else type(error).__name__
