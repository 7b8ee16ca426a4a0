"""The central types, and their JSONL form: one JSON object a line, UTF-8, unknown keys refused.

These records are all that rooms pass to one another, and all that is on disk between two commands.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mrharm.errors import DataError, InputError

Severity = Literal["none", "somewhat", "very"]
TextSource = Literal["given", "ocr"]
Decision = Literal["allow", "review", "flag"]
RationaleStatus = Literal[
    "unchecked", "ok", "deleaked", "leaks_label", "refused", "empty", "truncated", "off_schema", "injected"
]


class Record(BaseModel):
    """A frozen, validated row; an unknown key is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Label(Record):
    """The annotation of a meme. Only ``harmful`` is always present; the rest where the source has it."""

    harmful: bool
    severity: Severity | None = None
    targets: tuple[str, ...] = ()
    protected_categories: tuple[str, ...] = ()
    attack_types: tuple[str, ...] = ()


class Meme(Record):
    """What was posted: a picture, a text, or both. ``image`` is a path relative to the dataset's folder."""

    id: str = Field(min_length=1)
    image: str | None = None
    text: str | None = None
    label: Label | None = None
    split: str | None = None
    source: str | None = None
    extra: dict[str, Any] = Field(default_factory=dict)


Point = tuple[float, float]
Polygon = tuple[Point, Point, Point, Point]


class WordBox(Record):
    """A word in a line of text; ``polygon`` as in `TextBox`."""

    polygon: Polygon
    text: str


class TextBox(Record):
    """A line of text in a picture; ``polygon`` holds four (x, y) points in pixels, clockwise from the top left."""

    polygon: Polygon
    text: str
    confidence: float = Field(ge=0, le=1)
    words: tuple[WordBox, ...] = ()


class Evidence(Record):
    """What a meme's picture shows. ``made_by``: the engine and version that made each part."""

    meme_id: str = Field(min_length=1)
    image_sha256: str | None = None
    text: str | None = None
    text_source: TextSource | None = None
    boxes: tuple[TextBox, ...] = ()
    clean_image: str | None = None
    caption: str | None = None
    entities: str | None = None
    demographics: str | None = None
    made_by: dict[str, str] = Field(default_factory=dict)


def meme_text(meme: Meme, evidence: Evidence | None) -> str | None:
    """Return the words of a meme: the one rule for students, teachers, judges, audits and pages.

    They are the words as posted. Words that OCR read off the picture take their place where none were posted, or where
    `mrharm gather --ocr always` was asked to prefer them (``text_source`` is then ``ocr``). Evidence that copied a
    posted text which was edited since (`text_is_stale`) is passed over. None where there are no words at all.
    """
    if evidence and evidence.text is not None and (meme.text is None or evidence.text_source == "ocr"):
        return evidence.text
    return meme.text


def text_is_stale(meme: Meme, evidence: Evidence | None) -> bool:
    """Tell whether a meme's posted text was edited after its evidence was gathered."""
    return evidence is not None and evidence.text_source == "given" and evidence.text != meme.text


class Rationale(Record):
    """A teacher's explanation of a meme's label. ``prompt`` is ``name.vN``; ``key`` is the content key of the call."""

    meme_id: str = Field(min_length=1)
    label_given: Label | None = None
    text: str
    status: RationaleStatus = "unchecked"
    teacher: str
    prompt: str | None = None
    messages: tuple[dict[str, Any], ...] | None = None
    raw: str | None = None
    usage: dict[str, Any] | None = None
    key: str | None = None


class Saliency(Record):
    """What the student attended to. ``words``: (word, weight); ``patches``: rows x columns; each sums to 1."""

    words: tuple[tuple[str, float], ...] = ()
    patches: tuple[tuple[float, ...], ...] = ()


Doubt = Literal[
    "text_cut", "unfamiliar", "rationale_disagrees"
]  # why a person should look whatever the score


class Verdict(Record):
    """A detector's verdict on a meme.

    ``score`` is the calibrated P(harmful), whatever the label mode. ``harmful`` is the label in force: whether the
    score reaches ``threshold``, or in greedy mode what the student wrote, None where that is no label: counted as
    wrong, shown as such. ``decision`` is flag for harmful and allow for harmless; where there is a ``band`` (low,
    high), scores from low up to but not including high go to review, as does a meme without a label. A verdict with
    ``doubts`` goes to review whatever its score: its text is longer than the student reads (``text_cut``), it is
    unlike what the student learned from, or its rationale speaks for the other side. ``rationale_side`` is the side it
    speaks for, True for harmful, as its words tell; None where they do not.
    ``familiarity`` says of each part (``text``, ``image``, or one that is missing) which share of validation memes was
    at least as far from the training memes; None for detectors that have not learned it.
    ``missing`` names inputs the recipe wants and the meme does not have. ``key`` says what was judged and how: judging
    again with the same key gives the same score (in bf16 but for rounding, see `Detector.judgement_key`).
    """

    meme_id: str
    harmful: bool | None
    score: float = Field(ge=0, le=1)
    threshold: float = Field(ge=0, le=1)
    band: tuple[float, float] | None = None
    decision: Decision
    rationale: str | None = None
    rationale_side: bool | None = None
    saliency: Saliency | None = None
    evidence: Evidence | None = None
    missing: tuple[str, ...] = ()
    text_cut: bool = False
    doubts: tuple[Doubt, ...] = ()
    familiarity: dict[str, float] | None = None
    key: str | None = None
    detector: str
    recipe: str
    created_at: str


class Failure(Record):
    """An item that failed: what, where and why; kept in failures.jsonl and never dropped silently."""

    item: str
    stage: str
    reason: str
    file: str | None = None
    line: int | None = None


R = TypeVar("R", bound=Record)


def parse_json(text: str) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: not JSON, nested too deep, a number of thousands of digits, or half of a surrogate pair, which
            could be read but never be written as UTF-8 again.
    """
    try:
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("nested too deep") from None
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair (\\ud800 to \\udfff) stands alone") from None
    return value


def parse_record(line: str, kind: type[R], *, file: str | Path = "<text>", number: int = 0) -> R:
    """Parse a JSONL line as a record.

    Raises:
        DataError: names file, line and key, what was expected and what came.
    """
    try:
        row = parse_json(line)
    except ValueError as error:
        raise DataError(f"{file}, line {number}: not JSON ({error})") from None
    return make_record(row, kind, file=file, number=number)


def make_record(row: object, kind: type[R], *, file: str | Path = "<row>", number: int = 0) -> R:
    """Validate a parsed row as a record; raises DataError as `parse_record` does. ``number``: its line, 0 for none."""
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(row)"
        what = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        value = str(first["input"])[:80]
        place = f"{file}, line {number}" if number else str(file)
        raise DataError(f"{place}: {kind.__name__}.{key}: {what}; got {value!r}") from None


def read_records(path: Path, kind: type[R]) -> Iterator[R]:
    """Yield every record of a JSONL file, in order; blank lines are skipped.

    Raises:
        DataError: the file is missing, is not UTF-8, or a line does not hold a ``kind``.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield parse_record(line, kind, file=path, number=number)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; expected one {kind.__name__} a line") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from None


def read_texts_by_id(
    file: Path, what: str, keys: tuple[str, ...]
) -> tuple[bytes, list[tuple[str, str, str | None]]]:
    """Read a file of texts by id: one JSON object ``{id: text}``, or JSON lines with ``id`` or ``meme_id``.

    Args:
        file: the file.
        what: what a text is, for the messages: "caption".
        keys: where a line may hold its text; the first that it has counts.

    Returns:
        the file's bytes, and the place (file and line), id and text of each; a text is None where a line has none.

    Raises:
        InputError: it is missing, or cannot be read.
        DataError: it is not UTF-8, or a line holds something else; the message names file and line.
    """
    try:
        data = file.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); expected {what}s by id") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from None
    texts: list[tuple[str, str, str | None]] = []
    for place, row in _parse_rows(file, text):
        if not isinstance(row, dict):
            raise DataError(f"{place}: expected an object with {what}s by id; got {str(row)[:60]!r}")
        if "id" in row or "meme_id" in row:
            key = next((key for key in keys if key in row), keys[0])
            row = {row.get("id", row.get("meme_id")): row.get(key)}
        for meme_id, value in row.items():
            if not isinstance(meme_id, str | int) or not isinstance(value, str | None):
                raise DataError(
                    f"{place}: expected an id and its {what}; got {meme_id!r}: {str(value)[:60]!r}"
                )
            texts.append((place, str(meme_id), value))
    return data, texts


def _parse_rows(file: Path, text: str) -> list[tuple[str, Any]]:
    """Parse a text as one JSON value, or as one a line; return each with its file and line."""
    with contextlib.suppress(ValueError):
        return [(str(file), parse_json(text))]
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            if line.strip():
                rows.append((f"{file}, line {number}", parse_json(line)))
        except ValueError as error:
            raise DataError(f"{file}, line {number}: not JSON ({error})") from None
    return rows


def to_line(record: Record) -> str:
    """Return a record's JSONL line, without the line feed; keys in declared order.

    Keys at an empty default are left out; a default that is a text (a status) is written, for readers that do not know
    it.
    """
    values = record.model_dump(mode="json", exclude_defaults=True)
    line: dict[str, Any] = {}
    for name, field in type(record).model_fields.items():
        if name in values or isinstance(field.default, str):
            line[name] = values.get(name, field.default)
    return json.dumps(line, ensure_ascii=False)


def to_lines(records: Iterable[Record]) -> str:
    """Return the text of a JSONL file of records."""
    return "".join(to_line(record) + "\n" for record in records)
