"""How familiar a meme is to a detector: how far its text and its picture are from those that the student learned from.

Distances are to the nearest training memes (Sun et al., ICML 2022, "Out-of-distribution detection with deep nearest
neighbors"), in features whitened by the training memes' covariance; validation memes say which distances are usual.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mrharm.errors import DataError
from mrharm.student.interface import Student, StudentInput
from mrharm.verdicts.scoring import batch_by_length

FILE = "familiarity.safetensors"
REFERENCES = 2000  # training memes kept
# A part is unfamiliar where a smaller share of validation memes is as far. Of text and picture at 1 % each, 4 % of the
# demo's test memes go to review (`python -m benchmarks.familiarity`); at 2 %, 7 %.
UNFAMILIAR = 0.01
_NEIGHBOURS = 5
# Of the covariance towards one variance for all features; 1 only gives all features one scale. With whitened features,
# strange pictures are told less well (photographs: AUROC 0.90 for 0.97), strange texts better (0.998 for 0.993).
_SHRINKAGE = {"text": 0.05, "image": 1.0}
_BLOCK = 256  # memes whose distances are computed at once

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FamiliarPart:
    """What is usual of one part: ``text`` or ``image``.

    Fields:
        centre, whitening: features -> (features - centre) @ whitening. *Shapes:* (width,), (width, width)
        references: whitened features of training memes. *Shape:* (memes, width)
        distances: of validation memes that have the part, ascending. *Shape:* (memes,)
    """

    centre: Floats
    whitening: Floats
    references: Floats
    distances: Floats

    @classmethod
    def fit(cls, train: Floats, validation: Floats, shrinkage: float) -> FamiliarPart:
        """Fit to the features of training memes and of validation memes. *Shapes:* (memes, width)"""
        centre = train.mean(0)
        spread = train.std(0) + 1e-6
        covariance = np.cov((train - centre) / spread, rowvar=False, ddof=0).reshape(len(centre), -1)
        shrunk = (1 - shrinkage) * covariance + shrinkage * np.eye(len(centre))
        whitening = np.linalg.cholesky(np.linalg.inv(shrunk)) / spread[:, None]
        # Distances are computed as they will be from the file.
        centre, whitening = centre.astype(np.float32), whitening.astype(np.float32)
        references = ((train - centre) @ whitening).astype(np.float32)
        part = cls(centre, whitening, references, np.zeros(0, np.float32))
        return cls(centre, whitening, references, np.sort(part.measure_distances(validation)))

    def measure_distances(self, features: Floats) -> Floats:
        """Compute the mean distance to the nearest training memes. *Shape:* (memes, width) -> (memes,)"""
        nearest = min(_NEIGHBOURS, len(self.references))
        squares = (self.references**2).sum(1)
        distances = [np.zeros(0, np.float32)]
        for start in range(0, len(features), _BLOCK):
            rows = (features[start : start + _BLOCK] - self.centre) @ self.whitening
            squared = (rows**2).sum(1)[:, None] + squares - 2 * rows @ self.references.T
            smallest = np.partition(squared, nearest - 1, axis=1)[:, :nearest]
            distances.append(np.sqrt(smallest.clip(0)).mean(1).astype(np.float32))
        return np.concatenate(distances)

    def compute_shares(self, features: Floats) -> NDArray[np.float64]:
        """Compute the share of validation memes that are at least as far. *Shape:* (memes, width) -> (memes,)"""
        nearer = np.searchsorted(self.distances, self.measure_distances(features), side="left")
        return 1 - nearer / max(len(self.distances), 1)


@dataclass(frozen=True)
class Familiarity:
    """What a detector learned from.

    Fields:
        parts: ``text``, ``image`` -> what is usual of it, where training memes have it.
        absent: part that the recipe reads -> share of validation memes without it; 0 where it is not named.
    """

    parts: Mapping[str, FamiliarPart]
    absent: Mapping[str, float]

    @classmethod
    def fit(
        cls, student: Student, train: Sequence[StudentInput], validation: Sequence[StudentInput]
    ) -> Familiarity:
        """Fit to what the student makes of training memes, and of validation memes, which it has not learned from."""
        rows, held_back = pool_features(student, train), pool_features(student, validation)
        parts = {
            name: FamiliarPart.fit(_stack(rows, name), _stack(held_back, name), shrinkage)
            for name, shrinkage in _SHRINKAGE.items()
            if _stack(rows, name).size and _stack(held_back, name).size
        }
        counts = Counter(name for shown in validation for name in absent_parts(shown))
        return cls(parts, {name: count / len(validation) for name, count in sorted(counts.items())})

    def measure(
        self, student: Student, inputs: Sequence[StudentInput], batch_size: int = 32
    ) -> list[dict[str, float]]:
        """Measure how familiar each part of each meme is, 0 to 1; a part that it lacks counts by how many lack it."""
        rows = pool_features(student, inputs, batch_size)
        familiar: list[dict[str, float]] = [
            {name: self.absent.get(name, 0.0) for name in absent_parts(shown)} for shown in inputs
        ]
        for name in _SHRINKAGE:
            places = [place for place, row in enumerate(rows) if name in row]
            # A part that no training meme had is unfamiliar whatever it is.
            shares = np.zeros(len(places))
            if places and name in self.parts:
                shares = self.parts[name].compute_shares(_stack(rows, name))
            for place, share in zip(places, shares.tolist(), strict=True):
                familiar[place][name] = share
        return familiar

    def save(self, folder: Path) -> None:
        """Write ``familiarity.safetensors``."""
        tensors = {
            f"{name}.{field}": np.ascontiguousarray(getattr(part, field))
            for name, part in self.parts.items()
            for field in FamiliarPart.__annotations__
        }
        tensors |= {f"absent.{name}": np.array([share]) for name, share in self.absent.items()}
        save_file(tensors, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Familiarity:
        """Read what `save` wrote; raises DataError where it is broken."""
        try:
            tensors = load_file(folder / FILE)
            names = {name.partition(".")[0] for name in tensors} - {"absent"}
            parts = {
                name: FamiliarPart(*(tensors[f"{name}.{field}"] for field in FamiliarPart.__annotations__))
                for name in sorted(names)
            }
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise DataError(f"{folder / FILE}: cannot be read ({error}); train the detector again") from None
        absent = {
            name.removeprefix("absent."): float(share[0])
            for name, share in tensors.items()
            if name.startswith("absent.")
        }
        return cls(parts, absent)


def is_unfamiliar(familiar: Mapping[str, float] | None) -> bool:
    """Tell whether a part of a meme is unlike what the detector learned from; not where it has not learned that."""
    return familiar is not None and min(familiar.values(), default=1.0) < UNFAMILIAR


def lacks_unusually(shown: StudentInput, familiar: Mapping[str, float] | None) -> bool:
    """Tell whether a meme lacks a part that the student reads, and that the memes it learned from have."""
    return any((familiar or {}).get(name, 0.0) < UNFAMILIAR for name in absent_parts(shown))


def absent_parts(shown: StudentInput) -> tuple[str, ...]:
    """Return the parts that the student reads and a meme lacks: those missing, and ``text`` where it has no words."""
    without_words = not shown.text and "text" not in shown.missing
    return (*shown.missing, "text") if without_words else shown.missing


def pool_features(
    student: Student, inputs: Sequence[StudentInput], batch_size: int = 32
) -> list[dict[str, Floats]]:
    """Return the student's features of each meme, by part; parts that a meme lacks are left out."""
    rows: list[dict[str, Floats]] = [{} for _ in inputs]
    for batch in batch_by_length(student, inputs, batch_size):
        for place, features in zip(batch, student.features([inputs[place] for place in batch]), strict=True):
            rows[place] = features
    return rows


def _stack(rows: Sequence[Mapping[str, Floats]], name: str) -> Floats:
    """Stack the features of one part of the memes that have it. *Shape:* (memes, width)"""
    stacked = [row[name] for row in rows if name in row]
    return np.stack(stacked) if stacked else np.zeros((0, 0), np.float32)
