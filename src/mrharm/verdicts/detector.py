"""The Detector: memes in, verdicts out. The only inference path; everything that judges a meme goes through it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, get_args, overload

import torch
from PIL import Image
from transformers.utils import PushToHubMixin

from mrharm.errors import InputError, MissingInputError
from mrharm.evidence.pipeline import Engines, Eye
from mrharm.hub import pick_device, pick_dtype
from mrharm.images import decode, open_image, read_image_bytes
from mrharm.records import Evidence, Meme, Saliency, Verdict
from mrharm.store import content_key, folder_aside, sha256_file, write_text
from mrharm.student.checkpoints import load_models, save_models
from mrharm.student.interface import Student, StudentInput, compose_text
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor
from mrharm.verdicts.card import DetectorCard, read_card, write_card
from mrharm.verdicts.scoring import Floats, harm_probability, score_answers, write_texts
from mrharm.verdicts.students import build_students, models_of

WRITTEN = "-written"  # ends the key of a verdict whose label the student wrote
Advance = Callable[[int], None]
SaliencyKind = Literal["attention", "gradient"]


class JudgeOptions(TypedDict, total=False):
    """How to judge.

    Keys:
        evidence: meme id -> what has been gathered already (captions, a clean picture).
        root: the folder image paths start from; default: the current one.
        batch_size: memes a batch; default 32.
        rationales: write them, too, the slow part; default yes.
        saliency: say where the student looked (``attention``, or True) or what moved its decision (``gradient``);
            default no.
        greedy: let the student write its label, as the paper does; an answer that is no label gives ``harmful=None``.
            Default: as the recipe says.
        strict: refuse a meme that lacks an input the recipe wants, instead of naming it in the verdict; default no.
        gather: read the words off a picture whose words are not known, and take them off where the recipe shows the
            clean picture; default yes.
        advance: called with the number of memes after each batch.
        given_rationales: meme id -> the rationale that its label is to follow in place of the student's own; for a
            student that reads one (of one stage, as ``mrharm train --stages joint`` makes).
    """

    evidence: Mapping[str, Evidence] | None
    root: Path | None
    batch_size: int
    rationales: bool
    saliency: bool | SaliencyKind
    greedy: bool | None
    strict: bool
    gather: bool
    advance: Advance | None
    given_rationales: Mapping[str, str] | None


@dataclass(frozen=True)
class Prepared:
    """One meme ready to be judged: what the students are shown, and the evidence that goes into the verdict.

    ``given`` is the evidence before anything was gathered here: what a verdict is known by.
    """

    shown: StudentInput
    evidence: Evidence
    given: Evidence


class Detector(PushToHubMixin):
    """Judges memes: a calibrated P(harmful), a decision, and the rationale behind it.

    ``Detector.from_pretrained("runs/first").judge(Meme(id="1", image="photo.jpg", text="you smell wonderful"))``
    """

    def __init__(
        self,
        card: DetectorCard,
        label_student: Student,
        rationale_student: Student | None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.card = card
        self.label_student = label_student
        self.rationale_student = rationale_student
        self.dtype = dtype
        self.key = card.key()

    @classmethod
    def from_models(
        cls,
        card: DetectorCard,
        models: Mapping[str, MrHarmForConditionalGeneration],
        processor: MrHarmProcessor,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Detector:
        """Models -> a Detector with the students they are: ``label`` and perhaps ``rationale``, or ``joint`` alone."""
        return cls(card, *build_students(card, models, processor, device, dtype), dtype)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, device: str = "auto", precision: str = "fp32"
    ) -> Detector:
        """Read a Detector from a run folder or from its ``detector/``.

        Args:
            folder: the run, or the detector itself.
            device: ``auto``, ``cpu``, ``cuda``...
            precision: ``fp32``, ``bf16``, or ``auto`` for bfloat16 where the hardware multiplies it.

        Raises:
            InputError: no Detector there.
            DataError: its files are broken.
        """
        inner, card = read_card(Path(folder))
        where = pick_device(device)
        models, processor = load_models(inner, card.students)
        return cls.from_models(card, models, processor, where, pick_dtype(precision, where))

    def save_pretrained(self, folder: str | Path, recipe: str | None = None, **_: Any) -> None:
        """Write the self-contained folder, whole or not at all: safetensors, JSON and a card, no code, no pickle.

        Args:
            folder: where to; what is there is replaced.
            recipe: the resolved recipe's YAML, to lie beside the weights.
            _: what `push_to_hub` passes to every class (shard sizes); a detector is not sharded.

        Raises:
            InputError: a student of another kind, which has files of its own.
        """
        models, processor = models_of(self.label_student, self.rationale_student)
        with folder_aside(Path(folder)) as aside:
            save_models(aside, models, processor)
            if recipe is not None:
                write_text(aside / "recipe.yaml", recipe)
            hashes = {path.name: sha256_file(path) for path in aside.iterdir()}
            self.card = dataclasses.replace(self.card, files=tuple(sorted(hashes.items())))
            self.key = self.card.key()
            write_card(aside, self.card)

    def with_temperature(self, temperature: float) -> Detector:
        """The same Detector, calibrated anew; a policy chosen on its old scores is dropped."""
        card = dataclasses.replace(self.card, temperature=temperature)
        card = card if card.chosen is None else card.with_policy(0.5)
        return Detector(card, self.label_student, self.rationale_student, self.dtype)

    def with_card(self, card: DetectorCard) -> Detector:
        """The same students under another card, as one with another policy is."""
        return Detector(card, self.label_student, self.rationale_student, self.dtype)

    def decide_again(self, verdict: Verdict) -> Verdict:
        """A verdict of this Detector's scorer under an older policy -> what it is under the present one.

        The score and all else stay. A label that the student wrote (greedy mode) stays, too: no threshold made it.
        """
        written = (verdict.key or "").endswith(WRITTEN)
        return verdict.model_copy(
            update={
                "harmful": verdict.harmful if written else verdict.score >= self.card.threshold,
                "threshold": self.card.threshold,
                "band": self.card.band,
                "decision": self.card.decide(verdict.score),
                "detector": self.key,
            }
        )

    @overload
    def judge(self, memes: Meme, **options: Unpack[JudgeOptions]) -> Verdict: ...

    @overload
    def judge(self, memes: Sequence[Meme], **options: Unpack[JudgeOptions]) -> list[Verdict]: ...

    def judge(self, memes: Meme | Sequence[Meme], **options: Unpack[JudgeOptions]) -> Verdict | list[Verdict]:
        """Verdicts for one meme or many; the options are those of `JudgeOptions`.

        Returns:
            One verdict for one meme; a list in the same order for many.

        Raises:
            ImageError: a picture is missing, too large, of an unknown kind, or broken.
            MissingInputError: nothing to judge, or with ``strict`` an input that is wanted and not there.
            InputError: no such option, or a rationale given to a student that reads none.
        """
        if isinstance(memes, Meme):
            return self._judge([memes], options)[0]
        return self._judge(memes, options)

    def _judge(self, memes: Sequence[Meme], options: JudgeOptions) -> list[Verdict]:
        if unknown := options.keys() - JudgeOptions.__annotations__.keys():
            raise InputError(
                f"judge() has no option {', '.join(sorted(unknown))}; "
                f"there are: {', '.join(JudgeOptions.__annotations__)}"
            )
        evidence, root = options.get("evidence") or {}, options.get("root")
        batch_size = options.get("batch_size", 32)
        ready = [
            self.prepare(
                meme,
                evidence.get(meme.id),
                root=root,
                strict=options.get("strict", False),
                gather=options.get("gather", True),
            )
            for meme in memes
        ]
        inputs = self._with_rationales(memes, [one.shown for one in ready], options.get("given_rationales"))
        texts = self.card.label_texts()
        scores = score_answers(self.label_student, inputs, texts, batch_size, options.get("advance"))
        harmful = self._decide(inputs, scores, batch_size, options.get("greedy"))
        rationales: list[str | None] = [None] * len(inputs)
        if options.get("rationales", True) and self.rationale_student is not None:
            written = write_texts(self.rationale_student, inputs, self.card.rationale_tokens, batch_size)
            rationales = [
                self._without_template(text) if shown.rationale is None else shown.rationale
                for text, shown in zip(written, inputs, strict=True)
            ]
        seen: list[Saliency | None] = [None] * len(inputs)
        if how := options.get("saliency", False):
            for start in range(0, len(inputs), batch_size):
                some = slice(start, start + batch_size)
                seen[some] = self.saliency(inputs[some], "attention" if how is True else how)
        probabilities = harm_probability(scores, self.card.answers, self.card.temperature)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return [
            Verdict(
                meme_id=meme.id,
                harmful=harmful[index],
                score=float(probabilities[index]),
                threshold=self.card.threshold,
                band=self.card.band,
                decision=self.card.decide(float(probabilities[index])),
                rationale=rationales[index],
                saliency=seen[index],
                evidence=ready[index].evidence,
                missing=inputs[index].missing,
                text_cut=self.label_student.cuts(inputs[index].text),
                key=self.judgement_key(ready[index].given, options),
                detector=self.key,
                recipe=self.card.recipe,
                created_at=now,
            )
            for index, meme in enumerate(memes)
        ]

    def _with_rationales(
        self, memes: Sequence[Meme], inputs: list[StudentInput], given: Mapping[str, str] | None
    ) -> list[StudentInput]:
        if not given:
            return inputs
        if not self.label_student.reads_rationale:
            raise InputError(
                "this detector's label student reads no rationale, so that none can be given to it"
            )
        return [
            dataclasses.replace(shown, rationale=given.get(meme.id))
            for meme, shown in zip(memes, inputs, strict=True)
        ]

    def prepare(
        self,
        meme: Meme,
        evidence: Evidence | None = None,
        *,
        root: Path | None = None,
        strict: bool = False,
        gather: bool = False,
    ) -> Prepared:
        """One meme -> what the students are shown, and the evidence for it; raises as `judge` does."""
        given = evidence or Evidence(
            meme_id=meme.id, text=meme.text, text_source="given" if meme.text is not None else None
        )
        wants_words = "text" in self.card.reads and given.text is None and meme.text is None
        shows_clean = self.label_student.takes_picture and self.card.picture_shown == "clean"
        wants_clean = shows_clean and not given.clean_image
        image: Image.Image | None = None
        seen = given
        if meme.image and (
            wants_words or wants_clean or (self.label_student.takes_picture and not shows_clean)
        ):
            data = read_image_bytes((root or Path()) / meme.image)
            given = given.model_copy(update={"image_sha256": hashlib.sha256(data).hexdigest()})
            seen = given
            if gather and (wants_words or wants_clean):
                looked = self.eye.look(meme, data, meme.image, given, clean=wants_clean)
                seen, image = looked.evidence, looked.clean
            if self.label_student.takes_picture and not shows_clean:
                image = decode(data, meme.image)
        if shows_clean and given.clean_image:
            image = open_image((root or Path()) / given.clean_image)
        text, missing = compose_text(self.card.reads, meme, seen, odd_text=self.card.odd_text)
        if self.label_student.takes_picture and image is None:
            missing = (*missing, "clean_image" if shows_clean else "image")
        if not text and image is None:
            raise MissingInputError(
                f"{meme.id}: nothing to judge: neither a text nor a picture this detector can use; "
                f"it reads {', '.join(self.card.reads)}"
                + (" and a picture" if self.label_student.takes_picture else "")
            )
        if strict and missing:
            raise MissingInputError(
                f"{meme.id}: the recipe wants {', '.join(missing)}; give it, or judge without --strict"
            )
        pixels = self.label_student.fit(image) if image is not None else None
        return Prepared(StudentInput(text, pixels, missing=missing), seen, given)

    def saliency(self, inputs: Sequence[StudentInput], kind: SaliencyKind) -> list[Saliency]:
        """Where the label student looked, or what moved its decision, one a meme, in one batch.

        Raises:
            InputError: no such kind.
        """
        if kind == "attention":
            return self.label_student.attend(inputs)
        if kind != "gradient":
            raise InputError(f"no saliency of kind {kind!r}; there are: {', '.join(get_args(SaliencyKind))}")
        harmful = [answer.harmful for answer in self.card.answers]
        found = self.label_student.attribute(inputs, self.card.label_texts(), harmful)
        return [one.saliency() for one in found]

    @cached_property
    def eye(self) -> Eye:
        """What looks at pictures nobody described; its engines are loaded when the first such picture comes."""
        return Eye(Engines(inpainter="telea" if self.card.picture_shown == "clean" else "none"))

    def judgement_key(self, evidence: Evidence, options: JudgeOptions) -> str:
        """A short key of what was judged (`Prepared.given`) and how: the same key would give the same score again.

        The policy is not part of it, as decisions follow from scores; it ends in ``-written`` where the label does not,
        because the student writes it (greedy mode).
        """
        how: dict[str, Any] = {
            name: options.get(name) for name in ("rationales", "saliency", "greedy", "gather")
        }
        given = (options.get("given_rationales") or {}).get(evidence.meme_id)
        if given is not None:
            how["given_rationale"] = given
        if self.dtype != torch.float32:
            how["dtype"] = str(self.dtype)  # a narrower arithmetic gives other scores
        key = content_key(self.card.scorer(), evidence.model_dump(mode="json", exclude={"made_by"}), how)
        return key + (WRITTEN if self._writes_labels(options.get("greedy")) else "")

    def _writes_labels(self, greedy: bool | None) -> bool:
        return greedy if greedy is not None else self.card.decoding == "greedy"

    def scores(
        self,
        memes: Sequence[Meme],
        *,
        evidence: Mapping[str, Evidence] | None = None,
        root: Path | None = None,
    ) -> Floats:
        """Uncalibrated summed log-probabilities of the label strings. *Shape:* (memes, answers)"""
        inputs = [self.prepare(meme, (evidence or {}).get(meme.id), root=root).shown for meme in memes]
        return score_answers(self.label_student, inputs, self.card.label_texts())

    def _decide(
        self, inputs: Sequence[StudentInput], scores: Floats, batch_size: int, greedy: bool | None
    ) -> list[bool | None]:
        if self._writes_labels(greedy):
            says = {
                text.casefold(): answer.harmful
                for text, answer in zip(self.card.label_texts(), self.card.answers, strict=True)
            }
            longest = max(self.label_student.text_tokens(text) for text in says) + 4
            written = write_texts(self.label_student, inputs, longest, batch_size)
            return [says.get(text.strip().casefold()) for text in written]
        probabilities = harm_probability(scores, self.card.answers, self.card.temperature)
        return [bool(probability >= self.card.threshold) for probability in probabilities]

    def _without_template(self, text: str) -> str:
        before, _, after = self.card.rationale_template.partition("{rationale}")
        return text.removeprefix(before.strip()).removesuffix(after.strip() or "\0").strip()
