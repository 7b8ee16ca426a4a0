"""Captions by a local model of the BLIP or Florence-2 family, through transformers.

PyTorch and transformers are imported when the first picture is described, and only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from PIL import Image

from mrharm.errors import DataError, InputError
from mrharm.evidence.engines import Described, describe_images
from mrharm.hub import load_or_explain, load_weights, model_version, pick_device, split_revision

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
        self._source, self._revision = split_revision(model)
        self.batch_size = batch_size
        self.version = f"hf:{model_version(self._source, self._revision)}/{_TOKENS}tokens-{_BEAMS}beams"
        self._device = device

    def describe(self, pictures: Sequence[Described]) -> list[str | Exception]:
        """Return a caption for each picture, or why there is none.

        Raises:
            ModelUnavailableError: no such folder, and no hub in reach.
            InputError: a model of another family, or no such device.
            DataError: the weights are not whole.
        """
        _ = self._loaded
        return describe_images(pictures, self._describe_batches)

    def _describe_batches(self, images: list[Image.Image]) -> list[str | Exception]:
        starts = range(0, len(images), self.batch_size)
        batches = (self._describe(images[start : start + self.batch_size]) for start in starts)
        return [caption for captions in batches for caption in captions]

    def _describe(self, images: list[Image.Image]) -> list[str | Exception]:
        try:
            captions = [" ".join(text.split()) for text in self._generate(images)]
        except Exception as error:  # whatever one picture, or too little memory, raises in a library
            if len(images) == 1:
                return [DataError(f"the captioner failed ({type(error).__name__}: {str(error)[:120]})")]
            return [caption for image in images for caption in self._describe([image])]
        empty = DataError("the captioner said nothing; expected a caption")
        return [caption or empty for caption in captions]

    def _generate(self, images: list[Image.Image]) -> list[str]:
        import torch

        model, processor, family = self._loaded
        words = {"text": [family.task] * len(images)} if family.task else {}
        inputs = processor(images=images, return_tensors="pt", **words).to(model.device)
        with torch.inference_mode():
            tokens = model.generate(**inputs, max_new_tokens=_TOKENS, num_beams=_BEAMS, do_sample=False)
        texts: list[str] = processor.batch_decode(tokens, skip_special_tokens=True)
        return texts

    @cached_property
    def _loaded(self) -> tuple[Any, Any, Family]:
        """Return the model, its processor and its family."""
        import torch
        import transformers

        source, place = self._source, {"trust_remote_code": False, "revision": self._revision or "main"}
        config = load_or_explain(source, lambda: transformers.AutoConfig.from_pretrained(source, **place))
        family = FAMILIES.get(config.model_type)
        if family is None:
            raise InputError(
                f"{source}: a {config.model_type} model; captions are made by: {', '.join(FAMILIES)}"
            )
        processor = load_or_explain(
            source, lambda: transformers.AutoProcessor.from_pretrained(source, **place)
        )
        kind = getattr(transformers, family.model_class)
        model = load_weights(source, kind, pick_device(self._device), dtype=torch.float32, **place)
        return model, processor, family
