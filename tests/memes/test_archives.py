import gzip
import hashlib
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from mrharm.errors import DataError
from mrharm.memes import archives
from mrharm.memes.archives import unpacked
from mrharm.memes.dataset import ImportOptions
from mrharm.memes.importing import import_memes
from mrharm.progress import no_progress
from mrharm.records import Failure, read_records

Files = dict[str, bytes]
KINDS = ("a.zip", "a.tar", "a.tar.gz", "a.TGZ")


def png(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (9, 9), colour).save(out, "PNG")
    return out.getvalue()


def posts(prefix: str = "") -> Files:
    """A table of four memes, one of them broken, and pictures."""
    rows = [{"id": f"m{n}", "image": f"m{n}.png", "text": f"you {n}", "label": n % 2} for n in range(3)]
    lines = "".join(json.dumps(row) + "\n" for row in rows) + '{"id": "cut'
    pictures = {f"images/m{n}.png": png(colour) for n, colour in enumerate(["red", "blue", "lime"])}
    return {prefix + name: data for name, data in {"posts.jsonl": lines.encode(), **pictures}.items()}


def pack(path: Path, files: Files) -> Path:
    """Files -> an archive of the kind the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path
    return tar(path, [(tarfile.TarInfo(name), data) for name, data in files.items()])


def tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for info, data in members:
            info.size = len(data) if info.isreg() else info.size
            archive.addfile(info, io.BytesIO(data))
    return path


def names(folder: Path) -> list[str]:
    """Everything below a folder, hidden things too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def refused(source: Path, why: str) -> None:
    """Importing must fail by name, and leave the folder around as it was."""
    before = names(source.parent.parent)
    with pytest.raises(DataError, match=why) as error:
        import_memes("folder", source, source.parent / "out")
    assert str(error.value).startswith(str(source))
    assert names(source.parent.parent) == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", ["", "./", "posts-main/"])
def test_an_archive_is_imported_as_its_folder_would_be(tmp_path: Path, kind: str, prefix: str) -> None:
    junk = {"__MACOSX/posts.jsonl": b"x", f"{prefix}.DS_Store": b"x", f"{prefix}images/._m0.png": b"x"}
    source = pack(tmp_path / "in" / kind, posts(prefix) | junk)
    for name, data in posts().items():
        (tmp_path / "plain" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "plain" / name).write_bytes(data)
    options = ImportOptions(validation_share=0)
    dataset = import_memes("folder", source, tmp_path / "data/out", options)
    plain = import_memes("folder", tmp_path / "plain", tmp_path / "out", options)
    assert [meme.model_dump(exclude={"source"}) for meme in dataset.memes] == [
        meme.model_dump(exclude={"source"}) for meme in plain.memes
    ]
    assert dataset.evidence == plain.evidence
    assert names(tmp_path / "data/out") == names(tmp_path / "out")
    assert names(tmp_path / "data")[0] == "out"
    assert dataset.info.source == str(source)
    assert dataset.info.sources == {
        "posts.jsonl": plain.info.sources["posts.jsonl"],
        kind: hashlib.sha256(source.read_bytes()).hexdigest(),
    }


def test_pictures_of_an_archive_are_not_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inodes: set[int] = set()
    make_link = os.link

    def link(source: Path, target: Path) -> None:
        make_link(source, target)
        inodes.add(target.stat().st_ino)

    monkeypatch.setattr("mrharm.memes.pictures.os.link", link)
    dataset = import_memes("folder", pack(tmp_path / "a.zip", posts()), tmp_path / "out")
    paths = [path for meme in dataset.memes if (path := dataset.image_path(meme))]
    assert {path.stat().st_ino for path in paths} == inodes
    assert [path.stat().st_nlink for path in paths] == [1, 1, 1]  # what they were linked from is gone
    assert paths[0].read_bytes() == png("red")
    assert dataset.info.options["images"] == "copy"


def test_errors_and_failures_name_the_archive_and_not_the_folder_that_is_gone(tmp_path: Path) -> None:
    source = pack(tmp_path / "a.zip", {"top/posts.csv": "text\ncafé\n".encode("latin-1")})
    with pytest.raises(DataError, match=r"/a\.zip/posts\.csv: not UTF-8"):
        import_memes("folder", source, tmp_path / "out")
    source = pack(tmp_path / "b.zip", posts() | {"images/m1.png": b"x" * 20_000_001})
    dataset = import_memes("folder", source, tmp_path / "out")
    reasons = {row.item: row.reason for row in read_records(dataset.root / "failures.jsonl", Failure)}
    assert reasons["m1"].startswith("m1.png: 20,000,001 bytes")
    assert names(tmp_path)[:3] == ["a.zip", "b.zip", "out"]


def test_any_other_source_passes_through(tmp_path: Path) -> None:
    (tmp_path / "posts.zip").mkdir()  # a folder, whatever its name
    (tmp_path / "posts.csv").touch()
    for source in (tmp_path, tmp_path / "posts.zip", tmp_path / "posts.csv", tmp_path / "none.zip"):
        with unpacked(source, tmp_path / "out", no_progress) as folder:
            assert folder == source
    assert names(tmp_path) == ["posts.csv", "posts.zip"]


@pytest.mark.parametrize("error", [DataError("you lose"), KeyboardInterrupt()])
def test_the_folder_goes_whatever_happens_inside(tmp_path: Path, error: BaseException) -> None:
    source = pack(tmp_path / "a.zip", posts())
    with pytest.raises(type(error)), unpacked(source, tmp_path / "out", no_progress) as folder:
        assert (folder / "posts.jsonl").is_file()
        raise error
    assert names(tmp_path) == ["a.zip"]


def test_what_a_kill_left_is_removed_the_next_time(tmp_path: Path) -> None:
    leftover = tmp_path / ".out.unpacked/a/left.png"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    import_memes("folder", pack(tmp_path / "a.zip", posts()), tmp_path / "out")
    assert not leftover.parent.parent.exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["../you.txt", "a/../../you.txt", "/tmp/you.txt", "__MACOSX/../../you.txt"])
def test_a_member_that_climbs_out_is_refused_by_name(tmp_path: Path, kind: str, name: str) -> None:
    source = pack(tmp_path / "in" / kind, posts() | {name: b"x"})
    refused(source, f"'{name}' leaves the folder it is unpacked to; nothing was unpacked")
    assert not Path("/tmp/you.txt").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_out_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "in").mkdir()
    info = tarfile.TarInfo("images/odd.png")
    info.type, info.linkname = kind, "../../secret.png"
    members = [(tarfile.TarInfo(name), data) for name, data in posts().items()]
    refused(tar(tmp_path / "in/a.tar", [*members, (info, b"")]), "cannot be unpacked")
    if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):  # links inside are followed
        info.linkname = "m0.png" if kind == tarfile.SYMTYPE else "images/m0.png"
        source = tar(tmp_path / "in/b.tar", [*members, (info, b"")])
        with unpacked(source, tmp_path / "out", no_progress) as folder:
            assert folder
            assert (folder / "images/odd.png").read_bytes() == png("red")


def test_a_locked_zip_says_to_unpack_it_with_its_password(tmp_path: Path) -> None:
    source = pack(tmp_path / "in/a.zip", {"a.csv": b"text\nyou\n"})
    data = bytearray(source.read_bytes())
    data[data.rfind(b"PK\1\2") + 8] |= 1  # the flag in the list of members
    source.write_bytes(data)
    refused(source, "protected by a password; unpack it with its password first")


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(archives, "MIN_BOUND", 100)
    monkeypatch.setattr(archives, "MAX_RATIO", 0.4 if kind == "a.tar" else 2)
    source = pack(tmp_path / "in" / kind, {"a.txt": b"", "big.csv": b"\0" * 5000, "b.txt": b""})
    refused(source, r"unpacks from .* to \d[\d,]+ bytes or more; nothing was unpacked; if you trust it")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.REGTYPE])
@pytest.mark.parametrize("size", [8 << 30, -512])
def test_a_header_that_announces_what_no_memory_or_disk_holds_is_refused(
    tmp_path: Path, kind: bytes, size: int
) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    (tmp_path / "in").mkdir()
    with gzip.open(tmp_path / "in/a.tgz", "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 2000)
    refused(tmp_path / "in/a.tgz", "8,589,934,592 bytes|a header of|-512 bytes" if size > 0 else "cut short")


def test_members_without_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with gzip.open(tmp_path / "in/a.tgz", "wb", 1) as file:
        file.write(tarfile.TarInfo("x").tobuf() * 30_000)
    refused(tmp_path / "in/a.tgz", "unpacks from .* bytes or more")


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_archive_is_refused(tmp_path: Path, kind: str) -> None:
    source = pack(tmp_path / "in" / kind, posts())
    data = source.read_bytes()
    for broken in (b"not an archive, however you look at it" * 100, data.rstrip(b"\0")[:-40], data[:300]):
        source.write_bytes(broken)
        refused(source, "cut short.*; download it again")


def test_a_tar_cut_between_two_members_is_refused(tmp_path: Path) -> None:
    source = pack(tmp_path / "in/a.tar", posts())
    with tarfile.open(source) as archive:
        last = archive.getmembers()[-1]
    source.write_bytes(source.read_bytes()[: last.offset])
    refused(source, "cut short.*download it again")


def test_a_name_that_no_file_system_takes_is_an_error(tmp_path: Path) -> None:
    refused(pack(tmp_path / "in/a.zip", {"x" * 300: b"x"}), "cannot be unpacked.*File name too long")
