"""Files damaged at random end in a sentence or are taken: no traceback, nothing left."""

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import pydicom.data
import pytest

from tests.volumetry.intake_files import (
    KEY,
    OBLIQUE,
    dicom_series,
    file_at,
    nifti_bytes,
    zip_bytes,
)
from volumetry.intake.door import intake
from volumetry.intake.types import IntakeRefused

MUTATIONS = 120


def _test_file(name: str) -> bytes:
    path = pydicom.data.get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path).read_bytes()


# What is mutated, and which of its bytes: headers, where a wrong byte does most harm.
SOURCES: dict[str, tuple[Callable[[], bytes], int, int]] = {
    "nifti": (lambda: nifti_bytes(affine=OBLIQUE), 0, 400),
    "nifti-2": (lambda: nifti_bytes(version=2), 0, 600),
    "gzip": (lambda: gzip.compress(nifti_bytes()), 0, 4000),
    "zip": (lambda: zip_bytes({f"a/{n}": b"text" * n for n in range(4)}), 0, 600),
    "dicom": (lambda: dicom_series(1)[0], 132, 1500),
    "dicom with nested sequences": (lambda: _test_file("nested_priv_SQ.dcm"), 132, 700),
    "implicit dicom": (lambda: _test_file("MR_small_implicit.dcm"), 132, 2000),
}


def mutated(source: bytes, first: int, last: int, rng: random.Random) -> bytes:
    """Return the file with one to ten bytes changed, cut out or put in."""
    content = bytearray(source)
    for _ in range(rng.choice([1, 1, 2, 4, 10])):
        at = rng.randrange(first, min(last, len(content) - 20))
        kind = rng.random()
        if kind < 0.6:
            content[at] = rng.choice([0, 255, rng.randrange(256)])
        elif kind < 0.75:
            del content[at : at + rng.randrange(1, 10)]
        elif kind < 0.9:
            content[at:at] = rng.randbytes(rng.randrange(1, 10))
        else:
            content[at : at + 4] = rng.choice([b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f"])
    return bytes(content)


@pytest.mark.parametrize("name", SOURCES)
def test_a_mutated_file_never_crashes_the_door(name, tmp_path):
    make, first, last = SOURCES[name]
    scratch = tmp_path / "door"
    scratch.mkdir()
    source, rng = make(), random.Random(name)
    sentences = set()
    for _ in range(MUTATIONS):
        content = mutated(source, first, last, rng)
        try:
            found = intake([file_at(tmp_path, "f", content)], scratch=scratch, key=KEY)
        except IntakeRefused as refusal:
            sentences.add(str(refusal))
        else:
            for series in found.series:
                series.path.unlink()
        assert list(scratch.iterdir()) == []
    assert sentences, "a file that survives everything was not mutated"
    assert all(sentence.endswith(".") for sentence in sentences)
