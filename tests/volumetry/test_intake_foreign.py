"""Every file of nibabel's and pydicom's own test sets ends in a sentence or is taken right."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from tests.volumetry.intake_files import KEY
from volumetry.core.images import image_load
from volumetry.intake.door import intake
from volumetry.intake.types import IntakeRefused

NIBABEL = Path(nib.__file__).parent
PYDICOM = Path(pydicom.__file__).parent
FOLDERS = (
    NIBABEL / "tests" / "data",
    NIBABEL / "nicom" / "tests" / "data",
    PYDICOM / "data",
)
FOREIGN = [
    path
    for folder in FOLDERS
    for path in sorted(folder.rglob("*"))
    if path.is_file() and "__pycache__" not in path.parts
]
# Three-dimensional and large enough: the only two of these files that may pass.
TAKEN = {"anatomical.nii", "reoriented_anat_moved.nii"}


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "door"
    folder.mkdir()
    return folder


def test_the_test_sets_are_there():
    """Both packages ship them; a release that does not must not make this file pass empty."""
    assert len([path for path in FOREIGN if path.is_relative_to(NIBABEL)]) > 80
    assert len([path for path in FOREIGN if path.is_relative_to(PYDICOM)]) > 200
    assert {path.name for path in FOREIGN} >= TAKEN


@pytest.mark.parametrize("path", FOREIGN, ids=lambda path: "/".join(path.parts[-3:]))
def test_a_file_of_the_test_sets_ends_in_a_sentence_or_is_taken(path, scratch):
    if path.name in TAKEN:
        (series,) = intake([(path.name, path)], scratch=scratch, key=KEY).series
        source = nib.load(path)
        np.testing.assert_allclose(
            image_load(series.path).intensities, source.get_fdata(), rtol=1e-6
        )
        return
    with pytest.raises(IntakeRefused) as caught:
        intake([(path.name, path)], scratch=scratch, key=KEY)

    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert len(sentence) < 200
    assert path.stem not in sentence or len(path.stem) < 6
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("test_files", "damaged or cut off"),
        ("test_files/dicomdirtests", "more than one patient"),
        ("test_files/dicomdirtests/98892003", "only 3 images"),
        ("test_files/dicomdirtests/TINY_ALPHA", "no MR images, only 50 CT images"),
        ("charset_files", "damaged|more than one patient|no MR images"),
    ],
)
def test_a_whole_folder_ends_in_a_sentence(folder, expected, scratch):
    files = [(p.name, p) for p in sorted((PYDICOM / "data" / folder).rglob("*")) if p.is_file()]

    with pytest.raises(IntakeRefused, match=expected):
        intake(files, scratch=scratch, key=KEY)
    assert list(scratch.iterdir()) == []
