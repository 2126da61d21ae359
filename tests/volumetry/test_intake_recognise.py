"""What an image is and what it may show, said from geometry, timing and words."""

import numpy as np
import pytest

from volumetry.intake.header import Grid
from volumetry.intake.recognise import (
    coverage_judge,
    protocol_sentences,
    sequence_by_timing,
    sequence_by_words,
    sequence_guess,
)
from volumetry.intake.types import SequenceClass


def grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    """Return a grid whose axes run right, front and up."""
    return Grid(shape, np.diag([*spacing, 1.0]), ())


HEAD_3D = grid((192, 256, 256), (1.0, 1.0, 1.0))
HEAD_AXIAL_3MM = grid((256, 256, 48), (0.91, 0.91, 3.0))
NECK_AXIAL_GRE = grid((256, 256, 22), (0.9, 0.9, 5.0))
NECK_SAGITTAL = grid((15, 320, 320), (3.0, 0.75, 0.75))
NECK_3D = grid((64, 320, 320), (0.8, 0.8, 0.8))


@pytest.mark.parametrize(
    ("image", "words", "brain", "cord"),
    [
        (HEAD_3D, "", True, True),
        (HEAD_3D, "t1_mprage_brain", True, True),
        (HEAD_3D, "t1 neck", False, True),
        (HEAD_AXIAL_3MM, "", True, False),
        (HEAD_AXIAL_3MM, "cspine gre", False, True),
        (NECK_AXIAL_GRE, "", False, True),
        (NECK_SAGITTAL, "", False, True),
        (NECK_3D, "head and neck", False, True),
        (grid((256, 256, 19), (0.9, 0.9, 6.0)), "neck", False, False),
        (grid((256, 256, 24), (0.9, 0.9, 6.0)), "", False, False),
        (grid((60, 60, 9), (0.5, 0.5, 7.5)), "", False, False),
        (grid((20, 20, 20), (0.5, 0.5, 0.5)), "neck", False, False),
        (grid((90, 110, 90), (2.0, 2.0, 2.0)), "", True, False),
    ],
)
def test_coverage_follows_the_field_of_view_and_the_words(image, words, brain, cord):
    coverage = coverage_judge(image, words=words)

    assert (coverage.may_hold_brain, coverage.may_hold_cord) == (brain, cord)
    assert coverage.why.endswith(".")


def test_coverage_does_not_depend_on_how_the_axes_are_stored():
    """A law: the same image with permuted and flipped axes covers the same."""
    affine = np.array([[0, 0, -1.0, 90], [3.0, 0, 0, -9], [0, 0.9, 0, 0], [0, 0, 0, 1]])
    stored = Grid((48, 200, 190), affine, ())
    straight = grid((190, 48, 200), (1.0, 3.0, 0.9))

    np.testing.assert_allclose(stored.field_of_view_mm, straight.field_of_view_mm)
    np.testing.assert_allclose(stored.spacing_ras_mm, straight.spacing_ras_mm)
    assert stored.axcodes == ("A", "S", "L")
    assert coverage_judge(stored, words="") == coverage_judge(straight, words="")


def test_thick_axial_slices_are_named_with_the_limit():
    why = coverage_judge(grid((256, 256, 19), (0.9, 0.9, 6.0)), words="neck").why

    assert "6 mm apart" in why
    assert "cord area needs 5 mm or less" in why


def test_five_millimetres_in_float32_are_five_millimetres():
    assert coverage_judge(grid((256, 256, 22), (0.9, 0.9, 5.000003)), words="").may_hold_cord


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("t1_mprage_sag_p2_iso", "t1"),
        ("Sag T1 SE", "t1"),
        ("AX BRAVO", "t1"),
        ("sub-01_ses-02_T1w.nii.gz", "t1"),
        ("t2_tse_sag", "t2"),
        ("t2_tse_restore_sag", "t2"),
        ("STIR sag", "t2"),
        ("t2_space_dark-fluid_sag", "flair"),
        ("T2 FLAIR 3D", "flair"),
        ("sub-9584_run-1_T2starw.nii.gz", "t2s"),
        ("t2s.nii.gz", "t2s"),
        ("T2* GRE ax", "t2s"),
        ("me2d_medic_tra", "t2s"),
        ("ep2d_diff_3scan_trace", "other"),
        ("rest_bold", "other"),
        ("TOF_3D_multi-slab", "other"),
        ("perf pwi", "other"),
        ("session 7", "unknown"),
        ("", "unknown"),
        ("different protocol", "unknown"),
    ],
)
def test_names_that_people_give(words, expected):
    assert sequence_by_words(words) == expected


@pytest.mark.parametrize(
    ("kinds", "tr", "te", "ti", "expected"),
    [
        ("GR\\IR", "2300", "2.98", "900", "t1"),
        ("GR", "25", "3.5", None, "t1"),
        ("SE", "600", "11", None, "t1"),
        ("SE", "4000", "100", None, "t2"),
        ("SE\\IR", "9000", "120", "2500", "flair"),
        ("SE\\IR", "5000", "390", "1800", "flair"),
        ("SE\\IR", "3500", "70", "180", "t2"),
        ("GR", "600", "18", None, "t2s"),
        ("EP\\SE", "8000", "90", None, "other"),
        ("SE", "2200", "30", None, "unknown"),
        ("RM", "500", "10", None, "unknown"),
        ("GR", None, "3", None, "unknown"),
        ("GR", "junk", "3", None, "unknown"),
    ],
)
def test_timing_that_leaves_no_doubt(kinds, tr, te, ti, expected):
    header = {"ScanningSequence": kinds, "EchoTime": te}
    header |= {"RepetitionTime": tr} if tr else {}
    header |= {"InversionTime": ti} if ti else {}

    assert sequence_by_timing(header) == expected


def test_timing_goes_before_words_and_their_quarrel_is_told():
    header = {"ScanningSequence": "SE", "RepetitionTime": "4000", "EchoTime": "100"}

    guess = sequence_guess(header=header, series_words="t1_tse", file_words="x_T1w.nii")

    assert (guess.sequence, guess.basis) == (SequenceClass.T2, "timing")
    assert "says T1-weighted" in guess.sentences[0]


def test_a_file_name_is_the_last_hint():
    assert sequence_guess(header={}, file_words="a_T2w.nii").basis == "file name"
    assert sequence_guess(header={}, file_words="a.nii").basis == "nothing"


def said(image: Grid, sequence: SequenceClass, *, contrast: bool = False) -> str:
    coverage = coverage_judge(image, words="")
    return " ".join(
        protocol_sentences(
            image, sequence=sequence, coverage=coverage, is_contrast_enhanced=contrast
        )
    )


def test_a_good_protocol_needs_no_remark():
    assert said(HEAD_3D, SequenceClass.T1) == ""


def test_what_a_protocol_lacks_is_said():
    assert "T1-weighted images; this one is FLAIR" in said(HEAD_AXIAL_3MM, SequenceClass.FLAIR)
    assert "3 mm apart" in said(HEAD_AXIAL_3MM, SequenceClass.T1)
    assert "sagittal slices are 3 mm" in said(NECK_SAGITTAL, SequenceClass.T2)
    assert "please choose it" in said(NECK_3D, SequenceClass.UNKNOWN)
    assert "this one is FLAIR" in said(NECK_3D, SequenceClass.FLAIR)
    assert "contrast agent" in said(HEAD_3D, SequenceClass.T1, contrast=True)
