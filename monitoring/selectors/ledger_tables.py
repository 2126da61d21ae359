"""The scan ledger as a table to keep: one line per measured number, none per unknown one."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from django.conf import settings

from monitoring.models import Scan
from monitoring.selectors.ledgers import LedgerCell, LedgerRow, ledger_rows

EXPORT_COLUMNS = (
    "scan_id",
    "visit_date",
    "patient",
    "is_synthetic",
    "sequence",
    "voxel_mm",
    "scanner",
    "epoch",
    "software",
    "method",
    "method_version",
    "run_id",
    "run_state",
    "structure",
    "quantity",
    "value",
    "standard_error",
    "unit",
    "quality",
    "verdict",
    "verdict_reason",
    "reviewer",
    "reviewed_at",
    "failed_checks",
    "image_sha256",
    "intended_use",
)
CHUNK = 200
# A cell that begins so is a formula to a spreadsheet.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def export_lines(ids: Sequence[UUID]) -> Iterator[list[object]]:
    """Yield the lines of scans in the order of their ids; a scan without a number has one."""
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        held = {scan.pk: scan for scan in Scan.objects.filter(pk__in=chunk)}
        for row in ledger_rows([held[pk] for pk in chunk if pk in held]):
            yield from _lines_of(row)


def _lines_of(row: LedgerRow) -> Iterator[list[object]]:
    """Yield the lines of one scan."""
    scan = row.scan
    facts: list[object] = [
        scan.pk,
        scan.session.visit.date.isoformat(),
        harmless(scan.session.visit.patient.pseudonym),
        scan.session.visit.patient.is_synthetic,
        scan.sequence,
        " x ".join(f"{float(side):.3f}" for side in scan.image.spacing_mm),
        harmless(row.epoch.scanner.name),
        harmless(row.epoch.protocol),
        harmless(row.epoch.software),
    ]
    tail: list[object] = [scan.content_sha256, settings.INTENDED_USE]
    blank: list[object] = [""] * (len(EXPORT_COLUMNS) - len(facts) - len(tail))
    if not row.cells:
        yield [*facts, *blank, *tail]
    for cell in row.cells:
        for line in _numbers_of(cell):
            yield [*facts, *line, *tail]


def _numbers_of(cell: LedgerCell) -> Iterator[list[object]]:
    """Yield what one run says, a line per number."""
    run, review = cell.card.run, cell.card.review
    head: list[object] = [run.method, run.method_version, run.pk, cell.card.state]
    verdict: list[object] = [
        cell.quality,
        review.verdict if review else "",
        review.reason if review else "",
        harmless(review.reviewer.get_username()) if review and review.reviewer else "",
        review.created_at.isoformat() if review else "",
        harmless(" ".join(cell.card.failed_checks)),
    ]
    measures = list(run.measurements.all())
    if not measures:
        yield [*head, "", "", "", "", "", *verdict]
    for measure in measures:
        error = "" if measure.standard_error is None else repr(measure.standard_error)
        yield [
            *head,
            measure.structure,
            measure.quantity,
            repr(measure.value),
            error,
            measure.unit,
            *verdict,
        ]


def harmless(text: str) -> str:
    """Return a text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
