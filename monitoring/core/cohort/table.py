"""The data of a cohort as columns: what a clinic knows of all its patients, ready for numpy.

Days are proleptic ordinals (`date.toordinal`), unknown numbers NaN. Every long table is sorted
by patient and day. Nothing here knows a database or a name; ``ids`` are pseudonyms.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitoring.core.series import FloatArray, IntArray, as_floats
from volumetry.core.types import EXPERIMENTAL

DAYS_PER_YEAR = 365.25

BRAIN_STRUCTURES = (
    "brain_parenchyma",
    "grey_matter",
    "white_matter",
    "thalamus",
    "corpus_callosum",
    "lateral_ventricles",
)
FOLLOWED_STRUCTURES = tuple(name for name in BRAIN_STRUCTURES if name not in EXPERIMENTAL)
"""What an analysis holds by default: experimental structures are chosen by name."""
CORD = "cord"
CORD_VOLUME = "cord_volume"
INTRACRANIAL = "intracranial"
COLUMNS = (*BRAIN_STRUCTURES, INTRACRANIAL, CORD, CORD_VOLUME)
"""Columns of `Readings.values`: volumes in mm3 (corpus callosum: area, mm2), the cord's mean
area over the window of its level in mm2, and the volume of that window in mm3."""

STRUCTURE_WORDS = {
    "brain_parenchyma": "Whole brain",
    "grey_matter": "Grey matter",
    "white_matter": "White matter",
    "thalamus": "Thalamus (experimental)",
    "corpus_callosum": "Corpus callosum (experimental)",
    "lateral_ventricles": "Lateral ventricles",
    "intracranial": "Intracranial volume",
    "cord": "Cord",
    "cord_volume": "Cord volume",
}
GROWS_WITH_LOSS = frozenset({"lateral_ventricles"})
"""Fluid spaces grow when tissue is lost."""

SYSTEMS = (
    "visual",
    "brainstem",
    "pyramidal",
    "cerebellar",
    "sensory",
    "bowel_bladder",
    "cerebral",
    "ambulation",
)
CONTROL = "HC"
PHENOTYPES = ("RIS", "CIS", "RRMS", "SPMS", "PPMS", CONTROL)
LEVELS = ("insufficient", "none", "watch", "flag")


def column(structure: str) -> int:
    """Return the column of a structure in `Readings.values`."""
    return COLUMNS.index(structure)


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """What was measured and how: values of two kinds are never compared.

    ``structure`` is ``brain`` or the cord level; ``contrast`` is kept for the cord, for T1- and
    T2-weighted areas are different quantities (clinical rules, 8.3).
    """

    structure: str
    method: str
    version: str
    contrast: str = ""

    def __str__(self) -> str:
        """Return the kind in words."""
        contrast = f" on {self.contrast}" if self.contrast else ""
        return f"{self.structure.replace('_', ' ')}: {self.method} {self.version}{contrast}"


@dataclass(frozen=True, slots=True)
class Long:
    """One number per patient and day; all arrays of shape (n,)."""

    patient: IntArray
    day: IntArray
    value: FloatArray

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, float]]) -> "Long":
        """Return the table of (patient, day, value) rows, sorted."""
        table = np.array(sorted(rows), dtype=np.float64).reshape(-1, 3)
        return cls(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2])

    def latest(self, patients: IntArray, days: IntArray) -> IntArray:
        """Return the row of each patient's last entry up to a day; -1 without one."""
        return latest_row(self.patient, self.day, patients, days)


@dataclass(frozen=True, slots=True)
class Readings:
    """What one run measured: columns of `COLUMNS` in ``values``, NaN where it did not."""

    patient: IntArray
    day: IntArray
    epoch: IntArray
    kind: IntArray
    values: FloatArray

    def take(self, rows: NDArray[np.bool_] | IntArray) -> "Readings":
        """Return some rows."""
        return Readings(
            self.patient[rows],
            self.day[rows],
            self.epoch[rows],
            self.kind[rows],
            self.values[rows],
        )


@dataclass(frozen=True, slots=True)
class Lesions:
    """What a reader stated of a visit: counts, and diffuse change as 0 or 1; NaN: not said."""

    patient: IntArray
    day: IntArray
    brain: FloatArray
    cord: FloatArray
    new: FloatArray
    diffuse_brain: FloatArray
    diffuse_cord: FloatArray


@dataclass(frozen=True, slots=True)
class Statements:
    """Divergence as of each scan, from what was known then: never from a later scan.

    ``d``, ``brain_slope`` and ``cord_slope`` in percent per year (NaN where insufficient),
    ``level`` an index into `LEVELS`.
    """

    patient: IntArray
    day: IntArray
    d: FloatArray
    p_change: FloatArray
    brain_slope: FloatArray
    cord_slope: FloatArray
    level: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Everything that the cohort page may ask of a clinic's patients.

    Attributes
    ----------
    ids : tuple of str
        Pseudonyms, in the order of the patient indices.
    sex : array
        0 female, 1 male, NaN unknown.
    edss : Long
        With ``systems``, shape (n, 8), in its row order (`SYSTEMS`, NaN: not scored).
    phenotypes : Long
        Index into `PHENOTYPES` from a day on.
    """

    ids: tuple[str, ...]
    sex: FloatArray
    birth_year: FloatArray
    onset: FloatArray
    phenotypes: Long
    readings: Readings
    kinds: tuple[Kind, ...]
    epochs: tuple[str, ...]
    edss: Long
    systems: FloatArray
    relapses: Long
    lesions: Lesions
    statements: Statements
    is_synthetic: bool = False
    epoch_ids: tuple[str, ...] = field(default=())

    @property
    def size(self) -> int:
        """Return how many patients and controls there are."""
        return len(self.ids)


def latest_row(
    patient: IntArray, day: IntArray, patients: IntArray, days: IntArray
) -> IntArray:
    """Return, per asked patient, the last row up to a day; -1 without one.

    Parameters
    ----------
    patient, day : arrays, shape (n,)
        Sorted by patient, then day.
    """
    if patient.size == 0:
        return np.full(patients.size, -1)
    place = np.searchsorted(_key(patient, day), _key(patients, days), side="right") - 1
    found = (place >= 0) & (patient[np.maximum(place, 0)] == patients)
    return np.where(found, place, -1)


def nearest_row(
    patient: IntArray, day: IntArray, patients: IntArray, days: IntArray, *, within: int
) -> IntArray:
    """Return, per asked patient, the row nearest to a day; -1 if none is ``within`` days.

    Of two equally near the earlier one.
    """
    before = latest_row(patient, day, patients, days)
    if patient.size == 0:
        return before
    place = np.searchsorted(_key(patient, day), _key(patients, days), side="right")
    safe = np.minimum(place, patient.size - 1)
    has_after = (place < patient.size) & (patient[safe] == patients)
    after = np.where(has_after, safe, -1)

    def gap(rows: IntArray) -> FloatArray:
        return np.where(rows >= 0, np.abs(day[np.maximum(rows, 0)] - days), np.inf)

    gap_before, gap_after = gap(before), gap(after)
    chosen = np.where(gap_after < gap_before, after, before)
    return np.where(np.minimum(gap_before, gap_after) <= within, chosen, -1)


def _key(patient: IntArray, day: IntArray) -> IntArray:
    """Return one number that sorts by patient, then day; ordinals stay below 2**22."""
    return np.asarray(patient, dtype=np.int64) * (1 << 22) + np.asarray(day, dtype=np.int64)


def slices(patient: IntArray, size: int) -> IntArray:
    """Return where each patient's rows begin, and the end: shape (size + 1,)."""
    return np.searchsorted(patient, np.arange(size + 1)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Occasions:
    """Readings of one brain and one cord kind, joined per patient and day."""

    patient: IntArray
    day: IntArray
    brain_epoch: IntArray
    cord_epoch: IntArray
    values: FloatArray


def occasions(readings: Readings, *, brain: int, cord: int) -> Occasions:
    """Join a day's readings of the wanted kinds; several of one kind are averaged.

    The epoch of a day is that of its first reading; -1 where the region was not measured.
    """
    wanted = readings.take((readings.kind == brain) | (readings.kind == cord))
    keys = _key(wanted.patient, wanted.day)
    unique, place = np.unique(keys, return_inverse=True)
    total = np.zeros((unique.size, len(COLUMNS)))
    count = np.zeros_like(total)
    known = np.isfinite(wanted.values)
    np.add.at(total, place, np.where(known, wanted.values, 0.0))
    np.add.at(count, place, known)
    with np.errstate(invalid="ignore"):
        values = as_floats(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    epochs = []
    for kind in (brain, cord):
        own = np.flatnonzero(wanted.kind == kind)[::-1]
        epoch = np.full(unique.size, -1)
        epoch[place[own]] = wanted.epoch[own]
        epochs.append(epoch)
    return Occasions(
        patient=(unique >> 22).astype(np.int64),
        day=(unique & ((1 << 22) - 1)).astype(np.int64),
        brain_epoch=epochs[0],
        cord_epoch=epochs[1],
        values=values,
    )


def most_common_kind(
    readings: Readings, kinds: Sequence[Kind], wanted: Iterable[int]
) -> int | None:
    """Return the kind that most patients have; the smaller name on a tie; None without any."""
    best: tuple[int, str, int] | None = None
    for kind in wanted:
        patients = np.unique(readings.patient[readings.kind == kind]).size
        if not patients:
            continue
        candidate = (-patients, str(kinds[kind]), kind)
        best = candidate if best is None else min(best, candidate)
    return None if best is None else best[2]
