"""Say what an image is: its weighting, what it may show, and what the protocol lacks.

Words (series name, protocol, file name) are looked at here and forgotten; only the class, and
what kind of evidence decided it, goes on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from volumetry.intake.deidentify import number
from volumetry.intake.header import Grid
from volumetry.intake.nifti import CleanImage
from volumetry.intake.types import (
    AcquisitionFacts,
    Coverage,
    RecognisedSeries,
    SequenceClass,
)

# An adult brain, vertex to foramen magnum, about 130-140 mm high, 130 mm wide, 165 mm long.
# The limits allow a small adult with little room to spare; a cut brain is found by measuring.
BRAIN_FIELD_MM = (115.0, 140.0, 120.0)
# The cord's own width with room to find it, and the C2-C3 disc with a vertebra on either side.
CORD_FIELD_MM = (20.0, 20.0, 30.0)
# Vertex to the lower edge of C2 in an adult: brain 130 mm, then about 40 mm of upper neck.
HEAD_AND_NECK_MM = 170.0
CORD_SLICE_MM = 5.0  # axial slices thicker than this blur the cord's slant into its area
CORD_PLANE_MM = 1.6  # the cord is 8 mm deep: fewer than five voxels across measure nothing
SAGITTAL_SLICE_MM = 3.6  # sagittal 3 mm slices are taken, with a warning
BRAIN_SLICE_MM = 5.0
BRAIN_GOOD_SLICE_MM = 1.5  # volumetry.md 3.4: thicker slices are a warning
OTHER_KIND = (
    "By its name or timing it is a diffusion, perfusion, functional or vessel series, "
    "on which neither brain nor cord is measured."
)
ROUNDING = 1.001  # headers hold float32: 5 mm may read as 5.000003

_EDGE = r"(?:^|[^a-z0-9])"
_END = r"(?:$|[^a-z0-9*])"
OTHER_WORDS = re.compile(
    r"dwi|trace?w|ep2d|bold|fmri|perfusion|angio|localizer|localiser|scout|survey|field.?map"
    rf"|spectro|{_EDGE}(?:adc|dti|diff|diffusion|rest|asl|perf|swi|tof|mra|phase|b0|mip){_END}"
)
FLAIR_WORDS = re.compile(r"flair|dark.?fluid")
T2S_WORDS = re.compile(
    rf"t2\s?(?:\*|_?star)|{_EDGE}t2s|medic|merge|{_EDGE}m?ffe{_END}|t2w?_gre"
)
T1_WORDS = re.compile(rf"{_EDGE}t1|mp2?rage|bravo|fspgr|spgr|vibe|{_EDGE}tfl")
T2_WORDS = re.compile(rf"{_EDGE}t2|{_EDGE}ciss{_END}|fiesta|{_EDGE}stir")
NECK_WORDS = re.compile(
    rf"neck|cerv|spin(?:e(?!cho)|al)|{_EDGE}c.?sp|myel|{_EDGE}cord|hals|{_EDGE}hws|{_EDGE}c2c3"
    rf"|p[aá]te[rř]|m[ií]cha|{_EDGE}krk|rachis"
)
HEAD_WORDS = re.compile(
    rf"brain|head|cran|neuro|kopf|sch(?:ae|ä)del|mozk|mozek|hlav|cerebr|{_EDGE}hirn"
)


@dataclass(frozen=True, slots=True)
class SequenceGuess:
    """A weighting, what decided it, and a remark if two kinds of evidence disagree."""

    sequence: SequenceClass
    basis: str
    sentences: tuple[str, ...] = ()


def sequence_guess(
    *, header: Mapping[str, str], series_words: str = "", file_words: str = ""
) -> SequenceGuess:
    """Class a series by its timing, then by its name, then by the file's name."""
    timed = sequence_by_timing(header)
    named = sequence_by_words(series_words)
    if named is SequenceClass.OTHER:  # a diffusion series has the timing of a T2
        return SequenceGuess(named, "series name")
    if timed is not SequenceClass.UNKNOWN:
        if named in {SequenceClass.UNKNOWN, timed}:
            return SequenceGuess(timed, "timing")
        remark = (
            f"The series name says {in_words(named)}, the timing says {in_words(timed)}: "
            "check the protocol."
        )
        return SequenceGuess(timed, "timing", (remark,))
    if named is not SequenceClass.UNKNOWN:
        return SequenceGuess(named, "series name")
    filed = sequence_by_words(file_words)
    if filed is not SequenceClass.UNKNOWN:
        return SequenceGuess(filed, "file name")
    return SequenceGuess(SequenceClass.UNKNOWN, "nothing")


def sequence_by_words(words: str) -> SequenceClass:
    """Class a series by what people call it."""
    lower = words.lower()
    for pattern, found in (
        (FLAIR_WORDS, SequenceClass.FLAIR),
        (OTHER_WORDS, SequenceClass.OTHER),
        (T2S_WORDS, SequenceClass.T2S),
        (T1_WORDS, SequenceClass.T1),
        (T2_WORDS, SequenceClass.T2),
    ):
        if pattern.search(lower):
            return found
    return SequenceClass.UNKNOWN


def sequence_by_timing(header: Mapping[str, str]) -> SequenceClass:
    """Class a series by its timing; unknown unless the timing leaves no doubt.

    Thresholds are the usual teaching values for 1.5 and 3 T: T1 short TR and TE, T2 long TR
    and TE, FLAIR an inversion near the null of water (TI over 1.5 s) with a long TE, T2* a
    gradient echo with a TE of 10 ms or more at a TR under 1.5 s.
    """
    kinds = set(header.get("ScanningSequence", "").split("\\"))
    tr, te = number(header.get("RepetitionTime")), number(header.get("EchoTime"))
    te = te if te is not None else number(header.get("EffectiveEchoTime"))
    ti = number(header.get("InversionTime"))
    if "EP" in kinds:
        return SequenceClass.OTHER
    if not tr or not te:
        return SequenceClass.UNKNOWN
    if ti and ti >= 1500 and te >= 60:
        return SequenceClass.FLAIR
    if "GR" in kinds and "SE" not in kinds:
        if te < 8:
            return SequenceClass.T1
        return SequenceClass.T2S if te >= 10 and tr < 1500 else SequenceClass.UNKNOWN
    if "SE" in kinds:
        if te <= 30 and tr <= 1200:
            return SequenceClass.T1
        if te >= 60 and tr >= 1500:
            return SequenceClass.T2
    return SequenceClass.UNKNOWN


def coverage_judge(grid: Grid, *, words: str) -> Coverage:
    """Judge whether a whole brain and the upper cord fit into the field of view.

    A header does not say where the image lies in the body, so this is about what *may* be
    there; what is there is said by the measurement.
    """
    width, depth, height = grid.field_of_view_mm
    fits_brain = all(
        side >= need for side, need in zip(grid.field_of_view_mm, BRAIN_FIELD_MM, strict=True)
    )
    fits_cord = all(
        side >= need for side, need in zip(grid.field_of_view_mm, CORD_FIELD_MM, strict=True)
    )
    lower = words.lower()
    says_neck = bool(NECK_WORDS.search(lower)) and not HEAD_WORDS.search(lower)
    field = f"The image is {width:.0f} mm wide, {depth:.0f} mm deep and {height:.0f} mm high"
    brain, cord = fits_brain, fits_cord
    if not fits_brain and not fits_cord:
        why = f"{field}: too small for a brain and for the upper cord."
    elif says_neck:
        brain, why = False, f"{field} and its name says neck or cord."
        if not fits_cord:
            why = f"{field}: too small for the upper cord, though its name says neck or cord."
    elif not fits_brain:
        why = f"{field}: too small for a whole brain, large enough for the upper cord."
    elif height < HEAD_AND_NECK_MM:
        cord = False
        why = (
            f"{field}: a whole brain fits; {HEAD_AND_NECK_MM:.0f} mm in height are needed "
            "to hold the cord at C2-C3 as well."
        )
    else:
        why = f"{field}: high enough for brain and upper cord together."
    obstacle = cord_obstacle(grid) if cord else None
    if obstacle:
        cord, why = False, f"{why} {obstacle}"
    thick = max(grid.spacing_mm)
    if brain and thick > BRAIN_SLICE_MM * ROUNDING:
        brain = False
        why = (
            f"{why} Its slices are {_mm(thick)} mm apart; "
            f"brain volume needs {BRAIN_SLICE_MM:g} mm or less."
        )
    return Coverage(brain, cord, why)


def cord_obstacle(grid: Grid) -> str | None:
    """Say why the voxels are too large for cord area, or return None."""
    across, deep, along = grid.spacing_ras_mm
    if along > CORD_SLICE_MM * ROUNDING:
        return (
            f"Its slices are {_mm(along)} mm apart from head to foot; "
            f"cord area needs {CORD_SLICE_MM:g} mm or less."
        )
    if deep > CORD_PLANE_MM * ROUNDING or across > SAGITTAL_SLICE_MM * ROUNDING:
        return (
            f"Its voxels are {_mm(across)} × {_mm(deep)} mm across the cord; "
            f"cord area needs {CORD_PLANE_MM:g} mm or less."
        )
    return None


def protocol_sentences(
    grid: Grid, *, sequence: SequenceClass, coverage: Coverage, is_contrast_enhanced: bool
) -> tuple[str, ...]:
    """Return remarks on what the protocol lacks for brain and for cord."""
    said: list[str] = []
    across = grid.spacing_ras_mm[0]
    thick = max(grid.spacing_mm)
    if coverage.may_hold_brain:
        if sequence not in {SequenceClass.T1, SequenceClass.UNKNOWN}:
            said.append(
                "Brain volume is measured on T1-weighted images; "
                f"this one is {in_words(sequence)}."
            )
        if thick > BRAIN_GOOD_SLICE_MM * ROUNDING:
            said.append(
                f"Its slices are {_mm(thick)} mm apart; brain volume is more exact "
                f"with {BRAIN_GOOD_SLICE_MM:g} mm or less."
            )
    if coverage.may_hold_cord and across > CORD_PLANE_MM * ROUNDING:
        said.append(
            f"Its sagittal slices are {_mm(across)} mm apart: cord area reads several percent "
            "low on such images and is followed as a series of its own."
        )
    if coverage.may_hold_cord and sequence is SequenceClass.FLAIR:
        said.append("Cord area is measured on T1, T2 or T2* images; this one is FLAIR.")
    if sequence is SequenceClass.UNKNOWN:
        said.append("Its weighting (T1, T2, T2*) could not be recognised: please choose it.")
    if is_contrast_enhanced:
        said.append(
            "It was made after contrast agent, which changes measured volumes: "
            "compare it only with others made so."
        )
    return tuple(said)


def series_recognised(
    clean: CleanImage, guess: SequenceGuess, facts: AcquisitionFacts, *, words: str
) -> RecognisedSeries:
    """Put together what is known of a clean image; ``words`` are looked at and forgotten."""
    grid = clean.grid
    coverage = coverage_judge(grid, words=words)
    if guess.sequence is SequenceClass.OTHER and guess.basis != "file name":
        coverage = Coverage(may_hold_brain=False, may_hold_cord=False, why=OTHER_KIND)
    said = protocol_sentences(
        grid,
        sequence=guess.sequence,
        coverage=coverage,
        is_contrast_enhanced=facts.is_contrast_enhanced,
    )
    return RecognisedSeries(
        path=clean.path,
        sha256=clean.sha256,
        shape=grid.shape,
        spacing_mm=grid.spacing_mm,
        axcodes=grid.axcodes,
        field_of_view_mm=grid.field_of_view_mm,
        sequence=guess.sequence,
        sequence_basis=guess.basis,
        coverage=coverage,
        acquisition=facts,
        series_hash=None,
        sentences=(*grid.sentences, *guess.sentences, *said),
    )


def in_words(sequence: SequenceClass) -> str:
    """Return the class as people write it."""
    return {
        SequenceClass.T1: "T1-weighted",
        SequenceClass.T2: "T2-weighted",
        SequenceClass.T2S: "T2*-weighted",
        SequenceClass.FLAIR: "FLAIR",
        SequenceClass.OTHER: "of another kind (diffusion, perfusion, angiography)",
        SequenceClass.UNKNOWN: "of unknown weighting",
    }[sequence]


def _mm(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
