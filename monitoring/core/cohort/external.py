"""An external reference of cord area by age and sex, and the refusal to mix methods.

The table is that of the PAM50-normalised metrics: one row per session with dataset, sex, age,
diagnosis, contrast and area per level, measured by the Spinal Cord Toolbox. Only healthy
adults, first session each, enter; a cohort is compared only where level, method and contrast
are the reference's own.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from monitoring.core.cohort.report import Cell, Column, Room, Table, Verdict, interval_words
from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import CORD, Kind, column
from monitoring.core.cohort_statistics import Z95
from monitoring.core.errors import InvalidTable, NotAssessable
from monitoring.core.series import FloatArray, as_floats

METHOD = "sct"
LEVELS_OF = {"csa_C2_mm2": "cord_c2", "csa_C2C3_mm2": "cord_c2_c3"}
CONTRASTS = {"T1w": "T1-weighted", "T2w": "T2-weighted"}
HEALTHY = frozenset({"", "HC", "CN", "healthy", "n/a", "control", "CONTROL"})
ADULT = 18.0
FULL_LEVEL = 0.95
MINIMUM_PEOPLE = 20


@dataclass(frozen=True, slots=True)
class Reference:
    """Healthy adults of one level and contrast: age, sex (1 male) and area in mm2."""

    level: str
    contrast: str
    age: FloatArray
    male: FloatArray
    area: FloatArray

    def cells(self) -> list[tuple[str, str, int, float, float]]:
        """Return age decade, sex, n, mean and SD of every cell of ten or more people."""
        found = []
        for low in range(20, 90, 10):
            for male, word in ((0.0, "female"), (1.0, "male")):
                own = self.area[(self.age >= low) & (self.age < low + 10) & (self.male == male)]
                if own.size >= 10:
                    sd = float(own.std(ddof=1))
                    found.append(
                        (f"{low}-{low + 9}", word, int(own.size), float(own.mean()), sd)
                    )
        return found


def read_reference(text: str) -> list[Reference]:
    """Read the table.

    Raises
    ------
    InvalidTable
        Where a column is missing or a number is none.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    needed = {"dataset", "participant_id", "sex", "age", "pathology", "contrast", *LEVELS_OF}
    if not rows or not needed <= set(rows[0]):
        missing = sorted(needed - set(rows[0] if rows else ()))
        raise InvalidTable(f"The reference table lacks the columns {', '.join(missing)}.")
    groups: dict[tuple[str, str], dict[tuple[str, str], tuple[float, float, float]]] = {}
    for number, row in enumerate(rows, start=2):
        if row["pathology"] not in HEALTHY or row["sex"] not in {"F", "M"} or not row["age"]:
            continue
        try:
            age = float(row["age"])
            areas = {c: float(row[c]) for c in LEVELS_OF if row[c]}
            share = float(row.get("C2C3_slice_fraction") or 1.0)
        except ValueError as error:
            raise InvalidTable(f"Row {number} of the reference holds no number.") from error
        person = (row["dataset"], row["participant_id"])
        for name, area in areas.items():
            if age < ADULT or (name == "csa_C2C3_mm2" and share < FULL_LEVEL):
                continue
            own = groups.setdefault((LEVELS_OF[name], row["contrast"]), {})
            own.setdefault(person, (age, float(row["sex"] == "M"), area))
    return [
        _reference(level, contrast, own.values()) for (level, contrast), own in groups.items()
    ]


def _reference(
    level: str, contrast: str, people: Iterable[tuple[float, float, float]]
) -> Reference:
    """Put the people of one level and contrast together."""
    table = as_floats(list(people))
    return Reference(level, CONTRASTS.get(contrast, contrast), *table.T)


def matching(references: Iterable[Reference], kind: Kind) -> Reference:
    """Return the reference of a cord kind.

    Raises
    ------
    NotAssessable
        Where level, method or contrast differ: two methods are never compared.
    """
    offered = list(references)
    for one in offered:
        same = (one.level, METHOD, one.contrast) == (kind.structure, kind.method, kind.contrast)
        if same and one.area.size >= MINIMUM_PEOPLE:
            return one
    words = "; ".join(
        f"{one.level.replace('_', ' ')}, {METHOD}, {one.contrast} ({one.area.size} adults)"
        for one in offered
    )
    raise NotAssessable(
        f"The external reference holds for {words}. This cohort's cord is {kind}: areas of "
        "different methods, levels or contrasts differ by up to 20 % and are not compared."
    )


def reference_room(selected: Selected, references: Iterable[Reference]) -> Room:
    """Compare the cohort with the external reference, or say why not."""
    slug, title = "reference", "External reference of cord area"
    question = "How does the cord compare with healthy adults elsewhere?"
    offered = list(references)
    tables = tuple(_table(one) for one in offered if one.cells())
    if not offered:
        return Room(
            slug, title, question, Verdict.CANNOT_SAY, "No external reference is loaded here."
        )
    try:
        one = matching(offered, selected.cord_kind)
    except NotAssessable as error:
        return Room(slug, title, question, Verdict.CANNOT_SAY, str(error), (), tables)
    design = np.column_stack([np.ones(one.age.size), one.age, one.age**2, one.male])
    beta = np.linalg.lstsq(design, one.area, rcond=None)[0]
    young, old = float(one.age.min()), float(one.age.max())
    rows = ~selected.is_control & np.isfinite(selected.sex) & np.isfinite(selected.age)
    rows &= (selected.age >= young) & (selected.age <= old)
    age, sex = selected.age[rows], selected.sex[rows]
    gap = selected.values[rows, column(CORD)] - np.column_stack(
        [np.ones(age.size), age, age**2, sex]
    ) @ beta  # fmt: skip
    if gap.size < MINIMUM_PEOPLE:
        reason = (
            f"{gap.size} patients are of the reference's ages; {MINIMUM_PEOPLE} are needed."
        )
        return Room(slug, title, question, Verdict.CANNOT_SAY, reason, (), tables)
    width = Z95 * float(gap.std(ddof=1)) / gap.size**0.5
    mean = float(gap.mean())
    words = interval_words(mean, mean - width, mean + width, 1)
    return Room(
        slug,
        title,
        question,
        Verdict.DESCRIBED,
        f"Against {one.area.size} healthy adults aged {young:.0f} to {old:.0f} the cord "
        "differs "
        f"by {words} mm² ({gap.size} patients; age and sex alike, other scanners).",
        (),
        tables,
    )


def _table(one: Reference) -> Table:
    """Return the reference by age and sex."""
    rows: tuple[tuple[Cell, ...], ...] = tuple(one.cells())
    slug = f"reference-{one.level}-{one.contrast}".lower().replace("_", "-")
    return Table(
        slug,
        f"Reference: {one.level.replace('_', ' ')}, {METHOD}, {one.contrast}",
        (
            Column("Age"),
            Column("Sex"),
            Column("n", 0),
            Column("Mean, mm²", 1),
            Column("SD", 1),
        ),
        rows,
        "Healthy adults, first session each, from the PAM50-normalised metrics (Valosek, "
        "Bedard "
        "et al. 2024, doi 10.1162/imag_a_00075).",
    )
