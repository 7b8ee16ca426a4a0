"""The seat a student takes: the few calls by which the rooms around it know it.

Another kind of student (a vision-language model with adapters, say) takes the same seat by answering these calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from mrharm.records import Saliency
from mrharm.student.fusion import patch_grid
from mrharm.student.inputs import Pixels, StudentInput
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor


class Student(Protocol):
    """What the Detector asks of a student; every call takes one batch."""

    @property
    def takes_picture(self) -> bool:
        """Whether a picture changes what this student says."""

    def fit(self, image: Image.Image) -> Pixels:
        """An RGB picture -> the pixels a `StudentInput` carries."""

    def text_tokens(self, text: str) -> int:
        """How many tokens a text takes: batches are made of alike lengths."""

    def score(self, inputs: Sequence[StudentInput], answers: Sequence[str]) -> NDArray[np.float64]:
        """Summed token log-probabilities of each answer, end token included. *Shape:* (batch, answers)"""

    def write(self, inputs: Sequence[StudentInput], max_new_tokens: int) -> list[str]:
        """What the student writes, greedily, one text an input."""

    def attend(self, inputs: Sequence[StudentInput]) -> list[Saliency]:
        """Where the student looks, one `Saliency` an input."""


class FusedStudent:
    """The Mr.Harm student in the seat: `MrHarmForConditionalGeneration` with its processor, on one device."""

    def __init__(
        self,
        model: MrHarmForConditionalGeneration,
        processor: MrHarmProcessor,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.model = model.to(device=device, dtype=dtype).eval()
        self.processor = processor
        self._device = torch.device(device)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> FusedStudent:
        """A folder with the model's and the processor's files -> the student in its seat."""
        model = MrHarmForConditionalGeneration.from_pretrained(folder, dtype=dtype)
        return cls(model, MrHarmProcessor.from_pretrained(folder), device, dtype)

    @property
    def takes_picture(self) -> bool:
        """Whether there is a fusion to see a picture through."""
        return self.processor.picture is not None and self.model.encoder.last_fusion is not None

    def fit(self, image: Image.Image) -> Pixels:
        """An RGB picture -> fitted pixels. *Shape:* (side, side, 3)"""
        return self.processor.fit(image)

    def text_tokens(self, text: str) -> int:
        """How many tokens a text takes, end token included."""
        return len(self.processor.tokenize(text))

    @torch.inference_mode()
    def score(self, inputs: Sequence[StudentInput], answers: Sequence[str]) -> NDArray[np.float64]:
        """Teacher-forces every answer over one shared encoding of each input. *Shape:* (batch, answers)"""
        arguments = self._arguments(inputs)
        states = self.model.encoder(**arguments).last_hidden_state
        rows = [self.processor.tokenize_target(answer) for answer in answers]
        labels = self.processor.pad(rows, -100).to(self._device)
        count = labels.shape[0]
        # (batch x answers): answer a of meme b stands in row b * answers + a.
        logits = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=states.repeat_interleave(count, 0)),
            attention_mask=arguments["attention_mask"].repeat_interleave(count, 0),
            decoder_input_ids=self.model._shift_right(labels).repeat(len(inputs), 1),
            use_cache=False,
        ).logits
        log_probs = logits.float().log_softmax(-1)
        tokens = labels.repeat(len(inputs), 1)
        picked = log_probs.gather(-1, tokens.clamp(min=0)[..., None])[..., 0].masked_fill(tokens < 0, 0.0)
        scores: NDArray[np.float64] = picked.double().sum(-1).view(len(inputs), count).cpu().numpy()
        return scores

    @torch.inference_mode()
    def write(self, inputs: Sequence[StudentInput], max_new_tokens: int) -> list[str]:
        """Greedy decoding, as the paper does."""
        ids = self.model.generate(
            **self._arguments(inputs), max_new_tokens=max_new_tokens, do_sample=False, num_beams=1
        )
        return self.processor.decode(ids)

    @torch.inference_mode()
    def attend(self, inputs: Sequence[StudentInput]) -> list[Saliency]:
        """The fusion's attention, averaged over modules: over patches (mean of all words) and over words.

        A word's weight is how far its attention over patches departs from looking nowhere in particular: the
        Kullback-Leibler divergence from the uniform distribution, normalised over the text.
        """
        arguments = self._arguments(inputs)
        if not self.takes_picture or "image_mask" not in arguments:
            return [Saliency() for _ in inputs]
        features = arguments.get("image_features")
        if features is None:
            features = self.model.encoder.see(arguments["pixel_values"])
        attention = self.model.fusion_attention(
            arguments["input_ids"], arguments["attention_mask"], features, arguments["image_mask"]
        )
        has_cls = self.model.config.vision_config is not None and hasattr(
            self.model.config.vision_config, "patch_size"
        )
        return [self._saliency(attention[row], arguments, row, has_cls) for row in range(len(inputs))]

    def _saliency(self, attention: Tensor, arguments: dict[str, Tensor], row: int, has_cls: bool) -> Saliency:
        if not arguments["image_mask"][row]:
            return Saliency()
        length = int(arguments["attention_mask"][row].sum()) - 1  # without the end token
        seen = attention[: max(length, 1), int(has_cls) :].double()
        seen = seen / seen.sum(-1, keepdim=True)
        rows, columns = patch_grid(attention.shape[-1], has_cls)
        grid = seen.mean(0).view(rows, columns)
        focus = (seen * (seen * seen.shape[-1]).clamp_min(1e-12).log()).sum(-1).clamp_min(1e-12)
        focus = focus / focus.sum()
        return Saliency(
            words=self._words(arguments["input_ids"][row][:length].tolist(), focus.tolist()),
            patches=tuple(tuple(line) for line in grid.tolist()),
        )

    def _words(self, ids: list[int], weights: list[float]) -> tuple[tuple[str, float], ...]:
        """Token weights -> word weights: pieces of one word are joined and their weights added."""
        words: list[tuple[str, float]] = []
        tokens = self.processor.tokenizer.convert_ids_to_tokens(ids)
        for one, token, weight in zip(ids, tokens, weights, strict=False):
            piece = self.processor.tokenizer.decode([one]).strip()
            if words and not token.startswith(("▁", "Ġ")):  # SentencePiece's and byte-level BPE's word starts
                words[-1] = (words[-1][0] + piece, words[-1][1] + weight)
            else:
                words.append((piece, weight))
        return tuple(words)

    def _arguments(self, inputs: Sequence[StudentInput]) -> dict[str, Tensor]:
        return {name: tensor.to(self._device) for name, tensor in self.processor(inputs).items()}
