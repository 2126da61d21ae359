"""Write what was recognised beside the clean images, and read it again.

What the header said of the person (sex, year of birth, day) waits there until the technician
has said who it is, is compared with the record, and goes with the folder.
"""

import json
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from volumetry.intake.types import (
    AcquisitionFacts,
    Coverage,
    Intake,
    RecognisedSeries,
    SequenceClass,
    SubjectClaims,
)

NAME = "recognised.json"
TUPLES = ("shape", "spacing_mm", "axcodes", "field_of_view_mm", "sentences")


def intake_write(found: Intake, folder: Path) -> None:
    """Write what was recognised; the images must lie in ``folder``."""
    rows = [_row(series) for series in found.series]
    path = folder / NAME
    path.touch(mode=0o600)
    path.write_text(json.dumps({"series": rows, "skipped": found.skipped}), encoding="utf-8")


def intake_read(folder: Path) -> Intake:
    """Read what `intake_write` wrote.

    Raises
    ------
    FileNotFoundError
        If the folder has gone.
    """
    kept = json.loads((folder / NAME).read_text(encoding="utf-8"))
    return Intake(tuple(_series(row, folder) for row in kept["series"]), tuple(kept["skipped"]))


def _row(series: RecognisedSeries) -> dict[str, Any]:
    row = asdict(series) | {"path": series.path.name, "subject": None}
    if series.subject is not None:
        day = series.subject.study_date
        row["subject"] = asdict(series.subject) | {
            "study_date": day.isoformat() if day else None
        }
    return row


def _series(row: dict[str, Any], folder: Path) -> RecognisedSeries:
    facts = row["acquisition"]
    for name in ("pixel_spacing_mm", "acquisition_matrix"):
        facts[name] = tuple(facts[name]) if facts[name] is not None else None
    subject = row["subject"]
    if subject is not None:
        day = subject["study_date"]
        seen_on = date.fromisoformat(day) if day else None
        subject = SubjectClaims(**subject | {"study_date": seen_on})
    given = row | {name: tuple(row[name]) for name in TUPLES}
    return RecognisedSeries(
        **given
        | {
            "path": folder / row["path"],
            "sequence": SequenceClass(row["sequence"]),
            "coverage": Coverage(**row["coverage"]),
            "acquisition": AcquisitionFacts(**facts),
            "subject": subject,
        }
    )
