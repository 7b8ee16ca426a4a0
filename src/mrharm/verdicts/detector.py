"""The Detector: memes in, verdicts out. The only inference path: everything that judges a meme calls it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, get_args, overload

import torch
from PIL import Image
from transformers.utils import PushToHubMixin

from mrharm.errors import InputError, MissingInputError
from mrharm.evidence.picture_evidence import Engines, EvidencePipeline
from mrharm.hub import fetch_folder, pick_device, pick_dtype
from mrharm.images import decode, open_image
from mrharm.memes.dataset import Dataset
from mrharm.metrics.estimate import Floats
from mrharm.rationales.side_reader import FILE as SIDES
from mrharm.rationales.side_reader import SideReader
from mrharm.rationales.stated_side import stated_side
from mrharm.records import Evidence, Meme, Saliency, Verdict, meme_text
from mrharm.store import content_key, folder_aside, sha256_bytes, sha256_file, write_text
from mrharm.student.fused_t5 import FusedT5Student
from mrharm.student.interface import Frame, Student, StudentInput, compose_text
from mrharm.student.joint import JointStudent, JointTarget
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor
from mrharm.student.saved_models import load_models, save_models
from mrharm.verdicts.calibration import Calibration
from mrharm.verdicts.card import JOINT, WRITTEN, DetectorCard, read_card, write_card
from mrharm.verdicts.familiarity import FILE as FAMILIARITY
from mrharm.verdicts.familiarity import Familiarity, lacks_unusually
from mrharm.verdicts.inputs import (
    DEFAULT_OPTIONS,
    Item,
    JudgeOptions,
    LoadedMeme,
    PreparedMeme,
    SaliencyKind,
    collect_items,
)
from mrharm.verdicts.scoring import score_answers, write_labels, write_texts


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
        side_reader: SideReader | None = None,
        familiarity: Familiarity | None = None,
    ) -> None:
        self.card = card
        self.label_student = label_student
        self.rationale_student = rationale_student
        self.side_reader = side_reader
        self.dtype = dtype
        self.familiarity = familiarity
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
        """Make a Detector of models: ``label`` and perhaps ``rationale``, or ``joint`` alone."""
        if JOINT in models:
            target = JointTarget(card.rationale_template, card.label_template, card.rationale_tokens)
            label, rationale = (
                JointStudent(models[JOINT], processor, target, part, device, dtype)
                for part in ("label", "rationale")
            )
            return cls(card, label, rationale, dtype)
        students = {name: FusedT5Student(model, processor, device, dtype) for name, model in models.items()}
        return cls(card, students["label"], students.get("rationale"), dtype)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, device: str = "auto", precision: str = "fp32"
    ) -> Detector:
        """Load a Detector from a run folder, from its ``detector/``, or from the hub (``owner/name``, as pushed).

        ``device`` and ``precision``: as `mrharm.hub.pick_device` and `mrharm.hub.pick_dtype` take them.

        Raises:
            InputError: no Detector there.
            DataError: its files are broken.
            ModelUnavailableError: no such folder, and the hub does not give it (`mrharm.hub.fetch_folder`).
        """
        inner, card = read_card(fetch_folder(folder))
        torch_device = pick_device(device)
        models, processor = load_models(inner, card.students)
        detector = cls.from_models(card, models, processor, torch_device, pick_dtype(precision, torch_device))
        if SIDES in card.files:
            detector.side_reader = SideReader.load(inner)
        # Detectors trained before familiarity was learned do not have the file.
        if FAMILIARITY in card.files:
            detector.familiarity = Familiarity.load(inner)
        return detector

    def save_pretrained(self, folder: str | Path, recipe: str | None = None, **_: Any) -> DetectorCard:
        """Write the self-contained folder, whole or not at all: safetensors, JSON and a card, no code, no pickle.

        What is in the folder is replaced. ``recipe``: the resolved recipe's YAML, to be kept with the weights; further
        arguments are what `push_to_hub` passes to every class (shard sizes).

        Returns:
            The card as written: this detector's, with the hashes of the new files.

        Raises:
            InputError: a student of another kind, whose files mrharm does not know.
        """
        models = {}
        for name in self.card.students:
            student = self.rationale_student if name == "rationale" else self.label_student
            if not isinstance(student, FusedT5Student):
                raise InputError(f"{type(student).__name__}: save a student of another kind by its own means")
            models[name], processor = student.model, student.processor
        with folder_aside(Path(folder)) as aside:
            save_models(aside, models, processor)
            if self.familiarity is not None:
                self.familiarity.save(aside)
            if recipe is not None:
                write_text(aside / "recipe.yaml", recipe)
            if self.side_reader is not None:
                self.side_reader.save(aside)
            hashes = {path.name: sha256_file(path) for path in aside.iterdir()}
            card = self.card.model_copy(update={"files": dict(sorted(hashes.items()))})
            write_card(aside, card)
        return card

    def with_temperature(self, temperature: float) -> Detector:
        """Return the Detector with log-odds divided by a temperature; its policy is carried, so no decision changes."""
        return self.with_card(
            self.card.with_calibration(Calibration(slope=self.card.temperature / temperature))
        )

    def with_card(self, card: DetectorCard) -> Detector:
        """Return the same students under another card, with another policy for example."""
        students = self.label_student, self.rationale_student
        return Detector(card, *students, self.dtype, self.side_reader, self.familiarity)

    @property
    def takes_picture(self) -> bool:
        """Whether a picture changes its scores."""
        return self.label_student.takes_picture

    @property
    def shows_clean(self) -> bool:
        """Whether its students are shown the picture without its words."""
        return self.takes_picture and self.card.picture_shown == "clean"

    @property
    def reads_rationale(self) -> bool:
        """Whether a label follows a rationale, so that ``given_rationales`` can be set."""
        return self.label_student.reads_rationale

    @property
    def frame(self) -> Frame | None:
        """The square that saliency's patches divide; None where it takes no picture."""
        return self.label_student.frame

    def decide_again(self, verdict: Verdict) -> Verdict:
        """Return a verdict of the same scorer as this Detector's policy decides it; its score stays.

        A label that the student wrote (greedy mode) stays, too: it follows from no threshold, and the decision from it.
        """
        return self.card.decide_verdict(verdict)

    @overload
    def judge(self, memes: Item, options: JudgeOptions = ..., **changes: Any) -> Verdict: ...

    @overload
    def judge(
        self, memes: Sequence[Item] | Dataset, options: JudgeOptions = ..., **changes: Any
    ) -> list[Verdict]: ...

    def judge(
        self,
        memes: Item | Sequence[Item] | Dataset,
        options: JudgeOptions = DEFAULT_OPTIONS,
        **changes: Any,
    ) -> Verdict | list[Verdict]:
        """Judge one meme or many; returns one verdict, or a list in the same order.

        ``memes``: memes, pictures (paths, the bytes of files, Pillow images) or both, or a dataset. The id of a picture
        is its path as it is given; without a path, it is a hash of its bytes, or of its pixels.
        ``changes``: options by name, see `JudgeOptions`: ``judge(memes, root=folder, rationales=False)``.

        Raises:
            ImageError: a picture is missing, too large, of an unknown kind, or broken.
            MissingInputError: nothing to judge, or with ``strict`` an input that the recipe reads is missing.
            InputError: neither a meme nor a picture, no such option, or a rationale given to a student that reads none.
        """
        options = options.change(**changes)
        if isinstance(memes, Item):
            return self.judge([memes], options)[0]
        items, options = collect_items(memes, options)
        return self.judge_prepared([self.prepare(meme, options) for meme in items], options)

    def judge_prepared(self, prepared: Sequence[PreparedMeme], options: JudgeOptions) -> list[Verdict]:
        """Judge memes that `prepare` has prepared; returns verdicts in order, raises InputError as `judge`."""
        inputs = [meme.shown for meme in prepared]
        scores = score_answers(self.label_student, inputs, self.card.label_texts(), options.batch_size)
        probabilities = self.card.harm_probability(scores).tolist()
        labels: Sequence[bool | None] = [None] * len(inputs)
        if self._writes_labels(options):
            labels = write_labels(self.label_student, inputs, self.card.answers, self.card.label_texts())
        familiar: Sequence[dict[str, float] | None] = [None] * len(inputs)
        if self.familiarity is not None:
            familiar = self.familiarity.measure(self.label_student, inputs, options.batch_size)
        rationales = self._write_rationales(inputs, familiar, options)
        saliencies = self._compute_saliencies(inputs, options)
        cuts = [self.label_student.cuts(shown.text) for shown in inputs]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        read_side = self.side_reader.read_side if self.side_reader else stated_side
        verdicts = [
            Verdict(
                meme_id=meme.meme_id,
                harmful=labels[index],
                score=probabilities[index],
                threshold=self.card.threshold,
                decision="review",  # until the policy decides, below
                rationale=rationale,
                rationale_side=None if rationale is None else read_side(rationale),
                saliency=saliencies[index],
                evidence=meme.evidence,
                missing=meme.shown.missing,
                text_cut=cuts[index],
                familiarity=familiar[index],
                key=meme.key,
                detector=self.key,
                recipe=self.card.recipe,
                created_at=now,
            )
            for index, (meme, rationale) in enumerate(zip(prepared, rationales, strict=True))
        ]
        return [self.card.decide_verdict(verdict) for verdict in verdicts]

    def load(self, meme: Meme, options: JudgeOptions = DEFAULT_OPTIONS) -> LoadedMeme:
        """Read a meme's evidence and, where this detector needs its picture, the bytes of the file.

        Raises:
            ImageError: the picture file is missing or too large.
        """
        evidence = (options.evidence or {}).get(meme.id) or Evidence(
            meme_id=meme.id, text=meme.text, text_source="given" if meme.text is not None else None
        )
        needs_words = "text" in self.card.reads and evidence.text is None and meme.text is None
        needs_clean = self.shows_clean and not evidence.clean_image
        needs_posted = self.takes_picture and not self.shows_clean
        data = None
        if meme.image and (needs_words or needs_clean or needs_posted):
            data = options.read_picture(meme.image)
            evidence = evidence.model_copy(update={"image_sha256": sha256_bytes(data)})
        return LoadedMeme(meme, evidence, data, needs_words, needs_clean)

    def prepare(self, meme: Meme, options: JudgeOptions = DEFAULT_OPTIONS) -> PreparedMeme:
        """Prepare a meme for the students: read its words where need be, compose its text, fit its picture.

        Raises:
            ImageError, InputError: as `judge`.
        """
        if options.given_rationales and not self.reads_rationale:
            raise InputError(
                "given_rationales: this detector's label student reads no rationale; leave the option out, or use a "
                "detector that was trained with --stages joint"
            )
        source = self.load(meme, options)
        evidence, image = self._gather(source, options)
        text, missing = compose_text(self.card.reads, meme, evidence, odd_text=self.card.odd_text)
        if self.takes_picture and image is None:
            missing = (*missing, "clean_image" if self.shows_clean else "image")
        if not text and image is None:
            raise MissingInputError(
                f"{meme.id}: nothing to judge: neither a text nor a picture this detector can use; "
                f"it reads {', '.join(self.card.reads)}" + (" and a picture" if self.takes_picture else "")
            )
        if options.strict and missing:
            raise MissingInputError(
                f"{meme.id}: the recipe wants {', '.join(missing)}; give it, or judge without --strict"
            )
        shown = StudentInput(
            text,
            self.label_student.fit(image) if image is not None else None,
            missing=missing,
            rationale=(options.given_rationales or {}).get(meme.id),
        )
        return PreparedMeme(meme.id, shown, evidence, self.judgement_key(source, options))

    def _gather(self, source: LoadedMeme, options: JudgeOptions) -> tuple[Evidence, Image.Image | None]:
        """Return a meme's evidence, with what its picture shows where that is not known, and the picture to show."""
        meme, evidence, image = source.meme, source.evidence, None
        if meme.image and source.data is not None:
            if options.gather is not False and (source.needs_words or source.needs_clean):
                evidence, image = self.eye.extract(
                    meme, source.data, meme.image, evidence, clean=source.needs_clean
                )
            if self.takes_picture and not self.shows_clean:
                image = decode(source.data, meme.image)
        if self.shows_clean and source.evidence.clean_image:
            image = open_image(options.picture_path(source.evidence.clean_image))
        return evidence, image

    @cached_property
    def eye(self) -> EvidencePipeline:
        """The engines that read and clean pictures without evidence, loaded for the first such picture."""
        return EvidencePipeline(Engines(inpainter="telea" if self.card.picture_shown == "clean" else "none"))

    def judgement_key(self, source: LoadedMeme, options: JudgeOptions) -> str:
        """Return a short key of a meme and how it is judged: the same key gives the same score again.

        In bf16, which is part of the key, it is the same but for rounding, which changes with the memes of a batch (by
        up to 0.04). The policy is not part of the key, as decisions follow from scores; it ends in ``-written`` where
        the label does not, because the student writes it (greedy mode).
        """
        how: dict[str, Any] = {
            name: getattr(options, name) for name in ("rationales", "saliency", "greedy", "gather")
        }
        rationale = (options.given_rationales or {}).get(source.meme.id)
        if rationale is not None:
            how["given_rationale"] = rationale
        if self.dtype != torch.float32:
            how["dtype"] = str(self.dtype)  # a narrower arithmetic gives other scores
        words = meme_text(source.meme, source.evidence)
        if words != source.evidence.text:
            how["text"] = words  # posted words that the evidence does not hold, or that were edited since
        if self.shows_clean and source.evidence.clean_image:
            clean = options.read_picture(source.evidence.clean_image)
            how["clean_image"] = sha256_bytes(clean)  # another in-painter writes to the same path
        evidence = source.evidence.model_dump(mode="json", exclude={"made_by"})
        key = content_key(self.card.scorer(), evidence, how)
        return key + (WRITTEN if self._writes_labels(options) else "")

    def scores(
        self,
        memes: Sequence[Meme],
        *,
        evidence: Mapping[str, Evidence] | None = None,
        root: Path | None = None,
    ) -> Floats:
        """Compute uncalibrated log-probabilities of the label strings, gathering nothing. *Shape:* (memes, answers)"""
        options = JudgeOptions(evidence=evidence, root=root, gather=False)
        inputs = [self.prepare(meme, options).shown for meme in memes]
        return score_answers(self.label_student, inputs, self.card.label_texts())

    def saliency(self, inputs: Sequence[StudentInput], kind: SaliencyKind) -> list[Saliency]:
        """Compute the saliency of one batch: the label student's attention, or what moved its decision.

        Raises:
            InputError: no such kind.
        """
        if kind == "attention":
            return self.label_student.attend(inputs)
        if kind != "gradient":
            raise InputError(f"no saliency of kind {kind!r}; there are: {', '.join(get_args(SaliencyKind))}")
        harmful = [answer.harmful for answer in self.card.answers]
        attributions = self.label_student.attribute(inputs, self.card.label_texts(), harmful)
        return [attribution.saliency() for attribution in attributions]

    def _compute_saliencies(
        self, inputs: Sequence[StudentInput], options: JudgeOptions
    ) -> Sequence[Saliency | None]:
        if not options.saliency:
            return [None] * len(inputs)
        kind: SaliencyKind = "attention" if options.saliency is True else options.saliency
        size = options.batch_size
        batches = (inputs[start : start + size] for start in range(0, len(inputs), size))
        return [saliency for batch in batches for saliency in self.saliency(batch, kind)]

    def _write_rationales(
        self,
        inputs: Sequence[StudentInput],
        familiar: Sequence[dict[str, float] | None],
        options: JudgeOptions,
    ) -> Sequence[str | None]:
        """Write a rationale for each input that has what the student reads: of the rest it would speak all the same."""
        if options.rationales is False or self.rationale_student is None:
            return [None] * len(inputs)
        rationales = [shown.rationale for shown in inputs]
        places = [
            place
            for place, (shown, parts) in enumerate(zip(inputs, familiar, strict=True))
            if shown.rationale is None and not lacks_unusually(shown, parts)
        ]
        unexplained, tokens = [inputs[place] for place in places], self.card.rationale_tokens
        texts = write_texts(self.rationale_student, unexplained, tokens, options.batch_size)
        before, _, after = self.card.rationale_template.partition("{rationale}")
        for place, text in zip(places, texts, strict=True):
            rationales[place] = text.removeprefix(before.strip()).removesuffix(after.strip() or "\0").strip()
        return rationales

    def _writes_labels(self, options: JudgeOptions) -> bool:
        return options.greedy if options.greedy is not None else self.card.decoding == "greedy"
