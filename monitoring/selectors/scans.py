"""Reads about one run and one scan: what their pages show."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Prefetch
from django.urls import reverse

from monitoring.models import Scan
from monitoring.selectors.runs import (
    EARLIER,
    REGION_WORDS,
    Number,
    RunCard,
    number_of,
    run_card,
    run_details,
    run_region,
    run_successor,
)
from monitoring.selectors.uploads import facts_in_words, sides_in_words
from volumetry.models import QualityResult, RunFile, Status, VolumetryRun

# In this order on the page; other pictures follow by name.
PICTURES = {
    "qc.png": "Quality picture: cross-sections with the outline that was measured",
    "sagittal.png": "Sagittal view with centreline and landmark",
}
FILE_WORDS = {
    "cord_mask.nii.gz": "Cord mask",
    "brain_mask.nii.gz": "Brain mask",
    "segmentation.nii.gz": "Label map",
    "cord_profile.csv": "Cord area along the centreline",
    "views.json": "Geometry of the views",
}
MASKS = ("cord_mask.nii.gz", "brain_mask.nii.gz", "segmentation.nii.gz")
SEVERITY = {"fail": 0, "warn": 1, "pass": 2}
# A view without the outline, for switching it off; it is no picture of its own.
PLAIN_OF = {"qc.png": "qc_plain.png"}
# Shown with their scale on the review page, not as pictures of their own.
ELSEWHERE = {"straight.png", "sections.png"}


@dataclass(frozen=True, slots=True)
class Check:
    """A quality check as a page shows it."""

    name: str
    verdict: str
    sentence: str
    value: str
    limit: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that a run drew."""

    name: str
    words: str
    plain_name: str


@dataclass(frozen=True, slots=True)
class RunView:
    """Everything that the page of a run shows."""

    run: VolumetryRun
    scan: Scan
    card: RunCard
    moments: tuple[tuple[str, datetime], ...]
    numbers: tuple[Number, ...]
    checks: tuple[Check, ...]
    asked: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, str], ...]
    pictures: tuple[Picture, ...]
    files: tuple[tuple[str, str], ...]
    earlier: Scan | None
    successor: VolumetryRun | None

    @property
    def can_be_cancelled(self) -> bool:
        """Say whether it still waits."""
        return self.run.status == Status.QUEUED

    @property
    def can_be_repeated(self) -> bool:
        """Say whether trying again makes sense."""
        return self.run.status in {Status.FAILED, Status.CANCELLED}

    @property
    def can_be_judged(self) -> bool:
        """Say whether there is something for a reader to look at."""
        return self.run.status == Status.SUCCEEDED and self.run.outcome != "refused"


def run_view(run: VolumetryRun) -> RunView:
    """Return everything that the page of a run shows."""
    full = run_details().get(pk=run.pk)
    names = [file.name for file in full.files.all()]
    return RunView(
        run=full,
        scan=full.image.scan,
        card=run_card(full),
        moments=_moments(full),
        numbers=tuple(number_of(measure) for measure in full.measurements.all()),
        checks=tuple(
            _check(result)
            for result in sorted(full.quality.all(), key=lambda held: SEVERITY[held.verdict])
        ),
        asked=_flat(full.parameters),
        parameters=_flat(full.provenance.get("parameters", {})),
        pictures=pictures_of(names),
        files=tuple(
            (name, FILE_WORDS.get(name, name)) for name in names if not name.endswith(".png")
        ),
        earlier=full.before.scan if full.before else None,
        successor=run_successor(full),
    )


def pictures_of(names: Iterable[str]) -> tuple[Picture, ...]:
    """Return the pictures among the files of a run, in the order of the page."""
    held = set(names)
    plain = {PLAIN_OF[name] for name in PLAIN_OF if name in held} | ELSEWHERE
    drawn = [name for name in held if name.endswith(".png") and name not in plain]
    order = list(PICTURES)
    drawn.sort(key=lambda name: (order.index(name) if name in order else len(order), name))
    return tuple(
        Picture(
            name=name,
            words=PICTURES.get(name, name.removesuffix(".png").replace("_", " ")),
            plain_name=PLAIN_OF[name] if PLAIN_OF.get(name) in held else "",
        )
        for name in drawn
    )


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask or label map that a run of a scan painted, for the viewer."""

    run: VolumetryRun
    words: str
    url: str


def masks_of(scan: Scan, *, asked: str = "") -> list[Mask]:
    """Return the masks of the newest runs of a scan, those of the run asked for first."""
    newest: dict[str, VolumetryRun] = {}
    for run in scan.image.runs.filter(status=Status.SUCCEEDED).order_by("finished_at"):
        newest[run.method] = run
    chosen = scan.image.runs.filter(pk=asked).first() if _is_uuid(asked) else None
    if chosen is not None:
        newest.pop(chosen.method, None)
    runs = [*([chosen] if chosen else []), *newest.values()]
    files = RunFile.objects.filter(run__in=runs, name__in=MASKS).values_list("run", "name")
    held = set(files)
    return [
        Mask(run, FILE_WORDS[name], reverse("run_file", args=[run.pk, name]))
        for run in runs
        for name in MASKS
        if (run.pk, name) in held
    ]


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def run_file(run: VolumetryRun, name: str) -> RunFile | None:
    """Return a file that a run wrote, by its contract name."""
    return run.files.filter(name=name).first()


def _moments(run: VolumetryRun) -> tuple[tuple[str, datetime], ...]:
    """Return when what happened to a run."""
    ended = {
        Status.SUCCEEDED: "Ended",
        Status.FAILED: "Failed",
        Status.CANCELLED: "Cancelled",
    }.get(Status(run.status), "Ended")
    told = (
        ("Asked for", run.created_at),
        ("Begun", run.started_at),
        (ended, run.finished_at),
    )
    return tuple((word, moment) for word, moment in told if moment is not None)


def _check(result: QualityResult) -> Check:
    """Put a quality check into words."""
    return Check(
        name=result.name.replace("_", " "),
        verdict=result.verdict,
        sentence=result.sentence,
        value=value_in_words(result.value),
        limit=value_in_words(result.limit),
    )


def value_in_words(value: object) -> str:
    """Return a JSON value as a page shows it; nothing is a dash, never 0."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, list | tuple):
        return ", ".join(value_in_words(item) for item in value)
    if isinstance(value, Mapping):
        return json.dumps(value, sort_keys=True)
    return str(value)


def _flat(values: Mapping[str, object], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Return nested parameters as lines of name and value."""
    lines: list[tuple[str, str]] = []
    for key in sorted(values):
        value, name = values[key], f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping) and value:
            lines.extend(_flat(value, f"{name}: "))
        else:
            lines.append((name, value_in_words(value)))
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class ScanView:
    """Everything that the page of a scan shows."""

    scan: Scan
    voxel: str
    matrix: str
    facts: tuple[tuple[str, str], ...]
    cards: tuple[RunCard, ...]

    @property
    def is_active(self) -> bool:
        """Say whether a measurement of the scan waits or works."""
        return any(card.is_active for card in self.cards)

    @property
    def unmeasured(self) -> list[tuple[str, str]]:
        """Return the regions that nobody asked for yet, with their words."""
        asked = {run_region(card.run) for card in self.cards if card.since is None}
        return [(name, word) for name, word in REGION_WORDS.items() if name not in asked]


def scan_view(scan: Scan) -> ScanView:
    """Return everything that the page of a scan shows."""
    runs = (
        VolumetryRun.objects.filter(image=scan.image_id)
        .select_related(EARLIER)
        .order_by("-created_at")
        .prefetch_related("measurements", "quality", Prefetch("reviews"), "reviews__reviewer")
    )
    return ScanView(
        scan=scan,
        voxel=sides_in_words(scan.image.spacing_mm, digits=2),
        matrix=" × ".join(str(side) for side in scan.image.shape),
        facts=facts_in_words(scan.acquisition),
        cards=tuple(run_card(run) for run in runs),
    )
