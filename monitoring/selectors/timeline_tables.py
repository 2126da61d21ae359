"""The tables behind the patient's figure: the page shows them, the CSV files carry them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from monitoring.selectors.changes import Change
from monitoring.selectors.structures import structure_course, structure_kinds
from monitoring.selectors.timeline_points import TimelinePoint
from monitoring.selectors.timelines import Timeline

Cell = str | float | int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Columns and rows; ``struck`` numbers the rows that are in no statistic."""

    slug: str
    title: str
    empty: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    struck: frozenset[int] = field(default_factory=frozenset)


class TableHead(NamedTuple):
    """What a closed table says of itself: its rows are made when somebody opens it."""

    slug: str
    title: str
    row_count: int


def table_heads(timeline: Timeline) -> list[TableHead]:
    """Return what every table of a patient says of itself, as the figure's rows follow."""
    events = (timeline.relapses, timeline.treatments, timeline.phenotypes)
    kinds = {(kind.structure, kind.quantity) for kind in structure_kinds(timeline)}
    others = (
        p.since is None and (p.structure, p.quantity) in kinds for p in timeline.other_points
    )
    return [
        TableHead("volumes", "Brain and cord", len(timeline.points)),
        TableHead("structures", "Other structures", sum(others)),
        TableHead("changes", "Change between two scans", len(timeline.changes)),
        TableHead("edss", "EDSS", len(timeline.edss)),
        TableHead("events", "Relapses, treatments, phenotype", sum(map(len, events))),
        TableHead("outcomes", "Clinical outcomes by rule", len(timeline.outcomes.events)),
        TableHead("divergence", "Divergence as of every visit", len(timeline.history)),
    ]


VOLUME_COLUMNS = (
    "date", "region", "structure", "value", "unit", "standard error", "percent of first",
    "95 % low", "95 % high", "% of intracranial", "quality", "review", "reader", "weight",
    "scanner epoch", "method", "version",
)  # fmt: skip


def volumes_table(timeline: Timeline) -> Table:
    """Return brain and cord values with error, percent, quality and provenance."""
    points = sorted(timeline.points, key=lambda p: (p.when, p.region.value))
    return Table(
        slug="volumes",
        title="Brain and cord",
        empty="No usable volumes yet.",
        columns=VOLUME_COLUMNS,
        rows=tuple(_volume_row(point) for point in points),
        struck=frozenset(i for i, point in enumerate(points) if point.is_rejected),
    )


def _volume_row(point: TimelinePoint) -> tuple[Cell, ...]:
    review = point.verdict or (
        "waits for a reader" if point.waits_for_reader else "not reviewed"
    )
    if point.verdict_reason:
        review += f": {point.verdict_reason}"
    return (
        point.when.isoformat(), point.region.value, point.structure, _round(point.value, 2),
        point.unit, _round(point.standard_error, 2), _round(point.percent, 2),
        _round(point.percent_low, 2), _round(point.percent_high, 2),
        _round(point.normalised_percent, 2),
        point.quality.value if point.quality else "not used", review, point.reader,
        _round(point.weight, 2), point.epoch_label, point.method, point.version,
    )  # fmt: skip


def changes_table(timeline: Timeline) -> Table:
    """Return the changes that were measured on two scans directly."""
    return Table(
        slug="changes",
        title="Change between two scans",
        empty="No follow-up scan that can be compared with an earlier one yet.",
        columns=(
            "date", "since", "compared with", "region", "change %", "standard error",
            "95 % low", "95 % high", "% per year", "measured one by one %", "quality", "review",
            "note", "method", "version",
        ),
        rows=tuple(_change_row(change) for change in timeline.changes),
        struck=frozenset(i for i, c in enumerate(timeline.changes) if c.is_rejected),
    )  # fmt: skip


def _change_row(change: Change) -> tuple[Cell, ...]:
    low, high = change.interval or (None, None)
    return (
        change.when.isoformat(), change.since.isoformat(), change.words, change.region.value,
        _round(change.percent, 2), _round(change.standard_error, 2), _round(low, 2),
        _round(high, 2), _round(change.percent_per_year, 2),
        _round(change.difference_percent, 2),
        change.quality.value if change.quality else None,
        change.verdict or None,
        change.sentence or change.doubt, change.method, change.version,
    )  # fmt: skip


def structures_table(timeline: Timeline) -> Table:
    """Return every other structure that was measured on single scans, by structure and day."""
    rows: list[tuple[Cell, ...]] = []
    struck: set[int] = set()
    for kind in structure_kinds(timeline):
        for point in structure_course(timeline, kind):
            if point.is_rejected:
                struck.add(len(rows))
            note = "experimental" if kind.is_experimental else None
            rows.append((kind.words, kind.quantity, note, *_volume_row(point)))
    return Table(
        slug="structures",
        title="Other structures",
        empty="No other structure was measured.",
        columns=("name", "quantity", "note", *VOLUME_COLUMNS),
        rows=tuple(rows),
        struck=frozenset(struck),
    )


def edss_table(timeline: Timeline) -> Table:
    """Return EDSS with functional systems."""
    return Table(
        slug="edss",
        title="EDSS",
        empty="No EDSS yet.",
        columns=("date", "EDSS", "days after relapse", "functional systems"),
        rows=tuple(
            (
                step.when.isoformat(),
                float(step.edss),
                step.days_after_relapse,
                ", ".join(f"{name} {score}" for name, score in step.systems.items()),
            )
            for step in timeline.edss
        ),
    )


def events_table(timeline: Timeline) -> Table:
    """Return relapses, treatments and phenotypes by date."""
    rows: list[tuple[Cell, ...]] = [
        (
            relapse.onset.isoformat(),
            relapse.steroids_on.isoformat() if relapse.steroids_on else None,
            "relapse",
            ("spinal, " if relapse.is_spinal else "") + relapse.get_severity_display().lower(),
            "second date: steroids" if relapse.steroids_on else "",
        )
        for relapse in timeline.relapses
    ]
    rows += [
        (
            treatment.starts_on.isoformat(),
            treatment.ends_on.isoformat() if treatment.ends_on else None,
            "treatment",
            f"{treatment.drug}, {treatment.get_efficacy_display().lower()}",
            "; ".join(filter(None, [treatment.interruption_words, treatment.stop_reason])),
        )
        for treatment in timeline.treatments
    ]
    rows += [
        (period.starts_on.isoformat(), None, "phenotype", period.get_phenotype_display(), "")
        for period in timeline.phenotypes
    ]
    return Table(
        slug="events",
        title="Relapses, treatments, phenotype",
        empty="No relapse, treatment or phenotype recorded.",
        columns=("from", "to", "kind", "what", "note"),
        rows=tuple(sorted(rows, key=lambda row: str(row[0]))),
    )


def outcomes_table(timeline: Timeline) -> Table:
    """Return the clinical outcomes with the id of their rule."""
    return Table(
        slug="outcomes",
        title="Clinical outcomes by rule",
        empty="No outcome by any rule.",
        columns=("event", "confirmed", "kind", "rule", "EDSS from", "EDSS to"),
        rows=tuple(
            (
                one.event.isoformat(), one.confirmed.isoformat(), one.kind.value, one.rule,
                one.from_edss, one.to_edss,
            )
            for one in timeline.outcomes.events
        ),
    )  # fmt: skip


HISTORY_COLUMNS = (
    "as_of", "level", "d_percent_per_year", "d_low", "d_high", "p_faster_than_1", "p_change",
    "brain_percent_per_year", "cord_percent_per_year", "n_brain", "n_cord", "span_years",
    "reason",
)  # fmt: skip


def history_table(timeline: Timeline) -> Table:
    """Return the statement as of every visit, with what was known on that day."""
    return Table(
        slug="divergence",
        title="Divergence as of every visit",
        empty="Nothing was computed yet.",
        columns=tuple(column.replace("_", " ") for column in HISTORY_COLUMNS),
        rows=tuple(
            tuple(_plain(past.get(column)) for column in HISTORY_COLUMNS)
            for past in timeline.history
        ),
    )


def _plain(value: object) -> Cell:
    """Return a cell, numbers to two digits."""
    if isinstance(value, float):
        return _round(value, 2)
    return value if isinstance(value, str | int) else None


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


TABLES: dict[str, Callable[[Timeline], Table]] = {
    "volumes": volumes_table,
    "structures": structures_table,
    "changes": changes_table,
    "edss": edss_table,
    "events": events_table,
    "outcomes": outcomes_table,
    "divergence": history_table,
}


def csv_rows(table: Table, *, is_synthetic: bool, note: str) -> Sequence[Sequence[Cell]]:
    """Return header and rows as a file carries them: badge and intended use in each row.

    A text that a spreadsheet would take for a formula is quoted with an apostrophe.
    """
    beside = ("yes" if is_synthetic else "no", note)
    header = (*table.columns, "synthetic", "intended use")
    return [header, *((*map(_harmless, row), *beside) for row in table.rows)]


def _harmless(cell: Cell) -> Cell:
    if isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{cell}"
    return cell
