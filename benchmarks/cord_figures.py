"""Draw the figures of docs/cord.md from a report's tables and from drawn cords.

``python -m benchmarks.cord_report > report.md``, then
``python -m benchmarks.cord_figures report.md docs/figures``.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tests.volumetry.phantoms.cord_tube import T2, CordTube, tube_image
from volumetry.core.cord.engine import cord_measure
from volumetry.core.cord.straightened import TILE_PIXELS, cord_levels
from volumetry.core.methods import CordRequest

ROW = re.compile(
    r"^\| (?P<name>T[12][^|]*) \| (?P<mean>[+-][\d.]+) \| (?P<worst>[+-][\d.]+) \|"
)
SAGITTAL = re.compile(
    r"^\| (?P<name>T2, blur [^|]*tilt[^|]*) \| (?P<mean>[+-][\d.]+) \| (?P<low>[+-][\d.]+) \| "
    r"(?P<high>[+-][\d.]+) \|"
)
CHANGE = re.compile(
    r"^\| (?P<name>T[12]) \| \d+ \| [\d.]+ \| \d+ % \| (?P<drawn>-\d+) % \| "
    r"(?P<mean>[+-][\d.]+) \| (?P<sd>[\d.]+) \|"
)
REAL = re.compile(r"^\| (?P<name>\w+) \| [\d.]+ \| [\d.]+ \| (?P<gap>[+-][\d.]+) \|$")
POSE = re.compile(r"^\| \d+ \| [^|]*,[^|]* \| (?P<area>[\d.]+) \| (?P<gap>[+-][\d.]+) \|$")
INK, SOFT, LINE, BAND = (30, 34, 40), (105, 112, 122), (205, 210, 216), (232, 240, 248)
MEAN, RANGE = (0, 92, 148), (120, 170, 205)
WIDTH, LABEL, ROW_HEIGHT, TOP = 1180, 400, 26, 92
Row = tuple[str, float, float, float]


def rows_read(text: str) -> list[Row]:
    """Return name, mean, lowest and highest error of every phantom of a report."""
    part = text.split("## sagittal")
    rows = []
    for match in filter(None, map(ROW.match, part[0].splitlines())):
        mean, worst = float(match["mean"]), float(match["worst"])
        rows.append((match["name"].replace("²", "2"), mean, min(mean, worst), max(mean, worst)))
    for match in filter(None, map(SAGITTAL.match, part[-1].splitlines())):
        name = match["name"].replace("T2, ", "T2, sagittal 3 mm, ")
        rows.append((name, float(match["mean"]), float(match["low"]), float(match["high"])))
    return rows


def change_rows(text: str) -> list[Row]:
    """Return what repeats and pairs read minus what is true: name, mean, lowest, highest."""
    rows = []
    lines = text.splitlines()
    for match in filter(None, map(CHANGE.match, lines)):
        gap, spread = float(match["mean"]) - float(match["drawn"]), float(match["sd"])
        name = f"{match['name']}, pair, {match['drawn']} % drawn (mean, SD)"
        rows.append((name, gap, gap - spread, gap + spread))
    for match in filter(None, map(REAL.match, lines)):
        gap = float(match["gap"])
        rows.append(
            (f"Real T2*, {match['name']}, run 2 against run 1", gap, min(0, gap), max(0, gap))
        )
    poses = [match for match in map(POSE.match, lines) if match]
    if poses:
        areas = [float(match["area"]) for match in poses]
        mean = sum(areas) / len(areas)
        low, high = (100.0 * (value / mean - 1.0) for value in (min(areas), max(areas)))
        rows.append((f"Real head in {len(poses)} poses, area (range)", 0.0, low, high))
        gaps = [float(match["gap"]) for match in poses]
        middle = sum(gaps) / len(gaps)
        rows.append(("The same: alignment along the cord, mm", middle, min(gaps), max(gaps)))
    return rows


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a figure says above its rows, and the percents that it spans."""

    title: str
    words: str
    low: int
    high: int
    band: float
    step: int = 2


BIAS = Sheet(
    "Area of drawn cords: measured minus true",
    "Dot: mean; bar: to the worst case. Band: the 2 % that must be kept.",
    -8,
    6,
    2.0,
)
CHANGES = Sheet(
    "Repeats and change: measured minus true",
    "Percent or percentage points. Band: 0.4, allowed for drawn rescans and pairs; real "
    "rescans may differ by 2.",
    -3,
    3,
    0.4,
    1,
)


def rows_figure(rows: list[Row], sheet: Sheet) -> Image.Image:
    """One line per row: the mean as a dot, the range as a bar."""
    height = TOP + ROW_HEIGHT * len(rows) + 56
    picture = Image.new("RGB", (WIDTH, height), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    font = {size: ImageFont.load_default(size) for size in (14, 16, 22)}
    draw.text((24, 18), sheet.title, INK, font[22])
    draw.text((24, 50), sheet.words, SOFT, font[16])

    def across(percent: float) -> float:
        inside = max(sheet.low, min(sheet.high, percent))
        share = (inside - sheet.low) / (sheet.high - sheet.low)
        return LABEL + share * (WIDTH - LABEL - 40)

    bottom = TOP + ROW_HEIGHT * len(rows)
    draw.rectangle([across(-sheet.band), TOP, across(sheet.band), bottom], fill=BAND)
    for percent in range(sheet.low, sheet.high + 1, sheet.step):
        at = across(percent)
        draw.line([at, TOP, at, bottom], fill=INK if percent == 0 else LINE, width=1)
        draw.text((at, bottom + 8), f"{percent:+d} %", SOFT, font[14], anchor="mt")
    for index, (name, mean, low, high) in enumerate(rows):
        middle = TOP + ROW_HEIGHT * (index + 0.5)
        draw.text((LABEL - 14, middle), name, INK, font[14], anchor="rm")
        draw.line([across(low), middle, across(high), middle], fill=RANGE, width=5)
        at = across(mean)
        draw.ellipse([at - 5, middle - 5, at + 5, middle + 5], fill=MEAN)
    return picture


def outlines_figure() -> Image.Image:
    """Measured outlines on a drawn cord: 1 mm voxels, and sagittal slices of 3 mm."""
    strips = []
    for words, spacing, field in (
        ("Drawn T2, voxels of 1 mm; true area 81.1 mm2", (1.0, 1.0, 1.0), 40.0),
        ("The same cord in sagittal slices of 3 mm", (3.0, 1.0, 1.0), 48.0),
    ):
        tube = CordTube(length_mm=44.0, field_mm=field, tilt_degrees=12.0)
        image = tube_image(
            tube, contrast=T2, spacing_mm=spacing, noise=0.05, blur_sigma_mm=0.4, seed=20000
        )
        levels = cord_levels(cord_measure(image, request=CordRequest()))
        assert levels is not None
        tile = TILE_PIXELS
        strip = Image.new("RGB", (5 * tile, tile + 26), (255, 255, 255))
        strip.paste(levels.sections.crop((3 * tile, 0, 8 * tile, tile)), (0, 26))
        ImageDraw.Draw(strip).text((4, 4), words, INK, ImageFont.load_default(15))
        strips.append(strip)
    width, height = strips[0].size
    sheet = Image.new("RGB", (width, 2 * height), (255, 255, 255))
    for row, strip in enumerate(strips):
        sheet.paste(strip, (0, row * height))
    return sheet


def main(report: Path, folder: Path) -> None:
    """Write the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    text = report.read_text()
    figures = {
        "cord-bias.png": rows_figure(rows_read(text), BIAS),
        "cord-change.png": rows_figure(change_rows(text), CHANGES),
        "cord-outlines.png": outlines_figure(),
    }
    for name, figure in figures.items():
        small = figure.quantize(64, method=Image.Quantize.MAXCOVERAGE)
        small.save(folder / name, optimize=True)
        print(f"{folder / name}: {(folder / name).stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
