"""Draw the figures of docs/cord.md from a report's tables and from drawn cords.

``python -m benchmarks.cord_report bias sagittal > report.md``, then
``python -m benchmarks.cord_figures report.md docs/figures``.
"""

import re
import sys
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
INK, SOFT, LINE, BAND = (30, 34, 40), (105, 112, 122), (205, 210, 216), (232, 240, 248)
MEAN, RANGE = (0, 92, 148), (120, 170, 205)
WIDTH, LABEL, ROW_HEIGHT, TOP = 1180, 400, 26, 92
LIMIT_PERCENT = 10.0


def rows_read(text: str) -> list[tuple[str, float, float, float]]:
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


def bias_figure(rows: list[tuple[str, float, float, float]]) -> Image.Image:
    """One line per phantom: the mean error as a dot, the range to the worst as a bar."""
    height = TOP + ROW_HEIGHT * len(rows) + 56
    sheet = Image.new("RGB", (WIDTH, height), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    font = {size: ImageFont.load_default(size) for size in (14, 16, 22)}
    draw.text((24, 18), "Area of drawn cords: measured minus true", INK, font[22])
    draw.text(
        (24, 50),
        "Dot: mean; bar: to the worst case. Band: the 2 % that must be kept.",
        SOFT,
        font[16],
    )

    def across(percent: float) -> float:
        inside = max(-LIMIT_PERCENT, min(4.0, percent))
        return LABEL + (inside + LIMIT_PERCENT) / (4.0 + LIMIT_PERCENT) * (WIDTH - LABEL - 40)

    bottom = TOP + ROW_HEIGHT * len(rows)
    draw.rectangle([across(-2.0), TOP, across(2.0), bottom], fill=BAND)
    for percent in range(-10, 5, 2):
        at = across(percent)
        draw.line([at, TOP, at, bottom], fill=INK if percent == 0 else LINE, width=1)
        draw.text((at, bottom + 8), f"{percent:+d} %", SOFT, font[14], anchor="mt")
    for index, (name, mean, low, high) in enumerate(rows):
        middle = TOP + ROW_HEIGHT * (index + 0.5)
        draw.text((LABEL - 14, middle), name, INK, font[14], anchor="rm")
        draw.line([across(low), middle, across(high), middle], fill=RANGE, width=5)
        at = across(mean)
        draw.ellipse([at - 5, middle - 5, at + 5, middle + 5], fill=MEAN)
    return sheet


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
    """Write both figures."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "cord-bias.png": bias_figure(rows_read(report.read_text())),
        "cord-outlines.png": outlines_figure(),
    }
    for name, figure in figures.items():
        small = figure.quantize(64, method=Image.Quantize.MAXCOVERAGE)
        small.save(folder / name, optimize=True)
        print(f"{folder / name}: {(folder / name).stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
