"""Captions by a local model of the BLIP or Florence-2 family, through transformers.

PyTorch and transformers are imported when the first picture is described, and only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mrharm.errors import DataError, InputError, MissingInputError
from mrharm.evidence.engines import Described
from mrharm.hub import load_or_explain, model_version, pick_device

_TOKENS, _BEAMS = 60, 3


@dataclass(frozen=True)
class Family:
    """A family of captioning models: its class in transformers, and the task word it wants with a picture."""

    model_class: str
    task: str | None = None


# By ``model_type`` of the configuration.
FAMILIES = {
    "blip": Family("BlipForConditionalGeneration"),
    "florence2": Family("Florence2ForConditionalGeneration", "<DETAILED_CAPTION>"),
}


class LocalCaptions:
    """A captioning model from a local folder or the hub (``MODEL`` or ``MODEL@REVISION``), in fp32, greedy beams.

    Raises:
        InputError: no model is named.
    """

    def __init__(self, model: str | None, *, batch_size: int = 8, device: str = "auto") -> None:
        if not model:
            raise InputError(
                "local captions want a model: hf:Salesforce/blip-image-captioning-base, or hf:FOLDER"
            )
        self._source, _, revision = (model, "", "") if Path(model).is_dir() else model.partition("@")
        self._revision = revision or None
        self.batch_size = batch_size
        self.version = f"hf:{model_version(self._source, revision)}/{_TOKENS}tokens-{_BEAMS}beams"
        self._device = device
        self._loaded: tuple[Any, Any, Family] | None = None

    def describe(self, pictures: Sequence[Described]) -> list[str | Exception]:
        """Return a caption for each picture, or why there is none.

        Raises:
            ModelUnavailableError: no such folder, and no hub in reach.
            InputError: a model of another family, or no such device.
            DataError: the weights are not whole.
        """
        self._load()
        results: list[str | Exception] = [
            MissingInputError(f"{picture.meme.id}: no picture to describe") for picture in pictures
        ]
        images = [
            (index, picture.image) for index, picture in enumerate(pictures) if picture.image is not None
        ]
        for start in range(0, len(images), self.batch_size):
            batch = images[start : start + self.batch_size]
            for (index, _), caption in zip(batch, self._describe([image for _, image in batch]), strict=True):
                results[index] = caption
        return results

    def _describe(self, images: list[Image.Image]) -> list[str | Exception]:
        try:
            return [_checked(text) for text in self._generate(images)]
        except Exception as error:  # whatever one picture, or too little memory, raises in a library
            if len(images) == 1:
                return [DataError(f"the captioner failed ({type(error).__name__}: {str(error)[:120]})")]
            return [caption for image in images for caption in self._describe([image])]

    def _generate(self, images: list[Image.Image]) -> list[str]:
        import torch

        model, processor, family = self._load()
        words = {"text": [family.task] * len(images)} if family.task else {}
        inputs = processor(images=images, return_tensors="pt", **words).to(model.device)
        with torch.inference_mode():
            tokens = model.generate(**inputs, max_new_tokens=_TOKENS, num_beams=_BEAMS, do_sample=False)
        texts: list[str] = processor.batch_decode(tokens, skip_special_tokens=True)
        return texts

    def _load(self) -> tuple[Any, Any, Family]:
        if self._loaded is None:
            import torch
            import transformers

            place = {"revision": self._revision} if self._revision else {}
            config = load_or_explain(
                self._source, lambda: transformers.AutoConfig.from_pretrained(self._source, **place)
            )
            family = FAMILIES.get(config.model_type)
            if family is None:
                raise InputError(
                    f"{self._source}: a {config.model_type} model; captions are made by: {', '.join(FAMILIES)}"
                )
            processor = load_or_explain(
                self._source, lambda: transformers.AutoProcessor.from_pretrained(self._source, **place)
            )
            kind = getattr(transformers, family.model_class)
            model, info = load_or_explain(
                self._source,
                lambda: kind.from_pretrained(
                    self._source, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **place
                ),
            )
            missing = sorted(info["missing_keys"])
            if missing:
                raise DataError(
                    f"{self._source}: {len(missing)} tensors are not there ({', '.join(missing[:3])} ...); expected "
                    f"the weights of a {family.model_class}"
                )
            self._loaded = (model.eval().to(pick_device(self._device)), processor, family)
        return self._loaded


def _checked(text: str) -> str | Exception:
    caption = " ".join(text.split())
    return caption or DataError("the captioner said nothing; expected a caption")
