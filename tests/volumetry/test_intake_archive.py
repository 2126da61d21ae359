"""Zip archives that are hostile, damaged or odd."""

import errno
import io
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from tests.volumetry.intake_files import (
    KEY,
    dicom_series,
    file_at,
    nifti_bytes,
    zip_bytes,
)
from volumetry.intake.door import DEFAULT_LIMITS, intake
from volumetry.intake.types import IntakeRefused, Limits


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "door"
    folder.mkdir()
    return folder


def refusal(
    content: bytes, *, tmp_path: Path, scratch: Path, limits: Limits = DEFAULT_LIMITS
) -> str:
    before = {path for path in tmp_path.rglob("*") if path != tmp_path / "a.zip"}
    with pytest.raises(IntakeRefused) as caught:
        intake([file_at(tmp_path, "a.zip", content)], scratch=scratch, key=KEY, limits=limits)
    after = {path for path in tmp_path.rglob("*") if path != tmp_path / "a.zip"}
    assert after == before, "nothing is left, inside the scratch folder or outside of it"
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "EVA" not in sentence
    return sentence


def zip_of(*entries: tuple[zipfile.ZipInfo | str, bytes], method: int = 8) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return buffer.getvalue()


def link(name: str, target: bytes) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, target


def renamed(archive: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    return archive.replace(old, new)


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "a/../../evil", "/etc/evil", "..\\evil", "\\\\host\\evil", "C:\\evil",
        "C:evil", "ok/..", "..",
    ],
)  # fmt: skip
def test_a_path_that_leads_outside_is_refused(name, tmp_path, scratch):
    content = zip_of((name, dicom_series(1)[0]))

    assert "leads outside" in refusal(content, tmp_path=tmp_path, scratch=scratch)


def test_names_are_never_used_on_disk(tmp_path, scratch, monkeypatch):
    """Even a harmless name stays in memory: files get numbers."""
    seen: list[str] = []
    opened = Path.open

    def spy(self, *args, **kwargs):
        seen.append(str(self))
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", spy)
    content = zip_bytes({f"NOVAKOVA_EVA/{n}": c for n, c in enumerate(dicom_series(8))})

    intake([file_at(tmp_path, "a.zip", content)], scratch=scratch, key=KEY)

    assert seen
    assert not any("EVA" in path for path in seen)


def test_links_are_refused(tmp_path, scratch):
    content = zip_of(link("image", b"/etc/passwd"), ("x", b"x"))

    assert "links instead of files" in refusal(content, tmp_path=tmp_path, scratch=scratch)


def test_a_zip_inside_a_zip_is_refused(tmp_path, scratch):
    content = zip_bytes({"study.zip": zip_bytes({"a": b"x"})})

    assert "another zip" in refusal(content, tmp_path=tmp_path, scratch=scratch)


def test_an_archive_with_a_password_is_refused(tmp_path, scratch):
    content = bytearray(zip_bytes({"a": b"x" * 50}))
    local, central = content.index(b"PK\x03\x04"), content.index(b"PK\x01\x02")
    content[local + 6] |= 1
    content[central + 8] |= 1

    assert "password" in refusal(bytes(content), tmp_path=tmp_path, scratch=scratch)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_unusual_compression_is_refused_unopened(method, tmp_path, scratch):
    content = zip_of(("a", b"x" * 500), method=method)

    assert "unusual compression" in refusal(content, tmp_path=tmp_path, scratch=scratch)


def test_an_empty_archive_is_refused(tmp_path, scratch):
    assert "is empty" in refusal(zip_bytes({}), tmp_path=tmp_path, scratch=scratch)
    assert "is empty" in refusal(zip_bytes({"a/": b""}), tmp_path=tmp_path, scratch=scratch)


def test_an_archive_without_images_is_refused(tmp_path, scratch):
    content = zip_bytes({"readme.txt": b"hello", "EVA.pdf": b"%PDF-1.4"})

    assert "None of the 2 files is an image" in refusal(
        content, tmp_path=tmp_path, scratch=scratch
    )


def _entry_without_name() -> bytes:
    archive = bytearray(zip_bytes({"a": nifti_bytes()}))
    archive[archive.index(b"PK\x01\x02") + 28] = 0
    return bytes(archive)


def _directory_before_the_file() -> bytes:
    archive = bytearray(zip_bytes({"a": nifti_bytes()}))
    end = archive.index(b"PK\x05\x06")
    archive[end + 16 : end + 20] = b"\xff\xff\xff\x7f"
    return bytes(archive)


def _wrong_checksum() -> bytes:
    archive = bytearray(zip_of(("a", nifti_bytes()), method=0))
    archive[archive.index(b"n+1\0") + 200] ^= 0xFF
    return bytes(archive)


@pytest.mark.parametrize(
    "content",
    [
        zip_bytes({"a": nifti_bytes()})[:-30],
        zip_bytes({"a": nifti_bytes()})[:3000],
        b"PK\x03\x04" + bytes(100),
        b"PK\x05\x06" + b"\xff" * 18,
        _wrong_checksum(),
        _directory_before_the_file(),
        zip_bytes({"a": nifti_bytes()})[200:],
    ],
)
def test_a_damaged_archive_is_said_to_be_damaged(content, tmp_path, scratch):
    sentence = refusal(content, tmp_path=tmp_path, scratch=scratch)

    assert "damaged" in sentence or "not an image" in sentence


def test_an_entry_without_a_name_is_no_crash(tmp_path, scratch):
    assert refusal(_entry_without_name(), tmp_path=tmp_path, scratch=scratch)


def test_a_full_disk_is_not_the_archive_s_fault(tmp_path, scratch, monkeypatch):
    """Transient errors must stay transient: trying again may help."""

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("volumetry.intake.archive._entry_write", full)

    with pytest.raises(OSError, match="No space"):
        intake([file_at(tmp_path, "a.zip", zip_bytes({"a": b"x"}))], scratch=scratch, key=KEY)
    assert list(scratch.iterdir()) == []


def test_bytes_are_counted_while_reading_not_believed(tmp_path, scratch):
    """The table of contents claims one byte each; the entries hold a megabyte."""
    archive = zip_bytes({f"{n}": bytes(1 << 20) for n in range(5)})
    lying = archive.replace(struct.pack("<I", 1 << 20), struct.pack("<I", 1))

    sentence = refusal(
        archive, tmp_path=tmp_path, scratch=scratch, limits=Limits(max_unpacked_bytes=3 << 20)
    )
    assert "unpacks to more" in sentence
    assert "damaged" in refusal(lying, tmp_path=tmp_path, scratch=scratch)


def test_a_bomb_stops_at_the_limit_with_little_memory(tmp_path, scratch):
    content = zip_bytes({"a": bytes(64 << 20)})
    assert len(content) < 100_000

    tracemalloc.start()
    sentence = refusal(
        content, tmp_path=tmp_path, scratch=scratch, limits=Limits(max_unpacked_bytes=32 << 20)
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "unpacks to more" in sentence
    assert peak < 16 << 20


def test_more_entries_than_allowed_are_refused(tmp_path, scratch):
    content = zip_bytes({f"{n}": b"x" for n in range(12)})

    assert "more than 10 files" in refusal(
        content, tmp_path=tmp_path, scratch=scratch, limits=Limits(max_entries=10)
    )


def test_a_table_of_contents_without_end_is_not_read(tmp_path, scratch):
    """A million empty entries fit into 50 MB and would take a gigabyte of objects."""
    content = zip_bytes({f"{n:06d}": b"" for n in range(3000)})

    sentence = refusal(
        content, tmp_path=tmp_path, scratch=scratch, limits=Limits(max_directory_bytes=100_000)
    )

    assert "table of contents" in sentence


def test_a_zip_of_nifti_files_is_taken(tmp_path, scratch):
    content = zip_bytes({"s/EVA_T1w.nii": nifti_bytes(), "s/notes.json": b"{}"})

    found = intake([file_at(tmp_path, "a.zip", content)], scratch=scratch, key=KEY)

    assert [series.sequence for series in found.series] == ["t1"]
    assert found.skipped == ("1 file that holds no image was left out.",)


def test_the_mac_adds_shadows_that_do_not_matter(tmp_path, scratch):
    entries = {f"s/{n}": c for n, c in enumerate(dicom_series(8))}
    entries |= {"__MACOSX/s/._1": b"\x00\x05\x16\x07" + bytes(100), "s/.DS_Store": b"Bud1"}

    found = intake([file_at(tmp_path, "a.zip", zip_bytes(entries))], scratch=scratch, key=KEY)

    assert found.series[0].shape == (32, 32, 8)
    assert found.skipped == ("2 files that hold no image were left out.",)
