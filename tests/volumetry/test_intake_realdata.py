"""Real scans at the door: the shared DICOM session and every shared NIfTI image."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.volumetry.intake_files import KEY
from volumetry.intake.door import intake
from volumetry.intake.types import IntakeRefused, RecognisedSeries, SequenceClass

pytestmark = pytest.mark.realdata
SESSION = "brain_plus_cord_dicom/studyforrest_sub02_T1w_dicom.zip"
GM_CHALLENGE = "cord_gm_challenge"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "door"
    folder.mkdir()
    return folder


def take(path: Path, *, scratch: Path) -> RecognisedSeries:
    found = intake([(path.name, path)], scratch=scratch, key=KEY)
    assert len(found.series) == 1
    assert found.skipped == ()
    return found.series[0]


def canonical(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.as_closest_canonical(nib.load(path))
    return np.asarray(image.get_fdata(dtype=np.float32)), image.affine


@pytest.fixture(scope="module")
def session(realdata, tmp_path_factory) -> RecognisedSeries:
    return take(realdata / SESSION, scratch=tmp_path_factory.mktemp("door"))


def test_the_session_is_one_series_with_brain_and_cord(session):
    series = session
    assert series.shape == (274, 384, 384)
    np.testing.assert_allclose(series.spacing_mm, (0.7, 0.667, 0.667), atol=0.001)
    np.testing.assert_allclose(series.field_of_view_mm, (191.8, 256, 256), atol=0.1)
    assert (series.sequence, series.sequence_basis) == (SequenceClass.T1, "series name")
    assert series.may_hold_brain
    assert series.may_hold_cord
    assert series.acquisition.manufacturer == "BIOLAB"
    assert series.acquisition.field_strength_tesla is None
    assert series.subject is not None
    assert series.subject.sex == "F"
    assert series.subject.birth_year is None, "its header says 42 years and born 1966"
    assert list(series.path.parent.iterdir()) == [series.path]
    for stored in (repr(series), series.path.read_bytes()[:2000].decode("latin-1")):
        assert "Jane" not in stored
        assert "Hanke" not in stored


def test_the_converted_session_equals_its_block_mean_made_by_other_hands(realdata, session):
    """A witness: the shared folder holds a 2 x 2 x 2 block mean of the same series."""
    fine, fine_affine = canonical(session.path)
    coarse, coarse_affine = canonical(
        realdata / "brain_plus_cord_dicom" / "studyforrest_sub02_T1w_1p33mm.nii.gz"
    )

    blocks = fine.reshape(137, 2, 192, 2, 192, 2).mean(axis=(1, 3, 5))

    np.testing.assert_allclose(  # the middle of a block is the middle of its coarse voxel
        fine_affine @ [0.5, 0.5, 0.5, 1], coarse_affine @ [0, 0, 0, 1], atol=0.01
    )
    assert np.abs(blocks - coarse).max() <= 0.51, "it was rounded to whole numbers"


MEASURE = """
import json, os, pathlib, sys
from volumetry.intake.door import intake
from volumetry.intake.types import Limits
path, scratch = map(pathlib.Path, sys.argv[1:])
limits = Limits(converter_memory_bytes=256 << 20)
start = sum(os.times()[:4])
intake([(path.name, path)], scratch=scratch, key=b"k" * 32, limits=limits)
seconds = sum(os.times()[:4]) - start
status = pathlib.Path("/proc/self/status").read_text()
peak_kb = int(status.split("VmHWM:")[1].split()[0])
print(json.dumps([seconds, peak_kb / 1024]))
"""


def test_the_session_costs_little_time_and_memory(realdata, tmp_path):
    """Measured in a process of its own; the converter has to live within 256 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(realdata / SESSION), str(tmp_path)],
        check=True,
        capture_output=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    seconds, peak_mb = json.loads(done.stdout)

    # 1.8 CPU seconds (2.6 on a busy machine) and 94 MB measured, 88 MB of it the libraries.
    assert seconds < 20
    assert peak_mb < 150


def test_a_functional_series_is_refused(realdata, scratch):
    path = realdata / "cord_sct_testing_data" / "fmri" / "fmri.nii.gz"

    with pytest.raises(IntakeRefused, match="4 dimensions"):
        intake([(path.name, path)], scratch=scratch, key=KEY)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "sequence", "brain", "cord"),
    [
        ("brain_ms_longitudinal/patient12/study1_T1W.nii.gz", "t1", True, False),
        ("brain_ms_longitudinal/patient12/study2_FLAIR.nii.gz", "flair", True, False),
        ("brain_ms_longitudinal/patient04/study1_T1W.nii.gz", "t1", True, False),
        ("brain_plus_cord_dicom/studyforrest_sub02_T1w_1p33mm.nii.gz", "t1", True, True),
        (
            f"{GM_CHALLENGE}/sub-10062Ses1/sub-10062Ses1_run-1_T2starw.nii.gz",
            "t2s",
            False,
            True,
        ),
        (
            f"{GM_CHALLENGE}/sub-10062Ses2/sub-10062Ses2_run-2_T2starw.nii.gz",
            "t2s",
            False,
            True,
        ),
        (f"{GM_CHALLENGE}/sub-9584/sub-9584_run-1_T2starw.nii.gz", "t2s", False, True),
        ("cord_sct_testing_data/t2/t2.nii.gz", "t2", False, True),
        ("cord_sct_testing_data/t2s/t2s.nii.gz", "t2s", False, False),
        ("cord_sct_testing_data/mt/mt1.nii.gz", "unknown", False, False),
        ("cord_sct_tutorial_data/sub-05/sub-05_acq-MToff_MTS.nii.gz", "unknown", False, True),
    ],
)
def test_shared_images_are_recognised_for_what_they_are(
    name, sequence, brain, cord, realdata, scratch
):
    series = take(realdata / name, scratch=scratch)

    assert series.sequence == sequence
    assert (series.may_hold_brain, series.may_hold_cord) == (brain, cord), series.coverage.why


@pytest.mark.slow
def test_every_shared_volume_keeps_voxels_and_millimetres(realdata, scratch):
    """Each 3-D file of ``truth.json``: same numbers, same affine, after the rewriting.

    Of the five label maps, alike but for their content, one stands for all.
    """
    truth = json.loads((realdata / "truth.json").read_text())
    names = [n for n, facts in truth["volumes"].items() if len(facts["shape"]) == 3]
    names = [n for n in names if "training_seg" not in n or "seg_02" in n]
    assert len(names) == 36
    refused = []
    for name in names:
        try:
            series = take(realdata / name, scratch=scratch)
        except IntakeRefused as refusal:
            refused.append((name, str(refusal)))
            continue
        source, clean = nib.load(realdata / name), nib.load(series.path)
        assert np.array_equal(
            np.asanyarray(source.dataobj, dtype=np.float32).reshape(series.shape),
            np.asanyarray(clean.dataobj, dtype=np.float32),
        ), name
        np.testing.assert_allclose(clean.affine, source.affine, atol=2e-4, err_msg=name)
        series.path.unlink()
    assert refused == []
