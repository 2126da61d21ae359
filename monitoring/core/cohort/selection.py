"""Who is in, who is out and why, and which visit stands for a patient."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring.core.cohort.definition import Definition, Representative
from monitoring.core.cohort.table import (
    CONTROL,
    CORD,
    DAYS_PER_YEAR,
    INTRACRANIAL,
    PHENOTYPES,
    Cohort,
    Kind,
    Occasions,
    column,
    latest_row,
    most_common_kind,
    nearest_row,
    occasions,
)
from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, IntArray

LESIONS_WITHIN_DAYS = 365
"""A lesion count this long before the visit still describes it."""

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why some patients are out; ``ids`` their pseudonyms."""

    reason: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """One row per patient and control that is in; arrays of shape (n,) or (n, columns).

    ``group`` counts the EDSS groups of the definition from 0; -1 for controls and for patients
    whose EDSS lies in none. ``age`` by birth year; ``duration`` in years since onset.
    """

    cohort: Cohort
    definition: Definition
    occasions: Occasions
    brain_kind: Kind
    cord_kind: Kind
    patient: IntArray
    day: IntArray
    epoch: IntArray
    values: FloatArray
    age: FloatArray
    sex: FloatArray
    duration: FloatArray
    edss: FloatArray
    group: IntArray
    phenotype: IntArray
    lesions_brain: FloatArray
    lesions_cord: FloatArray
    diffuse_cord: FloatArray
    diffuse_brain: FloatArray
    excluded: tuple[Exclusion, ...]

    @property
    def is_control(self) -> BoolArray:
        """Say which rows are healthy controls."""
        return np.asarray(self.phenotype == PHENOTYPES.index(CONTROL))

    @property
    def intracranial(self) -> FloatArray:
        """Return the intracranial volume, mm3."""
        return self.values[:, column(INTRACRANIAL)]

    @property
    def structures(self) -> tuple[str, ...]:
        """Return the brain structures that were asked for and measured, then the cord."""
        measured = [
            name
            for name in self.definition.structures
            if np.isfinite(self.values[:, column(name)]).any()
        ]
        return (*measured, CORD)

    def log_percent(self, structure: str) -> FloatArray:
        """Return 100 ln(value): differences are percent."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return 100 * np.log(self.values[:, column(structure)])

    def in_group(self, group: int) -> BoolArray:
        """Say which rows are patients of an EDSS group."""
        return np.asarray(~self.is_control & (self.group == group))


def select(cohort: Cohort, definition: Definition) -> Selected:
    """Choose one visit per patient and control, with a reason for everybody who is left out.

    Raises
    ------
    NotAssessable
        Where no patient has a usable brain and cord value, in words.
    """
    brain, cord = chosen_kinds(cohort, definition)
    table = occasions(cohort.readings, brain=brain, cord=cord)
    is_dated = np.ones(table.day.size, dtype=np.bool_)
    if definition.since:
        is_dated &= table.day >= definition.since.toordinal()
    if definition.until:
        is_dated &= table.day <= definition.until.toordinal()
    if definition.epochs:
        wanted = [i for i, name in enumerate(cohort.epoch_ids) if name in definition.epochs]
        is_dated &= np.isin(table.brain_epoch, wanted) & np.isin(table.cord_epoch, wanted)
    has_brain = np.isfinite(table.values[:, column("brain_parenchyma")])
    has_both = has_brain & np.isfinite(table.values[:, column(CORD)])
    phenotype = _phenotype(cohort, table)
    is_control = phenotype == PHENOTYPES.index(CONTROL)
    asked = [PHENOTYPES.index(name) for name in definition.phenotypes]
    edss_row = nearest_row(
        cohort.edss.patient,
        cohort.edss.day,
        table.patient,
        table.day,
        within=definition.edss_within_days,
    )
    edss = np.full(table.day.size, np.nan)
    if cohort.edss.value.size:
        edss[edss_row >= 0] = cohort.edss.value[edss_row[edss_row >= 0]]
    year = _year_of(table.day)
    age = year - cohort.birth_year[table.patient]
    steps = (
        (np.isin(phenotype, asked) | is_control, "Phenotype not asked for, or not stated"),
        (is_dated, "No scan in the dates or on the scanner epochs asked for"),
        (has_both, f"No day with usable brain and cord ({_kind_words(cohort, brain, cord)})"),
        (np.isfinite(age), "Birth year not known"),
        ((age >= definition.age_from) & (age <= definition.age_to), "Age outside the range"),
        (
            is_control | np.isfinite(edss),
            f"No EDSS within {definition.edss_within_days} days of such a scan",
        ),
    )
    keep, excluded = _keep(cohort, table, steps)
    rows = _representative(table, np.flatnonzero(keep), definition.visit)
    # Asked of the chosen visit only: a visit that is chosen for its EDSS would stand for a
    # patient as he no longer is.
    in_group = is_control[rows] | (_group(definition, edss[rows]) >= 0)
    if not in_group.all():
        gone = tuple(cohort.ids[one] for one in table.patient[rows[~in_group]])
        excluded = (*excluded, Exclusion("EDSS in none of the groups", gone))
        rows = rows[in_group]
    return _selected(
        cohort,
        definition,
        table,
        rows=rows,
        kinds=(brain, cord),
        columns=(age, edss, phenotype),
        excluded=excluded,
    )


def chosen_kinds(cohort: Cohort, definition: Definition) -> tuple[int, int]:
    """Return the brain and the cord kind that most patients have: methods are never mixed."""
    levels = (definition.cord,) if definition.cord else ("cord_c2_c3", "cord_pmj_64mm")
    pairs = enumerate(cohort.kinds)
    brain = most_common_kind(
        cohort.readings, cohort.kinds, [i for i, k in pairs if k.structure == "brain"]
    )
    cord = most_common_kind(
        cohort.readings,
        cohort.kinds,
        [i for i, k in enumerate(cohort.kinds) if k.structure in levels],
    )
    if brain is None or cord is None:
        missing = "brain volume" if brain is None else "cord area at this level"
        raise NotAssessable(
            f"No patient has a usable {missing}. Upload and review scans, or choose another "
            "cord level."
        )
    return brain, cord


def _kind_words(cohort: Cohort, brain: int, cord: int) -> str:
    """Return the two kinds in words."""
    return f"{cohort.kinds[brain]}; {cohort.kinds[cord]}"


def _phenotype(cohort: Cohort, table: Occasions) -> IntArray:
    """Return the phenotype of each occasion; before the first period, the first; -1 unknown."""
    periods = cohort.phenotypes
    if periods.day.size == 0:
        return np.full(table.day.size, -1)
    row = periods.latest(table.patient, table.day)
    first = np.searchsorted(periods.patient, table.patient)
    safe = np.minimum(first, periods.day.size - 1)
    has_later = (first < periods.day.size) & (periods.patient[safe] == table.patient)
    row = np.where((row < 0) & has_later, safe, row)
    return np.where(row >= 0, periods.value[np.maximum(row, 0)], -1).astype(np.int64)


def _year_of(days: IntArray) -> FloatArray:
    """Return the calendar year of ordinals."""
    epoch = np.datetime64("1970-01-01", "D")
    dates = epoch + (days - 719163).astype("timedelta64[D]")
    return np.asarray(dates.astype("datetime64[Y]").astype(np.int64) + 1970, dtype=np.float64)


def _group(definition: Definition, edss: FloatArray) -> IntArray:
    """Return the EDSS group of each value; -1 in none."""
    group = np.full(edss.size, -1)
    for index, band in enumerate(definition.groups):
        group[(edss >= band.low) & (edss <= band.high)] = index
    return group


def _keep(
    cohort: Cohort, table: Occasions, steps: tuple[tuple[BoolArray, str], ...]
) -> tuple[BoolArray, tuple[Exclusion, ...]]:
    """Apply the conditions in turn; a patient is out at the first that leaves no occasion."""
    keep = np.ones(table.day.size, dtype=np.bool_)
    present = np.zeros(cohort.size, dtype=np.bool_)
    present[table.patient] = True
    names = np.array(cohort.ids, dtype=object)
    excluded = []
    if not present.all():
        excluded.append(Exclusion("No usable scan of these methods", tuple(names[~present])))
    for condition, reason in steps:
        keep = keep & condition
        still = np.zeros(cohort.size, dtype=np.bool_)
        still[table.patient[keep]] = True
        gone = present & ~still
        if gone.any():
            excluded.append(Exclusion(reason, tuple(names[gone])))
        present = still
    return keep, tuple(excluded)


def _representative(table: Occasions, rows: IntArray, which: Representative) -> IntArray:
    """Return the first or last of each patient's rows."""
    patients = table.patient[rows]
    if which is Representative.FIRST:
        return rows[np.unique(patients, return_index=True)[1]]
    return rows[patients.size - 1 - np.unique(patients[::-1], return_index=True)[1]]


def _selected(
    cohort: Cohort,
    definition: Definition,
    table: Occasions,
    *,
    rows: IntArray,
    kinds: tuple[int, int],
    columns: tuple[FloatArray, FloatArray, IntArray],
    excluded: tuple[Exclusion, ...],
) -> Selected:
    """Put the chosen rows together with what is known of them."""
    age, edss, phenotype = columns
    patient, day = table.patient[rows], table.day[rows]
    is_control = phenotype[rows] == PHENOTYPES.index(CONTROL)
    edss_of = np.where(is_control, np.nan, edss[rows])
    said = cohort.lesions
    lesion = latest_row(said.patient, said.day, patient, day)
    safe = np.maximum(lesion, 0)
    is_fresh = lesion >= 0
    if said.day.size:
        is_fresh &= day - said.day[safe] <= LESIONS_WITHIN_DAYS

    def stated(values: FloatArray) -> FloatArray:
        return np.where(is_fresh, values[safe] if values.size else np.nan, np.nan)

    return Selected(
        cohort=cohort,
        definition=definition,
        occasions=table,
        brain_kind=cohort.kinds[kinds[0]],
        cord_kind=cohort.kinds[kinds[1]],
        patient=patient,
        day=day,
        epoch=table.brain_epoch[rows],
        values=table.values[rows],
        age=age[rows],
        sex=cohort.sex[patient],
        duration=(day - cohort.onset[patient]) / DAYS_PER_YEAR,
        edss=edss_of,
        group=_group(definition, edss_of),
        phenotype=phenotype[rows],
        lesions_brain=stated(said.brain),
        lesions_cord=stated(said.cord),
        diffuse_cord=stated(said.diffuse_cord),
        diffuse_brain=stated(said.diffuse_brain),
        excluded=excluded,
    )
