"""The student of the paper: a T5 fused with a vision tower, `MrHarmForConditionalGeneration`, on a device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from mrharm.records import Saliency
from mrharm.student.attribution import blank, integrated_gradients, log_odds
from mrharm.student.interface import Attribution, Frame, Pixels, StudentInput
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.picture_statistics import picture_statistics
from mrharm.student.processor import MrHarmProcessor
from mrharm.texts import LONGEST

# Token ids that precede each input's label in what the student answers. *Length:* batch
Prefixes = Sequence[Sequence[int]]


class FusedT5Student:
    """Answers the calls of `Student` with one model: stage 1's, which explains, or stage 2's, which gives a label."""

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

    @property
    def takes_picture(self) -> bool:
        """Whether the model has a fusion and the processor picture settings."""
        return self.processor.picture is not None and self.model.encoder.last_fusion is not None

    @property
    def frame(self) -> Frame | None:
        """The square its patches divide; None where it takes no picture."""
        if self.processor.picture is None or not self.takes_picture:
            return None
        patch = getattr(self.model.config.vision_config, "patch_size", None)
        return Frame(self.processor.picture.side, self.processor.picture.fit, patch)

    def fit(self, image: Image.Image) -> Pixels:
        """Fit an RGB picture to the square. *Shape:* (side, side, 3)"""
        return self.processor.fit(image)

    def text_tokens(self, text: str) -> int:
        """Count the tokens of a text, end token included."""
        return len(self.processor.tokenize(text))

    def cuts(self, text: str) -> bool:
        """Whether a text has more tokens than the processor's limit, or was cut before it was tokenised."""
        return (
            len(text) >= LONGEST
            or len(self.processor.tokenize(text, 100_000)) > self.processor.max_text_tokens
        )

    def prefixes(self, inputs: Sequence[StudentInput]) -> Prefixes:
        """Return the token ids that each label follows: none, as a label is the whole answer."""
        return [()] * len(inputs)

    def batch(self, inputs: Sequence[StudentInput]) -> dict[str, Tensor]:
        """Return the model's arguments for a batch, on its device; shapes as `MrHarmProcessor` gives them."""
        return {name: tensor.to(self._device) for name, tensor in self.processor(inputs).items()}

    @torch.inference_mode()
    def score(self, inputs: Sequence[StudentInput], answers: Sequence[str]) -> NDArray[np.float64]:
        """Teacher-force every answer over one shared encoding of each input. *Shape:* (batch, answers)"""
        prefixes, arguments = self.prefixes(inputs), self.batch(inputs)
        states = self.model.encoder(**arguments).last_hidden_state
        log_probs = self._score_answers(states, arguments["attention_mask"], answers, prefixes)
        scores: NDArray[np.float64] = log_probs.cpu().numpy()
        return scores

    @torch.inference_mode()
    def features(self, inputs: Sequence[StudentInput]) -> list[dict[str, NDArray[np.float32]]]:
        """Pool the text's encoder states without the picture, and the picture's features with its statistics."""
        arguments = self.batch(inputs)
        text = {name: arguments[name] for name in ("input_ids", "attention_mask")}
        mask = text["attention_mask"][..., None]
        states = self.model.encoder(**text).last_hidden_state.float()
        texts = ((states * mask).sum(1) / mask.sum(1)).cpu().numpy()
        rows = [{"text": pooled} if shown.text else {} for shown, pooled in zip(inputs, texts, strict=True)]
        pictures = {row: shown.pixels for row, shown in enumerate(inputs) if shown.pixels is not None}
        if self.takes_picture and pictures:
            pixels = self.processor.normalise([*pictures.values()]).to(self._device)
            pooled = self.model.encoder.pool_picture(pixels).cpu().numpy()
            statistics = picture_statistics([*pictures.values()])
            joined = np.concatenate([pooled, statistics], axis=1).astype(np.float32)
            for row, picture in zip(pictures, joined, strict=True):
                rows[row]["image"] = picture
        return rows

    def _score_answers(
        self, states: Tensor, attention_mask: Tensor, answers: Sequence[str], prefixes: Prefixes
    ) -> Tensor:
        """Encoder states (batch, text, d_text) -> each answer's log-probability after its row's prefix.

        *Shape:* (batch, answers)
        """
        rows = [self.processor.tokenize_target(answer) for answer in answers]
        count = len(rows)
        # (batch x answers): answer a of meme b is row b * answers + a.
        targets = [[*prefix, *row] for prefix in prefixes for row in rows]
        tokens = self.processor.pad(targets, -100).to(self._device)
        starts = torch.tensor([len(prefix) for prefix in prefixes], device=self._device)
        starts = starts.repeat_interleave(count)
        # Only the answer's tokens count, neither its prefix nor padding.
        counted = (tokens >= 0) & (torch.arange(tokens.shape[1], device=self._device) >= starts[:, None])
        logits = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=states.repeat_interleave(count, 0)),
            attention_mask=attention_mask.repeat_interleave(count, 0),
            decoder_input_ids=self.model.prepare_decoder_input_ids_from_labels(tokens),
            use_cache=False,
        ).logits
        log_probs = logits.float().log_softmax(-1)
        picked = log_probs.gather(-1, tokens.clamp(min=0)[..., None])[..., 0].masked_fill(~counted, 0.0)
        return picked.double().sum(-1).view(len(states), count)

    @torch.inference_mode()
    def write(self, inputs: Sequence[StudentInput], max_new_tokens: int) -> list[str]:
        """Generate a text for each input by greedy decoding, as the paper does."""
        return self.processor.decode(self.generate(inputs, max_new_tokens))

    def generate(self, inputs: Sequence[StudentInput], max_new_tokens: int) -> Tensor:
        """Generate token ids greedily, start token included. *Shape:* (batch, target)"""
        ids: Tensor = self.model.generate(
            **self.batch(inputs), max_new_tokens=max_new_tokens, do_sample=False, num_beams=1
        )
        return ids

    @torch.inference_mode()
    def attend(self, inputs: Sequence[StudentInput]) -> list[Saliency]:
        """Return the fusion's attention, averaged over modules: over patches (mean of all words) and over words.

        A word's weight is how far its attention over patches departs from even attention: the Kullback-Leibler
        divergence from the uniform distribution, normalised over the text.
        """
        arguments = self.batch(inputs)
        if not self.takes_picture or "image_mask" not in arguments:
            return [Saliency() for _ in inputs]
        saliencies = []
        attentions = self.model.fusion_attention(**arguments)  # (batch, text, patches)
        for row, attention in enumerate(attentions):
            if not arguments["image_mask"][row]:
                saliencies.append(Saliency())
                continue
            length = int(arguments["attention_mask"][row].sum()) - 1  # without the end token
            weights = attention[: max(length, 1), self._class_tokens :].double()
            weights = weights / weights.sum(-1, keepdim=True)
            focus = (weights * (weights * weights.shape[-1]).clamp_min(1e-12).log()).sum(-1).clamp_min(1e-12)
            focus = focus / focus.sum()
            words = self._join_words(arguments["input_ids"][row][:length].tolist(), focus.tolist())
            patches = tuple(tuple(line) for line in _form_square(weights.mean(0)).tolist())
            saliencies.append(Saliency(words=words, patches=patches))
        return saliencies

    def attribute(
        self, inputs: Sequence[StudentInput], answers: Sequence[str], harmful: Sequence[bool]
    ) -> list[Attribution]:
        """Integrated gradients of log P(harmful) - log P(harmless), words and picture moving along one path.

        From a blank meme, whose tokens are all padding's (embedding) but the end token and whose picture is of its mean
        colour (zeros where image features are given), to the meme itself, along text embeddings *Shape:* (batch, text,
        d_text) and image features *Shape:* (batch, patches, d_image), summed over their widths. A patch of a
        transformer tower depends on its neighbours by then: the pixels behind a patch's part may lie next to it. A
        label follows the `prefixes` of the meme itself all along the path.

        ``harmful`` says which answers mean harm; at least one must, and at least one must not.
        """
        before = self.prefixes(inputs)
        with torch.inference_mode(False):
            arguments = self.batch(inputs)
            mask = arguments["attention_mask"]
            has_picture = arguments.get("image_mask") if self.takes_picture else None
            ends, starts = self._path_ends(inputs, arguments, has_picture)

            def odds(rows: Tensor, embeddings: Tensor, features: Tensor | None = None) -> Tensor:
                states = self.model.encoder(
                    inputs_embeds=embeddings,
                    attention_mask=mask[rows],
                    image_features=features,
                    image_mask=None if has_picture is None else has_picture[rows],
                ).last_hidden_state
                scores = self._score_answers(
                    states, mask[rows], answers, [before[row] for row in rows.tolist()]
                )
                return log_odds(scores, harmful)

            with torch.no_grad():
                rows = torch.arange(len(inputs), device=mask.device)
                meme_odds, blank_odds = odds(rows, *ends).tolist(), odds(rows, *starts).tolist()
            parts = [part.sum(-1).double().cpu() for part in integrated_gradients(odds, ends, starts)]
        attributions = []
        for row in range(len(inputs)):
            words = parts[0][row, : int(mask[row].sum()) - 1]  # without the end token
            grid, rest = np.zeros((0, 0)), 0.0
            if has_picture is not None and has_picture[row]:
                grid = _form_square(parts[1][row][self._class_tokens :]).numpy()
                rest = float(parts[1][row][: self._class_tokens].sum())
            ids = arguments["input_ids"][row][: len(words)].tolist()
            named = self._join_words(ids, words.tolist())
            attributions.append(Attribution(named, grid, rest, meme_odds[row], blank_odds[row]))
        return attributions

    @torch.no_grad()
    def _path_ends(
        self, inputs: Sequence[StudentInput], arguments: dict[str, Tensor], has_picture: Tensor | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the memes and the blank memes, as text embeddings and, with pictures, image features."""
        ids, mask = arguments["input_ids"], arguments["attention_mask"]
        # The end token stays: a meme without words has it, too.
        words = torch.arange(ids.shape[1], device=ids.device) < mask.sum(1, keepdim=True) - 1
        padded = ids.masked_fill(words, self.processor.tokenizer.pad_token_id)
        embed = self.model.get_input_embeddings()
        ends, starts = [embed(ids)], [embed(padded)]
        if has_picture is not None and "image_features" in arguments:
            features = arguments["image_features"].to(self.model.dtype)
            ends, starts = [*ends, features], [*starts, torch.zeros_like(features)]
        elif has_picture is not None:
            blanks = [None if shown.pixels is None else blank(shown.pixels) for shown in inputs]
            see = self.model.encoder.see
            ends = [*ends, see(arguments["pixel_values"])]
            starts = [*starts, see(self.processor.normalise(blanks).to(self._device))]
        return ends, starts

    @property
    def _class_tokens(self) -> int:
        """How many image features, all before the patches, have no place on the picture."""
        return int(hasattr(self.model.config.vision_config, "patch_size"))

    def _join_words(self, ids: list[int], weights: list[float]) -> tuple[tuple[str, float], ...]:
        """Token weights -> word weights: the pieces of a word are joined and their weights added."""
        words: list[tuple[list[int], float]] = []
        tokens = self.processor.tokenizer.convert_ids_to_tokens(ids)
        for token_id, token, weight in zip(ids, tokens, weights, strict=False):
            if words and not token.startswith(("▁", "Ġ")):  # SentencePiece's and byte-level BPE's word starts
                words[-1] = ([*words[-1][0], token_id], words[-1][1] + weight)
            else:
                words.append(([token_id], weight))
        # All pieces of a word are decoded at once: a letter may be spread over tokens.
        decode = self.processor.tokenizer.decode
        return tuple(
            (decode(pieces, clean_up_tokenization_spaces=False).strip(), weight) for pieces, weight in words
        )


def _form_square(patches: Tensor) -> Tensor:
    """Reshape one value a patch into the rows and columns of the square that they divide."""
    side = math.isqrt(len(patches))
    return patches.view(side, side)
