"""Hugging Face datasets of made-up memes, in the layouts that `datasets` writes, and what became of them."""

import io
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mrharm.memes.dataset import Dataset, ImportOptions
from mrharm.memes.importing import import_memes
from tests.memes.helpers import by_id

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {
    "image": {"_type": "Image"},
    "text": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["not_harmful", "harmful"], "_type": "ClassLabel"},
}


datasets.disable_progress_bars()


def png(colour: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (9, 9), colour).save(out, "PNG")
    return out.getvalue()


def rows(start: int, count: int) -> list[dict[str, Any]]:
    """Memes whose pictures come as bytes, as `datasets` keeps them."""
    return [
        {
            "image": {"bytes": png((n * 20, 9, 9)), "path": f"m{n}.png"},
            "text": f"you {n}",
            "label": n % 2,
        }
        for n in range(start, start + count)
    ]


def schema(features: dict[str, Any] | None = FEATURES, **types: pa.DataType) -> pa.Schema:
    """A schema as `datasets` writes it: its features stand in the metadata."""
    fields = {"image": IMAGE, "text": pa.string(), "label": pa.int64()} | types
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()} if features else None
    return pa.schema([(name, kind) for name, kind in fields.items() if kind], metadata=metadata)


def parquet(path: Path, values: list[dict[str, Any]], how: pa.Schema | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(values, schema=how or schema()), path, row_group_size=4)
    return path


def saved(folder: Path, splits: dict[str, list[dict[str, Any]]], shards: int = 1) -> Path:
    """What `DatasetDict.save_to_disk` writes of these rows."""
    features = datasets.Features.from_arrow_schema(schema())
    tables = {
        split: datasets.Dataset.from_list(values, features=features) for split, values in splits.items()
    }
    datasets.DatasetDict(tables).save_to_disk(folder, num_shards=dict.fromkeys(splits, shards))
    return folder


def take(source: Path, **columns: str) -> Dataset:
    options = ImportOptions(validation_share=0, columns=columns)
    return import_memes("huggingface", source, source.parent / "out", options, overwrite=True)


def labels(dataset: Dataset) -> dict[str, bool | None]:
    return {meme.id: meme.label.harmful if meme.label else None for meme in dataset.memes}


def splits(dataset: Dataset) -> dict[str, str | None]:
    return {meme.id: meme.split for meme in dataset.memes}


def picture(dataset: Dataset, meme_id: str) -> bytes:
    path = dataset.image_path(by_id(dataset)[meme_id])
    assert path is not None
    return path.read_bytes()
