"""Measure scans from the command line, without a web server.

python -m volumetry cord IMAGE --out DIR [--contrast auto|t1|t2|t2s]
                    [--landmark pmj|c2c3 --at X,Y,Z] [--hint X,Y,Z] [--mask MASK]
python -m volumetry brain T1 --out DIR [--lesions MASK]
python -m volumetry change BASELINE FOLLOWUP --region brain|cord --out DIR
                    [--hint X,Y,Z] [--followup-hint X,Y,Z]
                    [--landmark pmj|c2c3 --at X,Y,Z --followup-at X,Y,Z]   (cord only)

Exit status: 0 measured; 3 refused or landmark needed (result.json says why); 2 bad arguments
or unreadable files (one sentence on standard error).
"""

import argparse
import math
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from volumetry.core.documents import exit_status, result_write
from volumetry.core.errors import NotMeasurable, UnreadableImage, VolumetryError
from volumetry.core.images import image_load, sha256_of
from volumetry.core.methods import CordRequest, Method, PairMethod, PairRequest
from volumetry.core.types import (
    Contrast,
    Landmark,
    LandmarkKind,
    Provenance,
    ScanImage,
    VolumetryResult,
)
from volumetry.engines.brain import NeuraxisBrain
from volumetry.engines.registry import METHODS, PAIR_METHODS

BAD_INPUT = 2
METHOD_OF = {"cord": "neuraxis-cord"}
CHANGE_OF = {"cord": "neuraxis-cord-change", "brain": "neuraxis-change"}
POINT_OPTIONS = ("--at", "--hint", "--followup-at", "--followup-hint")
POINT_PATTERN = re.compile(r"^-[\d.]")
STALE_FILES = (
    "result.json",
    "cord_mask.nii.gz",
    "brain_mask.nii.gz",
    "segmentation.nii.gz",
    "cord_profile.csv",
    "qc.png",
    "sagittal.png",
    "straight.png",
    "sections.png",
    "views.json",
)
Point = tuple[float, float, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words = _points_joined(list(sys.argv[1:] if arguments is None else arguments))
    options = _parser().parse_args(words)
    try:
        _out_prepare(options.out)
        result = _RUN[options.command](options)
    except (UnreadableImage, BadArgument) as error:
        print(f"volumetry: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(f"volumetry: {error.strerror}: {error.filename}", file=sys.stderr)
        return BAD_INPUT
    result_write(result, options.out)
    if result.reason:
        print(f"volumetry: {result.outcome}: {result.reason}", file=sys.stderr)
    return exit_status(result.outcome)


class BadArgument(VolumetryError):
    """Options that contradict each other."""


def _points_joined(words: list[str]) -> list[str]:
    """Join ``--at -4,2,0`` to ``--at=-4,2,0``: argparse takes a leading minus for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in POINT_OPTIONS and POINT_PATTERN.match(word):
            joined[-1] = f"{joined[-1]}={word}"
        else:
            joined.append(word)
    return joined


def _point(text: str) -> Point:
    try:
        x, y, z = (float(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not three numbers X,Y,Z in millimetres"
        ) from None
    if not all(math.isfinite(number) for number in (x, y, z)):
        raise argparse.ArgumentTypeError(f"{text!r} holds a number that is not finite")
    return (x, y, z)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m volumetry", description="Measure brain and cord volumes of MR scans."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    cord = commands.add_parser("cord", help="cross-sectional area of the cervical cord")
    cord.add_argument("image", type=Path)
    cord.add_argument("--out", type=Path, required=True, metavar="DIR")
    cord.add_argument(
        "--contrast", choices=[str(contrast) for contrast in Contrast], default="auto"
    )
    cord.add_argument("--landmark", choices=[str(kind) for kind in LandmarkKind])
    cord.add_argument("--at", type=_point, metavar="X,Y,Z", help="the landmark, world mm RAS")
    cord.add_argument("--hint", type=_point, metavar="X,Y,Z", help="a point on the cord")
    cord.add_argument("--mask", type=Path, help="measure this cord mask instead of contouring")
    brain = commands.add_parser("brain", help="brain volumes of a T1 scan")
    brain.add_argument("image", type=Path)
    brain.add_argument("--out", type=Path, required=True, metavar="DIR")
    brain.add_argument("--lesions", type=Path, metavar="MASK", help="fill these lesions first")
    change = commands.add_parser("change", help="change between two scans of one person")
    change.add_argument("baseline", type=Path)
    change.add_argument("followup", type=Path)
    change.add_argument("--region", choices=["brain", "cord"], required=True)
    change.add_argument("--out", type=Path, required=True, metavar="DIR")
    change.add_argument("--landmark", choices=[str(kind) for kind in LandmarkKind])
    for option, words in (
        ("--at", "the landmark in the baseline scan, world mm RAS"),
        ("--followup-at", "the landmark in the follow-up scan, world mm RAS"),
        ("--hint", "a point on the cord of the baseline scan"),
        ("--followup-hint", "a point on the cord of the follow-up scan"),
    ):
        change.add_argument(option, type=_point, metavar="X,Y,Z", help=words)
    return parser


def _out_prepare(out: Path) -> None:
    """Make the folder and remove what an earlier run left, so that files belong together."""
    out.mkdir(parents=True, exist_ok=True)
    for name in STALE_FILES:
        (out / name).unlink(missing_ok=True)


def _run_cord(options: argparse.Namespace) -> VolumetryResult:
    if (options.landmark is None) != (options.at is None):
        raise BadArgument("--landmark and --at belong together: which point, and where.")
    landmark = (
        Landmark(LandmarkKind(options.landmark), options.at) if options.landmark else None
    )
    method = METHODS[METHOD_OF["cord"]]
    try:
        image = image_load(options.image)
        mask = image_load(options.mask) if options.mask else None
    except NotMeasurable as error:
        return _refusal(method, str(error), (options.image, options.mask))
    request = CordRequest(
        contrast=Contrast(options.contrast), landmark=landmark, hint_mm=options.hint, mask=mask
    )
    return method.measure(image, workdir=options.out, request=request)


def _run_brain(options: argparse.Namespace) -> VolumetryResult:
    method = NeuraxisBrain()
    try:
        image = image_load(options.image)
        lesions = image_load(options.lesions) if options.lesions else None
    except NotMeasurable as error:
        return _refusal(method, str(error), (options.image, options.lesions))
    return method.measure(image, workdir=options.out, lesions=lesions)


def _run_change(options: argparse.Namespace) -> VolumetryResult:
    method = PAIR_METHODS.get(CHANGE_OF[options.region])
    if method is None:
        raise BadArgument(f"this installation offers no change of the {options.region}.")
    requests = _pair_requests(options)
    images: list[ScanImage] = []
    for path in (options.baseline, options.followup):
        try:
            images.append(image_load(path))
        except NotMeasurable as error:
            return _refusal(method, str(error), (options.baseline, options.followup))
    return method.measure(*images, workdir=options.out, requests=requests)


def _pair_requests(options: argparse.Namespace) -> PairRequest:
    """Return what was said of each scan of a pair; one landmark kind for both."""
    points = (options.at, options.followup_at)
    hints = (options.hint, options.followup_hint)
    if options.region != "cord" and (options.landmark or any(points) or any(hints)):
        raise BadArgument("--landmark and --hint are for the cord only.")
    if any((point is None) != (options.landmark is None) for point in points):
        raise BadArgument(
            "--landmark, --at and --followup-at belong together: one landmark, in both scans."
        )
    one, other = (
        CordRequest(
            landmark=Landmark(LandmarkKind(options.landmark), point) if point else None,
            hint_mm=hint,
        )
        for point, hint in zip(points, hints, strict=True)
    )
    return one, other


def _refusal(
    method: Method | PairMethod, reason: str, paths: Sequence[Path | None]
) -> VolumetryResult:
    """Say that a readable file cannot be measured; its hash is still on record."""
    started = time.perf_counter()
    hashes = [sha256_of(path) for path in paths if path is not None and path.is_file()]
    others = {"other": hashes[1]} if len(hashes) > 1 else {}
    provenance = Provenance(
        method.name, method.version, {}, hashes[0] if hashes else "", others
    )
    return VolumetryResult.refused(
        reason, provenance=provenance, seconds=time.perf_counter() - started
    )


_RUN = {"cord": _run_cord, "brain": _run_brain, "change": _run_change}

if __name__ == "__main__":
    sys.exit(main())
