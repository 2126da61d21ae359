"""docs/intake.md says what the code does."""

import re
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from volumetry.intake import recognise
from volumetry.intake.dicom import KEPT_TAGS
from volumetry.intake.types import Limits

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "intake.md").read_text()


def test_the_documented_limits_are_the_limits():
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", DOCUMENT, re.MULTILINE)

    assert {name: float(value) for name, value in rows} == asdict(Limits())
    assert [name for name, _ in rows] == [limit.name for limit in fields(Limits)]


@pytest.mark.parametrize("tag", KEPT_TAGS)
def test_every_kept_tag_is_documented(tag):
    assert tag in DOCUMENT


def test_the_documented_fields_of_view_are_those_used():
    width, depth, height = recognise.BRAIN_FIELD_MM
    assert f"{width:.0f} mm wide, {depth:.0f} mm deep, {height:.0f} mm high" in DOCUMENT
    across, deep, high = recognise.CORD_FIELD_MM
    assert f"{across:.0f} × {deep:.0f} mm and {high:.0f} mm high" in DOCUMENT
    assert f"if it is a head, {recognise.HEAD_AND_NECK_MM:.0f} mm high" in DOCUMENT
    assert f"from head to foot {recognise.CORD_SLICE_MM:g} mm or less" in DOCUMENT
    assert f"across the cord {recognise.CORD_PLANE_MM:g} mm or less" in DOCUMENT
    assert f"slices up to {recognise.SAGITTAL_SLICE_MM:g} mm" in DOCUMENT
