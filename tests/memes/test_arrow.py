import socket
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pytest

from mrharm.errors import DataError, InputError
from mrharm.memes import pictures
from mrharm.memes.sources import huggingface_tables
from tests.memes.helpers import draw, write
from tests.memes.sources.huggingface_helpers import labels, parquet, rows, saved, schema, stream, take


def test_pictures_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_tables, "ROWS_AT_ONCE", 2)
    read: list[int] = []
    original = pictures.decode

    def decode(data: bytes, name: str) -> Any:
        read.append(pa.total_allocated_bytes())
        return original(data, name)

    monkeypatch.setattr(pictures, "decode", decode)
    big = [row | {"text": "you" * 200_000} for row in rows(0, 12)]
    stream(tmp_path / "in/train.arrow", big)
    parquet(tmp_path / "in/test.parquet", big)
    before = pa.total_allocated_bytes()
    take(tmp_path / "in")
    assert len(read) == 24
    assert max(read) - before < 12 * 600_000


@pytest.mark.parametrize("name", ["test.parquet", "test.arrow"])
def test_a_file_cut_anywhere_is_named_with_its_mend(tmp_path: Path, name: str) -> None:
    path = tmp_path / "in" / name
    (parquet if path.suffix == ".parquet" else stream)(path, rows(0, 6))
    data = path.read_bytes()
    for length in [*range(0, len(data), 211), len(data) - 1, len(data) - 8]:
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=rf"{name}: .*(cut short|broken).*again"):
            take(tmp_path / "in")
        assert [entry.name for entry in tmp_path.iterdir()] == ["in"]


def test_bytes_that_were_changed_never_crash(tmp_path: Path) -> None:
    for name, make in (("test.parquet", parquet), ("test.arrow", stream)):
        path = make(tmp_path / "in" / name, rows(0, 6))
        data = path.read_bytes()
        for place in range(0, len(data), 97):
            path.write_bytes(
                data[:place]
                + bytes(256 - byte if byte else 255 for byte in data[place : place + 3])
                + data[place + 3 :]
            )
            try:
                take(tmp_path / "in")
            except DataError as error:
                assert name in str(error)
        path.unlink()


def test_a_git_lfs_pointer_is_told_from_the_file(tmp_path: Path) -> None:
    for name in ("train.parquet", "train.arrow", "train.jsonl"):
        path = write(
            tmp_path / "in" / name, "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"
        )
        with pytest.raises(DataError, match=rf"{name}: a Git LFS pointer.*git lfs pull"):
            take(tmp_path / "in")
        path.unlink()


@pytest.fixture
def no_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)


@pytest.mark.usefixtures("no_datasets")
@pytest.mark.parametrize(
    "name", ["train.parquet", "train.arrow", "dataset_dict.json", "dataset_info.json", "dataset_infos.json"]
)
def test_without_the_library_the_extra_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path / "in" / name, "ARROW1")
    with pytest.raises(InputError, match=r"needs the datasets library: pip install 'mrharm\[huggingface\]'"):
        take(tmp_path / "in")


@pytest.mark.usefixtures("no_datasets")
def test_texts_and_pictures_need_no_library(tmp_path: Path) -> None:
    draw(tmp_path / "in/train", "a.png")
    write(tmp_path / "in/train/metadata.jsonl", '{"file_name": "a.png", "text": "you"}\n')
    write(tmp_path / "in/README.md", "---\nlicense: mit\n---\n")
    assert len(take(tmp_path / "in").memes) == 1


def test_nothing_is_asked_of_a_network_or_run_from_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*asked: object) -> None:
        raise AssertionError(f"asked the network: {asked}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    script = f"open({str(tmp_path / 'executed')!r}, 'w')"
    for name in ("parquet", "saved"):
        folder = tmp_path / name
        if name == "saved":
            saved(folder, {"train": rows(0, 2)})
        else:
            parquet(folder / "train.parquet", rows(0, 2))
        write(folder / f"{name}.py", script)
        write(
            folder / "README.md", "---\nconfigs: [{data_files: 'https://example.invalid/a.parquet'}]\n---\n"
        )
        assert len(take(folder).memes) == 2
    assert not (tmp_path / "executed").exists()


def test_an_arrow_file_with_a_table_of_contents_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    table = pa.Table.from_pylist(rows(0, 5), schema=schema())
    with pa.OSFile(str(tmp_path / "in/test.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as out:
        for batch in table.to_batches(max_chunksize=2):
            out.write_batch(batch)
    assert list(labels(take(tmp_path / "in")).values()) == [False, True, False, True, False]


def test_offsets_that_point_out_of_a_column_are_refused(tmp_path: Path) -> None:
    path = stream(
        tmp_path / "in/test.arrow", [{"text": "you"}, {"text": "me!"}], pa.schema([("text", pa.string())])
    )
    offsets = b"".join(place.to_bytes(4, "little") for place in (0, 3, 6))
    data = path.read_bytes()
    assert data.count(offsets) == 1
    path.write_bytes(data.replace(offsets, offsets[:4] + (60).to_bytes(4, "little") + offsets[8:]))
    with pytest.raises(DataError, match=r"test\.arrow: broken or cut short .*[Oo]ffset"):
        take(tmp_path / "in")
