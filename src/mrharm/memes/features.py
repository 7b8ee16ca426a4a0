"""What a Hugging Face dataset says of its columns: which hold pictures, and what the numbers of a class mean.

It is said in up to four places: in the schema of each Parquet or Arrow file, in ``dataset_info.json``, in
``dataset_infos.json``, and in the YAML at the top of ``README.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mrharm.errors import DataError
from mrharm.memes.rows import read_bytes
from mrharm.records import parse_json

README, INFO, INFOS = "README.md", "dataset_info.json", "dataset_infos.json"


@dataclass(frozen=True)
class Features:
    """Columns that hold pictures, and the class names of columns that hold a class's number."""

    images: tuple[str, ...] = ()
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def over(self, other: Features) -> Features:
        """These, and where they say nothing, the other's."""
        return Features(self.images or other.images, {**other.classes, **self.classes})


@dataclass(frozen=True)
class Card:
    """What the files beside the data say: the licence, the features, and the files it was read from."""

    licence: str | None = None
    features: Features = field(default_factory=Features)
    files: Mapping[str, Path] = field(default_factory=dict)


def class_name(value: Any, column: str, names: tuple[str, ...]) -> Any:
    """A class's number (-1 for none, as in tests without labels) -> its name; a name, or nothing, as it is.

    Raises:
        DataError: there is no class of that number.
    """
    if isinstance(value, bool) or value is None or (isinstance(value, str) and value.strip() in names):
        return value
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return value
    if number == -1:
        return None
    if number != float(value) or not 0 <= number < len(names):
        raise DataError(
            f"{column}: no class {str(value)[:60]}; there are 0 to {len(names) - 1} ({', '.join(names)[:80]})"
        )
    return names[number]


def features_of(described: Any) -> Features:
    """Features as `datasets` writes them, in JSON (``{column: {"_type": ...}}``) or in a card (a list of columns)."""
    images, classes = [], {}
    if isinstance(described, dict):
        described = [{"name": name, "dtype": kind} for name, kind in described.items()]
    for column in described if isinstance(described, list) else []:
        name, kind = (column.get("name"), column.get("dtype")) if isinstance(column, dict) else (None, None)
        if not isinstance(name, str):
            continue
        if kind == "image" or (isinstance(kind, dict) and kind.get("_type") == "Image"):
            images.append(name)
        elif isinstance(kind, dict) and (names := _names(kind)):
            classes[name] = names
    return Features(tuple(images), classes)


def _names(kind: dict[str, Any]) -> tuple[str, ...]:
    inner = kind.get("class_label", kind if kind.get("_type") == "ClassLabel" else None)
    names = inner.get("names") if isinstance(inner, dict) else None
    if isinstance(names, dict):  # {'0': ..., '1': ...}, in the order of its numbers
        if not all(str(number).isdecimal() for number in names):
            return ()
        names = [names[number] for number in sorted(names, key=int)]
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def features_in_schema(metadata: Mapping[bytes, bytes] | None) -> Features:
    """The features in the metadata of a Parquet or Arrow schema; none where they are absent or not readable."""
    try:
        described = parse_json((metadata or {})[b"huggingface"].decode("utf-8"))
        return features_of(described["info"]["features"])
    except (KeyError, ValueError, TypeError):
        return Features()


def read_card(root: Path, notes: list[str]) -> Card:
    """What the files in ``root`` say of its dataset; one that cannot be read is noted and does no further harm."""
    licence, features = None, Features()
    files = {name: root / name for name in (INFO, README, INFOS) if (root / name).is_file()}
    for name, path in files.items():
        try:
            said = _front_matter(path) if name == README else json.loads(read_bytes(path))
        except (DataError, ValueError, RecursionError, yaml.YAMLError) as error:
            notes.append(f"{name}: cannot be read ({type(error).__name__}); class names in it are not known")
            continue
        if not isinstance(said, dict):
            continue
        if name == README:
            licence = said.get("license") if isinstance(said.get("license"), str) else None
        features = features.over(features_of(_chosen(name, said, root.name).get("features")))
    return Card(licence, features, files)


def _front_matter(path: Path) -> Any:
    text = read_bytes(path).decode("utf-8-sig").replace("\r\n", "\n")
    if not text.startswith("---\n"):
        return {}
    return yaml.safe_load(text[4:].partition("\n---")[0])


def _chosen(name: str, said: dict[str, Any], config: str) -> dict[str, Any]:
    """The description of one dataset among those of a file: the one called as the folder, else the default or first."""
    if name == INFO:
        return said
    if name == INFOS:
        described = said
    else:
        info = said.get("dataset_info")
        described = {
            str(one.get("config_name", "default")): one
            for one in (info if isinstance(info, list) else [info])
            if isinstance(one, dict)
        }
    order = [described.get(config), described.get("default"), *described.values()]
    return next((one for one in order if isinstance(one, dict)), {})
