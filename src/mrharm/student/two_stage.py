"""The seat a student takes: the few calls by which the rooms around it know it.

Another kind of student (a vision-language model with adapters, say) takes the same seat by answering these calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from mrharm.records import Saliency
from mrharm.student.attribution import Attribution, blank, integrated_gradients, log_odds
from mrharm.student.fusion import patch_grid
from mrharm.student.inputs import Pixels, StudentInput
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor


@dataclass(frozen=True)
class Frame:
    """What a student's patches lie on: a square of ``side`` pixels to which a picture is fitted, ``whole`` (padded) or
    ``crop`` (the middle kept).

    ``patch``: a patch's side in pixels where the tower cuts the square into patches. None for convolutions, whose
    features divide the square evenly in name: each sees far beyond its patch, and which place it stands for is learnt,
    half a patch to either side.
    """

    side: int
    fit: str
    patch: int | None = None

    def edges(self, count: int) -> list[int]:
        """Where ``count`` patches in a row begin and end, in pixels of the square. *Length:* count + 1"""
        if self.patch:
            return [index * self.patch for index in range(count + 1)]
        return [round(index * self.side / count) for index in range(count + 1)]


class Student(Protocol):
    """What the Detector asks of a student; every call takes one batch."""

    @property
    def takes_picture(self) -> bool:
        """Whether a picture changes what this student says."""

    @property
    def reads_rationale(self) -> bool:
        """Whether its label follows a rationale, its own or the one a `StudentInput` carries."""

    @property
    def frame(self) -> Frame | None:
        """What its patches lie on; None where it takes no picture."""

    def fit(self, image: Image.Image) -> Pixels:
        """An RGB picture -> the pixels a `StudentInput` carries."""

    def text_tokens(self, text: str) -> int:
        """How many tokens a text takes: batches are made of alike lengths."""

    def cuts(self, text: str) -> bool:
        """Whether a text is longer than what the student reads of it."""

    def score(self, inputs: Sequence[StudentInput], answers: Sequence[str]) -> NDArray[np.float64]:
        """Summed token log-probabilities of each answer, end token included. *Shape:* (batch, answers)"""

    def write(self, inputs: Sequence[StudentInput], max_new_tokens: int) -> list[str]:
        """What the student writes, greedily, one text an input."""

    def attend(self, inputs: Sequence[StudentInput]) -> list[Saliency]:
        """Where the student looks, one `Saliency` an input."""

    def attribute(
        self, inputs: Sequence[StudentInput], answers: Sequence[str], harmful: Sequence[bool]
    ) -> list[Attribution]:
        """What each word and patch did to the decision, one an input; ``harmful``: what each answer says."""


class FusedStudent:
    """The Mr.Harm student in the seat: `MrHarmForConditionalGeneration` with its processor, on one device."""

    reads_rationale = False

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

    @property
    def frame(self) -> Frame | None:
        """The square its patches lie on."""
        if self.processor.picture is None or not self.takes_picture:
            return None
        patch = getattr(self.model.config.vision_config, "patch_size", None)
        return Frame(self.processor.picture.side, self.processor.picture.fit, patch)

    def fit(self, image: Image.Image) -> Pixels:
        """An RGB picture -> fitted pixels. *Shape:* (side, side, 3)"""
        return self.processor.fit(image)

    def text_tokens(self, text: str) -> int:
        """How many tokens a text takes, end token included."""
        return len(self.processor.tokenize(text))

    def cuts(self, text: str) -> bool:
        """Whether a text has more tokens than the processor's limit."""
        return len(self.processor.tokenize(text, 100_000)) > self.processor.max_text_tokens

    @torch.inference_mode()
    def score(self, inputs: Sequence[StudentInput], answers: Sequence[str]) -> NDArray[np.float64]:
        """Teacher-forces every answer over one shared encoding of each input. *Shape:* (batch, answers)"""
        arguments = self._arguments(inputs)
        states = self.model.encoder(**arguments).last_hidden_state
        scores: NDArray[np.float64] = (
            self._answer_scores(
                states, arguments["attention_mask"], answers, self._before_label(inputs, arguments)
            )
            .cpu()
            .numpy()
        )
        return scores

    def _before_label(
        self, inputs: Sequence[StudentInput], arguments: dict[str, Tensor]
    ) -> list[Sequence[int]]:
        """Token ids that stand before each input's label: none, where a label is all a student answers."""
        return [()] * len(inputs)

    def _answer_scores(
        self,
        states: Tensor,
        attention_mask: Tensor,
        answers: Sequence[str],
        before: Sequence[Sequence[int]],
    ) -> Tensor:
        """Encoder states (batch, text, d_text), and what stands before each row's label -> every answer's
        log-probability. *Shape:* (batch, answers)
        """
        rows = [self.processor.tokenize_target(answer) for answer in answers]
        count = len(rows)
        # (batch x answers): answer a of meme b stands in row b * answers + a.
        tokens = self.processor.pad([[*first, *row] for first in before for row in rows], -100).to(
            self._device
        )
        starts = torch.tensor([len(first) for first in before], device=self._device).repeat_interleave(count)
        counted = (tokens >= 0) & (torch.arange(tokens.shape[1], device=self._device) >= starts[:, None])
        logits = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=states.repeat_interleave(count, 0)),
            attention_mask=attention_mask.repeat_interleave(count, 0),
            decoder_input_ids=self.model._shift_right(tokens),
            use_cache=False,
        ).logits
        log_probs = logits.float().log_softmax(-1)
        picked = log_probs.gather(-1, tokens.clamp(min=0)[..., None])[..., 0].masked_fill(~counted, 0.0)
        return picked.double().sum(-1).view(len(states), count)

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
        return [self._saliency(attention[row], arguments, row) for row in range(len(inputs))]

    def attribute(
        self, inputs: Sequence[StudentInput], answers: Sequence[str], harmful: Sequence[bool]
    ) -> list[Attribution]:
        """Integrated gradients of log P(harmful) - log P(harmless), the words and the picture moving together.

        From a blank meme, whose tokens are all padding's (embedding) but the end token and whose picture is of its mean
        colour (zeros where image features are given), to the meme itself, along text embeddings *Shape:* (batch, text,
        d_text) and image features *Shape:* (batch, patches, d_image), summed over their widths. A patch of a
        transformer tower has seen its neighbours by then: what goes to it may lie beside it.

        Args:
            inputs: a batch.
            answers: the label strings.
            harmful: whether each of them says harmful; one must, and one must not.
        """
        with torch.inference_mode(False):
            arguments = self._arguments(inputs)
            ids, mask = arguments["input_ids"], arguments["attention_mask"]
            before = self._before_label(inputs, arguments)  # the whole meme's, all along the path
            picture = arguments.get("image_mask") if self.takes_picture else None
            # The end token stays: a meme without words has one, too.
            words = torch.arange(ids.shape[1], device=ids.device) < mask.sum(1, keepdim=True) - 1
            unread = ids.masked_fill(words, self.processor.tokenizer.pad_token_id)
            with torch.no_grad():
                embed = self.model.get_input_embeddings()
                ends, starts = [embed(ids)], [embed(unread)]
                if picture is not None:
                    there, nothing = self._features(inputs, arguments)
                    ends, starts = [*ends, there], [*starts, nothing]

            def odds(rows: Tensor, embeddings: Tensor, features: Tensor | None = None) -> Tensor:
                states = self.model.encoder(
                    inputs_embeds=embeddings,
                    attention_mask=mask[rows],
                    image_features=features,
                    image_mask=None if picture is None else picture[rows],
                ).last_hidden_state
                said = [before[row] for row in rows.tolist()]
                return log_odds(self._answer_scores(states, mask[rows], answers, said), harmful)

            with torch.no_grad():
                every = torch.arange(len(ids), device=ids.device)
                whole, empty = odds(every, *ends).tolist(), odds(every, *starts).tolist()
            parts = [part.sum(-1).double().cpu() for part in integrated_gradients(odds, ends, starts)]
        return [
            self._attribution(
                ids[row],
                parts[0][row, : int(mask[row].sum()) - 1],
                parts[1][row] if picture is not None and picture[row] else None,
                whole[row],
                empty[row],
            )
            for row in range(len(inputs))
        ]

    def _features(
        self, inputs: Sequence[StudentInput], arguments: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Image features of the pictures and of blank ones. *Shape of both:* (batch, patches, d_image)"""
        if "image_features" in arguments:
            there = arguments["image_features"].to(self.model.dtype)
            return there, torch.zeros_like(there)
        blanks = self.processor.normalise(
            [None if one.pixels is None else blank(one.pixels) for one in inputs]
        )
        see = self.model.encoder.see
        return see(arguments["pixel_values"]), see(blanks.to(self._device))

    def _attribution(
        self, ids: Tensor, words: Tensor, patches: Tensor | None, odds: float, blank_odds: float
    ) -> Attribution:
        grid, rest = np.zeros((0, 0)), 0.0
        if patches is not None:
            cls = int(self._has_cls)
            grid = patches[cls:].view(patch_grid(len(patches), self._has_cls)).numpy()
            rest = float(patches[:cls].sum())
        return Attribution(
            self._words(ids[: len(words)].tolist(), words.tolist()), grid, rest, odds, blank_odds
        )

    @property
    def _has_cls(self) -> bool:
        vision = self.model.config.vision_config
        return vision is not None and hasattr(vision, "patch_size")

    def _saliency(self, attention: Tensor, arguments: dict[str, Tensor], row: int) -> Saliency:
        if not arguments["image_mask"][row]:
            return Saliency()
        length = int(arguments["attention_mask"][row].sum()) - 1  # without the end token
        seen = attention[: max(length, 1), int(self._has_cls) :].double()
        seen = seen / seen.sum(-1, keepdim=True)
        rows, columns = patch_grid(attention.shape[-1], self._has_cls)
        grid = seen.mean(0).view(rows, columns)
        focus = (seen * (seen * seen.shape[-1]).clamp_min(1e-12).log()).sum(-1).clamp_min(1e-12)
        focus = focus / focus.sum()
        return Saliency(
            words=self._words(arguments["input_ids"][row][:length].tolist(), focus.tolist()),
            patches=tuple(tuple(line) for line in grid.tolist()),
        )

    def _words(self, ids: list[int], weights: list[float]) -> tuple[tuple[str, float], ...]:
        """Token weights -> word weights: pieces of one word are joined and their weights added."""
        words: list[tuple[list[int], float]] = []
        tokens = self.processor.tokenizer.convert_ids_to_tokens(ids)
        for one, token, weight in zip(ids, tokens, weights, strict=False):
            if words and not token.startswith(("▁", "Ġ")):  # SentencePiece's and byte-level BPE's word starts
                words[-1] = ([*words[-1][0], one], words[-1][1] + weight)
            else:
                words.append(([one], weight))
        # Decoded whole: a letter may be spread over tokens.
        decode = self.processor.tokenizer.decode
        return tuple(
            (decode(pieces, clean_up_tokenization_spaces=False).strip(), weight) for pieces, weight in words
        )

    def _arguments(self, inputs: Sequence[StudentInput]) -> dict[str, Tensor]:
        return {name: tensor.to(self._device) for name, tensor in self.processor(inputs).items()}
