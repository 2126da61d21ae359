"""An external reference of cord area by age and sex, and the refusal to mix methods.

The table is that of the PAM50-normalised metrics: one row per session with dataset, sex, age,
diagnosis, contrast and area per level, measured by the Spinal Cord Toolbox; a column ``method``
names another program. Only healthy adults, first session each, enter; a cohort is compared only
where level, method and contrast are the reference's own.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from monitoring.core.cohort.report import (
    Cell,
    Column,
    Room,
    Table,
    Verdict,
    interval_words,
    listing,
)
from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import CORD, Kind, column
from monitoring.core.cohort_statistics import Z95
from monitoring.core.errors import InvalidTable, NotAssessable
from monitoring.core.series import FloatArray, as_floats

METHOD = "sct"
LEVELS_OF = {
    **{f"csa_C{one}_mm2": f"cord_c{one}" for one in range(1, 8)},
    "csa_C1C2_mm2": "cord_c1_c2",
    "csa_C2C3_mm2": "cord_c2_c3",
}
NEEDED = ("dataset", "participant_id", "sex", "age", "pathology", "contrast")
CONTRASTS = {"T1w": "T1-weighted", "T2w": "T2-weighted"}
HEALTHY = frozenset({"", "HC", "CN", "healthy", "n/a", "control", "CONTROL"})
ADULT = 18.0
FULL_LEVEL = 0.95
MINIMUM_PEOPLE = 20
SOURCE = (
    "Healthy adults, first session each; cells of ten or more. The table of the "
    "PAM50-normalised metrics: Valosek, Bedard et al. 2024, doi 10.1162/imag_a_00075."
)


@dataclass(frozen=True, slots=True)
class Reference:
    """Healthy adults of one level, method and contrast: age, sex (1 male), area in mm2."""

    level: str
    method: str
    contrast: str
    age: FloatArray
    male: FloatArray
    area: FloatArray

    def cells(self) -> list[tuple[str, str, int, float, float]]:
        """Return age decade, sex, n, mean and SD of every cell of ten or more people."""
        found = []
        for low in range(20, 100, 10):
            for male, word in ((0.0, "female"), (1.0, "male")):
                own = self.area[(self.age >= low) & (self.age < low + 10) & (self.male == male)]
                if own.size >= 10:
                    sd = float(own.std(ddof=1))
                    found.append(
                        (f"{low}-{low + 9}", word, int(own.size), float(own.mean()), sd)
                    )
        return found


def read_reference(text: str) -> list[Reference]:
    """Read the table, separated by commas or tabs.

    Raises
    ------
    InvalidTable
        Where it holds no area or lacks a column, or a number is none.
    """
    head = text.partition("\n")[0]
    rows = list(csv.DictReader(io.StringIO(text), delimiter="\t" if "\t" in head else ","))
    check_columns(set(rows[0]) if rows else set())
    groups: dict[tuple[str, str, str], dict[tuple[str, str], tuple[float, float, float]]] = {}
    for number, row in enumerate(rows, start=2):
        if row["pathology"] not in HEALTHY or row["sex"] not in {"F", "M"} or not row["age"]:
            continue
        try:
            age = float(row["age"])
            areas = {c: float(row[c]) for c in LEVELS_OF if row.get(c)}
            share = float(row.get("C2C3_slice_fraction") or 1.0)
        except ValueError as error:
            raise InvalidTable(f"Row {number} of the reference holds no number.") from error
        person = (row["dataset"], row["participant_id"])
        method = row.get("method") or METHOD
        for name, area in areas.items():
            if age < ADULT or (name == "csa_C2C3_mm2" and share < FULL_LEVEL):
                continue
            own = groups.setdefault((LEVELS_OF[name], method, row["contrast"]), {})
            own.setdefault(person, (age, float(row["sex"] == "M"), area))
    return [_reference(*names, own.values()) for names, own in sorted(groups.items())]


def check_columns(columns: set[str]) -> None:
    """Refuse a table that is no reference of cord area, and say what it lacks."""
    if not columns & set(LEVELS_OF):
        per_slice = " It lists areas per slice, of one person, without age and sex."
        raise InvalidTable(
            "This table holds no cord area per level (a column such as csa_C2C3_mm2): nothing "
            f"can be compared with it.{per_slice if 'MEAN(area)' in columns else ''}"
        )
    if missing := sorted(set(NEEDED) - columns):
        raise InvalidTable(f"The reference table lacks the columns {', '.join(missing)}.")


def _reference(
    level: str, method: str, contrast: str, people: Iterable[tuple[float, float, float]]
) -> Reference:
    """Put the people of one level, method and contrast together."""
    table = as_floats(list(people))
    return Reference(level, method, CONTRASTS.get(contrast, contrast), *table.T)


def matching(references: Iterable[Reference], kind: Kind) -> Reference:
    """Return the reference of a cord kind.

    Raises
    ------
    NotAssessable
        Where level, method or contrast differ: two methods are never compared.
    """
    offered = list(references)
    for one in offered:
        own = (one.level, one.method, one.contrast)
        same = own == (kind.structure, kind.method, kind.contrast)
        if same and one.area.size >= MINIMUM_PEOPLE:
            return one
    methods = listing(sorted({f"{one.method} on {one.contrast} images" for one in offered}))
    levels = listing(list(dict.fromkeys(level_words(one.level) for one in offered)))
    raise NotAssessable(
        f"The external reference was measured by {methods}, at {levels}. This cohort's cord "
        f"is {kind}: areas of different methods, levels or contrasts differ by up to 20 % and "
        "are not compared."
    )


def level_words(level: str) -> str:
    """Return a level as it is printed.

    Examples
    --------
    >>> level_words("cord_c2_c3")
    'C2–C3'
    """
    return level.removeprefix("cord_").upper().replace("_", "–")


def reference_room(selected: Selected, references: Iterable[Reference]) -> Room:
    """Compare the cohort with the external reference, or say why not."""
    slug, title = "reference", "External reference of cord area"
    question = "How does the cord compare with healthy adults elsewhere?"
    offered = list(references)
    if not offered:
        return Room(
            slug, title, question, Verdict.CANNOT_SAY, "No external reference is loaded here."
        )
    tables = (_holdings(offered), _cells(offered))
    try:
        one = matching(offered, selected.cord_kind)
    except NotAssessable as error:
        return Room(slug, title, question, Verdict.CANNOT_SAY, str(error), (), tables)
    gap = gaps(selected, one)
    if gap.size < MINIMUM_PEOPLE:
        reason = (
            f"{gap.size} patients are of the reference's ages; {MINIMUM_PEOPLE} are needed."
        )
        return Room(slug, title, question, Verdict.CANNOT_SAY, reason, (), tables)
    width = Z95 * float(gap.std(ddof=1)) / gap.size**0.5
    mean = float(gap.mean())
    words = interval_words(mean, mean - width, mean + width, 1)
    answer = (
        f"Against {one.area.size} healthy adults aged {one.age.min():.0f} to "
        f"{one.age.max():.0f} the cord differs by {words} mm² ({gap.size} patients; age and "
        "sex alike, other scanners)."
    )
    return Room(slug, title, question, Verdict.DESCRIBED, answer, (), tables)


def gaps(selected: Selected, one: Reference) -> FloatArray:
    """Return how far patients of the reference's ages lie from its curve, mm2."""
    design = np.column_stack([np.ones(one.age.size), one.age, one.age**2, one.male])
    beta = np.linalg.lstsq(design, one.area, rcond=None)[0]
    rows = ~selected.is_control & np.isfinite(selected.sex) & np.isfinite(selected.age)
    rows &= (selected.age >= one.age.min()) & (selected.age <= one.age.max())
    age, sex = selected.age[rows], selected.sex[rows]
    expected = np.column_stack([np.ones(age.size), age, age**2, sex]) @ beta
    return as_floats(selected.values[rows, column(CORD)] - expected)


def _holdings(offered: Sequence[Reference]) -> Table:
    """Return what the reference holds, one line per level, method and contrast."""
    rows: list[tuple[Cell, ...]] = [
        (
            level_words(one.level), one.method, one.contrast, int(one.area.size),
            float(one.age.min()), float(one.age.max()), float(one.area.mean()),
            float(one.area.std(ddof=1)) if one.area.size > 1 else None,
        )
        for one in offered
    ]  # fmt: skip
    heads = (
        ("Level", None), ("Method", None), ("Contrast", None), ("Adults", 0), ("Age from", 0),
        ("to", 0), ("Mean, mm²", 1), ("SD", 1),
    )  # fmt: skip
    return Table(
        "reference", "What the reference holds",
        tuple(Column(head, digits) for head, digits in heads), tuple(rows), SOURCE,
    )  # fmt: skip


def _cells(offered: Sequence[Reference]) -> Table:
    """Return the reference by age and sex."""
    rows: list[tuple[Cell, ...]] = [
        (level_words(one.level), one.method, one.contrast, *cell)
        for one in offered
        for cell in one.cells()
    ]
    heads = (
        ("Level", None), ("Method", None), ("Contrast", None), ("Age", None), ("Sex", None),
        ("n", 0), ("Mean, mm²", 1), ("SD", 1),
    )  # fmt: skip
    return Table(
        "reference-by-age", "Reference by age and sex",
        tuple(Column(head, digits) for head, digits in heads), tuple(rows), SOURCE,
    )  # fmt: skip
