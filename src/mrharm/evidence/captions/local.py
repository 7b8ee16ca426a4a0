"""Captions by a local model of the BLIP or Florence-2 family, through transformers.

PyTorch and transformers are imported when the first picture is described, and only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from PIL import Image

from mrharm.errors import DataError, InputError
from mrharm.evidence.captions import Described, describe_images
from mrharm.hub import load_or_explain, load_weights, model_version, pick_device, split_revision

_TOKENS, _BEAMS = 60, 3


# By ``model_type`` of the configuration: the class in transformers, and the task word it wants with a picture, if any.
FAMILIES = {
    "blip": ("BlipForConditionalGeneration", None),
    "florence2": ("Florence2ForConditionalGeneration", "<DETAILED_CAPTION>"),
}


class LocalCaptions:
    """A captioning model from a local folder or the hub (``MODEL`` or ``MODEL@REVISION``), in fp32, greedy beams.

    Raises:
        InputError: no model is named.
    """

    batch_size = 8

    def __init__(self, model: str | None) -> None:
        if not model:
            raise InputError(
                "local captions want a model: hf:Salesforce/blip-image-captioning-base, or hf:FOLDER"
            )
        self._source, self._revision = split_revision(model)
        self.version = f"hf:{model_version(self._source, self._revision)}/{_TOKENS}tokens-{_BEAMS}beams"

    def describe(self, pictures: Sequence[Described]) -> list[str | Exception]:
        """Return a caption for each picture, or why there is none.

        Raises:
            ModelUnavailableError: no such folder, and no hub in reach.
            InputError: a model of another family.
            DataError: the weights are not whole.
        """
        _ = self._loaded  # a model that is not here fails all pictures at once, not each by itself
        return describe_images(pictures, self._describe)

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

        model, processor, task = self._loaded
        words = {"text": [task] * len(images)} if task else {}
        inputs = processor(images=images, return_tensors="pt", **words).to(model.device)
        with torch.inference_mode():
            tokens = model.generate(**inputs, max_new_tokens=_TOKENS, num_beams=_BEAMS, do_sample=False)
        texts: list[str] = processor.batch_decode(tokens, skip_special_tokens=True)
        return texts

    @cached_property
    def _loaded(self) -> tuple[Any, Any, str | None]:
        """Return the model, its processor and its task word."""
        import torch
        import transformers

        source, place = self._source, {"trust_remote_code": False, "revision": self._revision or "main"}
        config = load_or_explain(source, lambda: transformers.AutoConfig.from_pretrained(source, **place))
        if config.model_type not in FAMILIES:
            raise InputError(
                f"{source}: a {config.model_type} model; captions are made by: {', '.join(FAMILIES)}"
            )
        class_name, task = FAMILIES[config.model_type]
        processor = load_or_explain(
            source, lambda: transformers.AutoProcessor.from_pretrained(source, **place)
        )
        kind = getattr(transformers, class_name)
        model = load_weights(source, kind, pick_device(), dtype=torch.float32, **place)
        return model, processor, task
