"""Turn texts and pictures into the tensors a student reads; saved with the weights, as data alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from mrharm.control_tokens import ControlTokens
from mrharm.errors import DataError
from mrharm.student.interface import Pixels, StudentInput, split_parts

FILE = "processor.json"


@dataclass(frozen=True)
class PictureSettings:
    """How a picture becomes pixels: a square of ``side`` pixels, then ``(x / 255 - mean) / std`` a channel."""

    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: str = "whole"


class MrHarmProcessor:
    """The tokenizer, the picture's settings and the text limit of one student."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, picture: PictureSettings | None, max_text_tokens: int = 512
    ) -> None:
        self.tokenizer = tokenizer
        self.picture = picture
        self.max_text_tokens = max_text_tokens
        self._controls = ControlTokens(tokenizer)
        bare, framed = self._controls.encode("a"), list(tokenizer("a").input_ids)
        start = next(at for at in range(len(framed)) if framed[at : at + len(bare)] == bare)
        self._begin, self._end = framed[:start], framed[start + len(bare) :]
        self._frame = len(framed) - len(bare)

    def fit(self, image: Image.Image) -> Pixels:
        """Fit an RGB picture to uint8 pixels. *Shape:* (side, side, 3)

        ``whole`` pads the shorter side, so that nothing is lost; ``crop`` keeps the middle square, as the official
        code does.
        """
        assert self.picture is not None  # a student that takes pictures
        side = (self.picture.side, self.picture.side)
        if self.picture.fit == "crop":
            square = ImageOps.fit(image, side, Image.Resampling.BICUBIC)
        else:
            paper = tuple(round(255 * mean) for mean in self.picture.mean)
            square = ImageOps.pad(image, side, Image.Resampling.BICUBIC, color=paper)
        return np.asarray(square, dtype=np.uint8)

    def normalise(self, pixels: Sequence[Pixels | None]) -> Tensor:
        """Normalise fitted pictures for the tower; None becomes zeros. *Shape:* (batch, 3, side, side)"""
        assert self.picture is not None  # as in `fit`
        side = self.picture.side
        batch = np.zeros((len(pixels), side, side, 3), dtype=np.float32)
        mean, std = (np.asarray(values, np.float32) for values in (self.picture.mean, self.picture.std))
        for row, picture in enumerate(pixels):
            if picture is not None:
                batch[row] = (picture.astype(np.float32) / 255 - mean) / std
        return torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous()

    def tokenize(self, text: str, limit: int | None = None) -> list[int]:
        """Tokenise a composed text, lower-cased: ids with the end token, at most ``limit`` (default: the text limit).

        A text that is too long loses the end of its longest part, then of both longest, and so on.
        """
        room = (limit or self.max_text_tokens) - self._frame
        ids = self._controls.encode(text.lower())
        if len(ids) > room:
            parts = [self._controls.encode(part) for part in split_parts(text.lower())]
            lengths = [len(part) for part in parts]
            while sum(lengths) > room:
                lengths[lengths.index(max(lengths))] -= 1
            ids = [number for part, length in zip(parts, lengths, strict=True) for number in part[:length]]
        return [*self._begin, *ids, *self._end]

    def tokenize_target(self, text: str, limit: int | None = None) -> list[int]:
        """Tokenise a target text: ids with the end token; cut to ``limit`` from the right, end token kept."""
        ids = self._controls.encode(text)
        return [*self._begin, *(ids if limit is None else ids[: limit - self._frame]), *self._end]

    def pad(self, rows: Sequence[Sequence[int]], value: int) -> Tensor:
        """Pad rows of ids on the right to the longest. *Shape:* (batch, longest)"""
        width = max(len(row) for row in rows)
        return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])

    def batch_text(self, rows: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """Join token rows into ``input_ids`` and ``attention_mask``. *Shapes:* (batch, longest)"""
        input_ids = self.pad(rows, self.tokenizer.pad_token_id)
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(input_ids.shape[1])[None] < lengths[:, None]).long()
        return {"input_ids": input_ids, "attention_mask": mask}

    def batch_pictures(self, inputs: Sequence[StudentInput]) -> dict[str, Tensor]:
        """Return the picture arguments of a batch; empty where the student takes none or no meme has one.

        *Shapes:* pixel_values (batch, 3, side, side) or image_features (batch, patches, d_image); image_mask (batch,)
        """
        features, pixels = [shown.features for shown in inputs], [shown.pixels for shown in inputs]
        has_features = [rows is not None for rows in features]
        has_pixels = [picture is not None for picture in pixels]
        if self.picture is None or not any(has_features + has_pixels):
            return {}
        if any(has_features):
            shape = next(rows.shape for rows in features if rows is not None)
            blank = np.zeros(shape, dtype=np.float32)
            stacked = np.stack([blank if rows is None else rows for rows in features])
            return {"image_features": torch.from_numpy(stacked), "image_mask": torch.tensor(has_features)}
        return {"pixel_values": self.normalise(pixels), "image_mask": torch.tensor(has_pixels)}

    def __call__(self, inputs: Sequence[StudentInput]) -> dict[str, Tensor]:
        """Turn a batch of inputs into the arguments of the model's ``forward`` and ``generate``."""
        return {
            **self.batch_text([self.tokenize(shown.text) for shown in inputs]),
            **self.batch_pictures(inputs),
        }

    def decode(self, ids: Tensor | Sequence[Sequence[int]]) -> list[str]:
        """Decode generated ids into texts. *Shape:* (batch, target), or rows of different lengths"""
        texts: list[str] = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the tokenizer's files and ``processor.json``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save_pretrained(folder)
        picture = asdict(self.picture) if self.picture else None
        values = {"picture": picture, "max_text_tokens": self.max_text_tokens}
        (folder / FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> MrHarmProcessor:
        """Read what `save_pretrained` wrote.

        Raises:
            DataError: ``processor.json`` is missing or broken.
        """
        path = Path(folder) / FILE
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            picture = values["picture"]
            if picture is not None:
                mean, std = tuple(picture["mean"]), tuple(picture["std"])
                picture = PictureSettings(picture["side"], mean, std, picture["fit"])
            limit = int(values["max_text_tokens"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not a processor ({error!r})") from None
        return cls(AutoTokenizer.from_pretrained(folder), picture, limit)
