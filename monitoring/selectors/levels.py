"""The cord along its length, both organs slice by slice: what a reader compares visits on."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from volumetry.models import VolumetryRun

VIEWS_FILE = "views.json"
PROFILE_FILE = "cord_profile.csv"
MAX_BYTES = 2_000_000
# Slices of two visits count as the same level when no more than half a step lies between them.
SAME_LEVEL_MM = 1.6
ZERO_WORDS = {
    "pmj": "below the pontomedullary junction",
    "c2c3": "below the C2-C3 disc",
    "upper end": "below the upper end of what was measured",
}


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice that this scan shows, and the same one of the scan before if it has it.

    ``at`` and ``prior_at`` are the upper left pixels of the tiles on their sheets.
    """

    label: str
    at: tuple[int, int]
    prior_at: tuple[int, int] | None
    position_mm: float | None
    area_mm2: float | None
    prior_area_mm2: float | None


@dataclass(frozen=True, slots=True)
class Slices:
    """Sheets of tiles of this run and of the prior one, matched slice by slice."""

    file: str
    tile: int
    prior_file: str
    prior_tile: int
    rows: tuple[Slice, ...]
    zero: str

    def as_json(self) -> list[dict[str, Any]]:
        """Return the rows as the page's script reads them."""
        return [
            {
                "label": row.label,
                "at": row.at,
                "prior": row.prior_at,
                "position": row.position_mm,
                "area": row.area_mm2,
                "priorArea": row.prior_area_mm2,
            }
            for row in self.rows
        ]


@dataclass(frozen=True, slots=True)
class AreaProfile:
    """Cord area by level; positions in mm below ``zero``, areas in mm², gaps left out."""

    zero: str
    points: tuple[tuple[float, float], ...]
    window_mm: tuple[float, float] | None
    straight_file: str


def views_of(run: VolumetryRun) -> dict[str, Any]:
    """Return what a run says of its pictures; nothing where it says nothing readable."""
    text = _text(run, VIEWS_FILE)
    try:
        views = json.loads(text) if text else {}
    except ValueError:
        return {}
    return views if isinstance(views, dict) else {}


def slices_of(run: VolumetryRun, prior: VolumetryRun | None) -> Slices | None:
    """Match the slices of a run with those of the run before; None without a sheet."""
    own = _sheet(views_of(run))
    if own is None:
        return None
    other = _sheet(views_of(prior)) if prior is not None else None
    if other is not None and other["zero"] != own["zero"]:
        other = None  # counted from different landmarks, so no slice is the same
    rows = []
    for index, label in enumerate(own["labels"]):
        match = _same(own, index, other) if other is not None else None
        rows.append(
            Slice(
                label=label,
                at=_at(own, index),
                prior_at=_at(other, match) if other is not None and match is not None else None,
                position_mm=_nth(own["positions"], index),
                area_mm2=_nth(own["areas"], index),
                prior_area_mm2=_nth(other["areas"], match)
                if other is not None and match is not None
                else None,
            )
        )
    return Slices(
        file=own["file"],
        tile=own["tile"],
        prior_file=other["file"] if other else "",
        prior_tile=other["tile"] if other else 0,
        rows=tuple(rows),
        zero=ZERO_WORDS.get(own["zero"], own["zero"]),
    )


def area_profile(run: VolumetryRun) -> AreaProfile | None:
    """Return a run's cord area along its length; None where it measured no profile."""
    text = _text(run, PROFILE_FILE)
    if not text:
        return None
    points = []
    for row in csv.DictReader(io.StringIO(text)):
        try:
            points.append((float(row["position_mm"]), float(row["csa_mm2"])))
        except (KeyError, TypeError, ValueError):
            continue  # a section that was left out has an empty field
    if len(points) < 2:
        return None
    asked = run.provenance.get("parameters", {})
    landmark, window = asked.get("landmark"), asked.get("window_mm")
    straight = views_of(run).get("straight", {})
    return AreaProfile(
        zero=str(landmark["kind"]) if landmark else "upper end",
        points=tuple(points),
        window_mm=(float(window[0]), float(window[1])) if window else None,
        straight_file=str(straight.get("file", "")),
    )


def _text(run: VolumetryRun, name: str) -> str:
    """Return a text file of a run; empty where it is missing or unreadable."""
    file = next((held for held in run.files.all() if held.name == name), None)
    if file is None:
        return ""
    try:
        with file.file.open("rb") as stream:
            return bytes(stream.read(MAX_BYTES)).decode()
    except (OSError, UnicodeDecodeError):
        return ""


def _sheet(views: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the sheet of tiles: a cord's cross-sections or a brain's planes."""
    try:
        if "sections" in views:
            held = views["sections"]
            positions = [float(value) for value in held["positions_mm"]]
            labels = [f"{position:.0f} mm" for position in positions]
            areas = [None if a is None else float(a) for a in held["area_mm2"]]
        else:
            held = views["mosaic"]
            positions, areas = [], []
            labels = [str(label) for label in held["labels"]]
        sheet = {
            "file": str(held["file"]),
            "tile": int(held["tile"]),
            "columns": int(held["columns"]),
            "zero": str(held.get("zero", "")),
        }
    except (KeyError, TypeError, ValueError):
        return None
    return {**sheet, "labels": labels, "positions": positions, "areas": areas}


def _same(own: Mapping[str, Any], index: int, other: Mapping[str, Any]) -> int | None:
    """Return the index of the same slice on the other sheet; None if it is not there."""
    if not own["positions"]:
        return index if index < len(other["labels"]) else None
    at = own["positions"][index]
    gaps = [abs(position - at) for position in other["positions"]]
    nearest = gaps.index(min(gaps)) if gaps else None
    return nearest if nearest is not None and gaps[nearest] <= SAME_LEVEL_MM else None


def _at(sheet: Mapping[str, Any], index: int) -> tuple[int, int]:
    row, column = divmod(index, sheet["columns"])
    return column * sheet["tile"], row * sheet["tile"]


def _nth(values: list[float | None], index: int) -> float | None:
    return values[index] if index < len(values) else None
