import contextlib
import gzip
import hashlib
import io
import json
import os
import stat
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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


def test_the_dataset_is_named_after_the_archive(tmp_path: Path) -> None:
    assert (
        import_memes("folder", pack(tmp_path / "club.tar.gz", posts()), tmp_path / "out").info.name == "club"
    )


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
    assert reasons["m1"].startswith(f"{source}/images/m1.png: 20,000,001 bytes")
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


def test_a_bar_is_drawn_over_the_members(tmp_path: Path) -> None:
    bars: list[tuple[str, int, int]] = []
    with unpacked(pack(tmp_path / "a.zip", posts()), tmp_path / "out", lambda *shown: bars.append(shown)):
        assert bars == [("unpacking a.zip", done, 4) for done in range(5)]


CLIMBING = [
    "../you.txt",
    "a/../../you.txt",
    "/tmp/you.txt",
    "C:you.txt",
    "C:\\you.txt",
    "..\\you.txt",
    "a\\b.txt",
    "__MACOSX/../../you.txt",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CLIMBING)
def test_a_member_that_climbs_out_is_refused_before_anything_is_written(
    tmp_path: Path, kind: str, name: str
) -> None:
    source = pack(tmp_path / "in" / kind, posts() | {name: b"x"})
    refused(source, "leaves the archive's folder; nothing was unpacked")


def test_a_zip_name_with_a_null_byte_is_refused(tmp_path: Path) -> None:
    source = pack(tmp_path / "in/a.zip", posts() | {"a.png#..": b"x"})
    source.write_bytes(source.read_bytes().replace(b"a.png#..", b"a.png\0.."))
    refused(source, r"member 'a\.png\\x00\.\.' leaves the archive's folder")


TYPES = {
    "symbolic link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "unknown": b"Z",
}


@pytest.mark.parametrize("name", TYPES)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    info = tarfile.TarInfo("images/odd.png")
    info.type, info.linkname = TYPES[name], "posts.jsonl"
    members = [(tarfile.TarInfo(name), data) for name, data in posts().items()]
    refused(tar(tmp_path / "in/a.tar", [*members, (info, b"")]), r"'images/odd\.png' is a link, a device")


def test_a_sparse_member_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    info = tarfile.TarInfo("sparse.csv")
    info.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.map": "0,1",
        "GNU.sparse.size": "9000000000",
    }
    refused(tar(tmp_path / "in/a.tar", [(info, b"x")]), r"'sparse\.csv' is a link, a device or a sparse file")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    source = pack(tmp_path / "in/a.zip", posts())
    info = zipfile.ZipInfo("images/odd.png")
    info.external_attr = (kind | 0o644) << 16
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr(info, "../../secret.png")
    refused(source, r"'images/odd\.png' is a link or a device")


def patched(source: Path, name: str, central: int, local: int, form: str, value: int) -> Path:
    """Overwrite a field of a zip's last member in both of its headers, at these places in them."""
    data = bytearray(source.read_bytes())
    for place, offset, fixed in ((data.rfind(b"PK\1\2"), central, 46), (data.rfind(b"PK\3\4"), local, 30)):
        assert data[place + fixed :].startswith(name.encode())
        struct.pack_into(form, data, place + offset, value)
    source.write_bytes(data)
    return source


def test_a_locked_zip_says_to_unpack_it_with_its_password(tmp_path: Path) -> None:
    source = pack(tmp_path / "in/a.zip", {"b.csv": b"x", "a.csv": b"text\nyou\n"})
    patched(source, "a.csv", 8, 6, "<H", 1)
    refused(source, r"'a\.csv' is protected by a password; .*unpack it with its password first")


def test_a_zip_packed_in_another_way_is_refused(tmp_path: Path) -> None:
    source = pack(tmp_path / "in/a.zip", {"a.csv": b"text\nyou\n"})
    refused(patched(source, "a.csv", 10, 8, "<H", 9), "is packed with method 9; .*another tool")


@pytest.mark.parametrize("size", [10, 10_000])
def test_a_zip_that_lies_about_a_size_is_refused(tmp_path: Path, size: int) -> None:
    source = pack(tmp_path / "in/a.zip", {"a.csv": b"text\n" + b"you\n" * 1000})
    refused(patched(source, "a.csv", 24, 22, "<I", size), "broken or cut short|cut short in member")


def test_a_zip_whose_bytes_were_changed_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in/a.zip"
    source.parent.mkdir()
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("a.csv", "text\nyou\n")
    source.write_bytes(source.read_bytes().replace(b"you", b"them"[:3]))
    refused(source, "broken or cut short .*CRC")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("bound", "value", "why"),
    [
        ("MAX_TOTAL", 4000, r"'big\.csv' brings the total to 5,000 bytes"),
        ("MAX_MEMBERS", 2, "more than 2 members"),
        ("SUSPICIOUS", 100, r"'big\.csv' (unpacks from|brings the total to 5,000 bytes, from)"),
    ],
)
def test_a_bomb_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, bound: str, value: int, why: str
) -> None:
    monkeypatch.setattr(archives, bound, value)
    monkeypatch.setattr(archives, "MAX_RATIO", 0.4 if kind == "a.tar" else 2)
    source = pack(tmp_path / "in" / kind, {"a.txt": b"", "big.csv": b"\0" * 5000, "b.txt": b""})
    refused(source, why)


def test_many_small_bombs_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SUSPICIOUS", 1_000_000)
    source = pack(tmp_path / "in/a.zip", {f"{n}.csv": b"\0" * 1_000_000 for n in range(20)})
    refused(source, r"'\d+\.csv' brings the total to .* bytes, from")


def header(kind: bytes, size: int, name: str = "x") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_header_that_fills_the_memory_is_refused(tmp_path: Path, kind: bytes) -> None:
    source = tmp_path / "in/a.tgz"
    source.parent.mkdir()
    source.write_bytes(gzip.compress(header(kind, 3_000_000) + bytes(4_000_000)))
    refused(source, "bytes that belong to no member")


def test_a_chain_of_headers_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in/a.tar"
    source.parent.mkdir()
    source.write_bytes(header(tarfile.XHDTYPE, 0) * 1500 + bytes(10240))
    refused(source, "broken or cut short")


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.XHDTYPE, b"Z"])
def test_a_negative_size_is_refused(tmp_path: Path, kind: bytes) -> None:
    source = tmp_path / "in/a.tar"
    source.parent.mkdir()
    source.write_bytes(header(tarfile.REGTYPE, 0) + header(kind, -1024) + bytes(10240))
    refused(source, "brings the total|broken or cut short|cut short|link|no member")


@pytest.mark.parametrize("kind", ["a.tar", "a.tgz"])
def test_a_tar_with_much_behind_its_end_is_refused(tmp_path: Path, kind: str) -> None:
    source = pack(tmp_path / "in" / kind, posts())
    more = bytes(2_000_000)
    source.write_bytes(source.read_bytes() + (gzip.compress(more) if kind == "a.tgz" else more))
    refused(source, "bytes that belong to no member")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ["a.zip", "a.tar"])
def test_names_that_collide_are_refused(tmp_path: Path, kind: str) -> None:
    source = pack(tmp_path / "in" / kind, {"a.csv": b"x", "a.csv/b.csv": b"y"})
    refused(source, "cannot be unpacked .Not a directory")
    if kind == "a.zip":
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("a.csv", "x")
            archive.writestr("a.csv", "y")
    else:
        tar(source, [(tarfile.TarInfo("a.csv"), b"x"), (tarfile.TarInfo("./a.csv"), b"y")])
    refused(source, r"a\.csv' comes twice")


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_cut_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    source = pack(tmp_path / "in" / kind, posts())
    data = source.read_bytes()
    needed = len(data)
    if kind == "a.tar":  # zeros fill it up behind its end mark
        needed = len(data.rstrip(b"\0")) // 512 * 512 + 512
    for length in {*range(0, needed, 97), *range(0, needed, 512), needed - 1}:
        source.write_bytes(data[:length])
        refused(source, "cut short")


def test_what_only_has_the_name_of_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for kind in KINDS:
        (tmp_path / "in" / kind).write_bytes(b"not an archive, however you look at it" * 100)
        refused(tmp_path / "in" / kind, "broken or cut short .*; download it again")


def test_a_name_that_no_file_system_takes_is_an_error(tmp_path: Path) -> None:
    refused(pack(tmp_path / "in/a.zip", {"x" * 300: b"x"}), "cannot be unpacked .File name too long")


def flip(data: bytes, places: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for place, value in places:
        changed[place % len(changed)] = value
    return bytes(changed)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["a.zip", "a.tar", "a.tgz"]),
    st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=6),
)
def test_whatever_the_bytes_are_it_unpacks_inside_or_fails_by_name(
    kind: str, places: list[tuple[int, int]]
) -> None:
    def attempt(change: Callable[[bytes], bytes]) -> None:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            source = pack(root / "in" / kind, posts())
            source.write_bytes(change(source.read_bytes()))
            with contextlib.suppress(DataError), unpacked(source, root / "data/out", no_progress) as folder:
                assert folder.is_relative_to(root / "data/.out.unpacked")
            assert not [path for path in names(root) if path not in ("in", f"in/{kind}", "data")]

    if kind == "a.tgz":  # behind gzip's checksum nothing would be reached
        attempt(lambda data: gzip.compress(flip(gzip.decompress(data), places)))
    attempt(lambda data: flip(data, places))
