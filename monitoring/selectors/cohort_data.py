"""From a clinic's rows to the columns that the cohort analyses take, in few large queries.

A clinic of 20,000 patients has 400,000 runs: nothing here makes an object per row. Which number
counts is decided as for one patient (`selectors.observations`): the newest run per scan and
method in the version that the clinic follows, without changes between two scans, what a reader
rejected and what waits for a reader.
"""

import hashlib
from collections.abc import Iterable
from datetime import date
from typing import Any
from uuid import UUID

import numpy as np
from django.db.models import Count, F, Max, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from monitoring.core.cohort.table import (
    BRAIN_STRUCTURES,
    COLUMNS,
    INTRACRANIAL,
    LEVELS,
    PHENOTYPES,
    SYSTEMS,
    Cohort,
    Kind,
    Lesions,
    Long,
    Readings,
    Statements,
    column,
)
from monitoring.core.series import IntArray
from monitoring.models import (
    Assessment,
    Clinic,
    DivergenceEstimate,
    LesionCount,
    Patient,
    PhenotypePeriod,
    Relapse,
    Review,
    ScannerEpoch,
    Sequence,
    Sex,
)
from monitoring.selectors.methods import not_followed
from monitoring.selectors.observations import CORD_LEVELS
from volumetry.core.types import Quantity, Structure
from volumetry.models import Measurement, Outcome, QualityResult, Status, VolumetryRun

CHUNK = 20_000
_AREAS = frozenset({Structure.CORPUS_CALLOSUM.value})
_MISSING = float("nan")


def data_version(clinic: Clinic) -> str:
    """Return a hash that changes with every fact, verdict, run or estimate of a clinic.

    Every write that touches a patient moves the patient's clocks, so that one look at the
    patients and at the newest estimate is enough.
    """
    patients = Patient.objects.filter(clinic=clinic)
    seen = patients.aggregate(
        Count("pk"), Max("updated_at"), Max("facts_changed_at"), Max("divergence_checked_at")
    )
    newest = DivergenceEstimate.objects.filter(patient__clinic=clinic).aggregate(Max("pk"))
    text = repr(sorted((key, str(value)) for key, value in (seen | newest).items()))
    return hashlib.sha256(text.encode()).hexdigest()


def cohort_of(clinic: Clinic) -> Cohort:
    """Return everything of a clinic's patients; the caller has checked who asks."""
    people = list(
        Patient.objects.filter(clinic=clinic)
        .order_by("pseudonym")
        .values_list("pk", "pseudonym", "sex", "birth_year", "onset_date", "is_synthetic")
    )
    index = {row[0]: place for place, row in enumerate(people)}
    sexes = {Sex.FEMALE.value: 0.0, Sex.MALE.value: 1.0}
    readings, kinds, epochs = _readings(clinic, index)
    edss, systems = _edss(clinic, index)
    return Cohort(
        ids=tuple(row[1] for row in people),
        sex=np.array([sexes.get(row[2], _MISSING) for row in people]),
        birth_year=np.array([_number(row[3]) for row in people]),
        onset=np.array([row[4].toordinal() if row[4] else _MISSING for row in people]),
        phenotypes=_phenotypes(clinic, index),
        readings=readings,
        kinds=kinds,
        epochs=tuple(str(epoch) for epoch in epochs),
        epoch_ids=tuple(str(epoch.pk) for epoch in epochs),
        edss=edss,
        systems=systems,
        relapses=Long.of(
            (index[pk], day.toordinal(), 1.0)
            for pk, day in Relapse.objects.current()
            .filter(patient__clinic=clinic)
            .values_list("patient_id", "onset")
            .iterator(CHUNK)
        ),
        lesions=_lesions(clinic, index),
        statements=_statements(clinic, index),
        is_synthetic=clinic.is_synthetic or any(row[5] for row in people),
    )


def _number(value: Any) -> float:
    """Return a number, NaN for None."""
    return _MISSING if value is None else float(value)


def _phenotypes(clinic: Clinic, index: dict[UUID, int]) -> Long:
    """Return the periods of the phenotypes."""
    rows = PhenotypePeriod.objects.current().filter(patient__clinic=clinic)
    return Long.of(
        (index[pk], day.toordinal(), float(PHENOTYPES.index(name)))
        for pk, day, name in rows.values_list("patient_id", "starts_on", "phenotype")
    )


def _edss(clinic: Clinic, index: dict[UUID, int]) -> tuple[Long, Any]:
    """Return EDSS and functional systems, sorted by patient and day."""
    rows = (
        Assessment.objects.current()
        .filter(visit__patient__clinic=clinic)
        .values_list("visit__patient_id", "visit__date", "edss", *SYSTEMS)
    )
    table = np.array(
        [
            (index[row[0]], row[1].toordinal(), *(_number(value) for value in row[2:]))
            for row in rows.iterator(CHUNK)
        ],
        dtype=np.float64,
    ).reshape(-1, 3 + len(SYSTEMS))
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    return (
        Long(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2]),
        table[:, 3:],
    )


def _readings(
    clinic: Clinic, index: dict[UUID, int]
) -> tuple[Readings, tuple[Kind, ...], list[ScannerEpoch]]:
    """Return the usable numbers of every run of the versions that the clinic follows."""
    unusable = _unusable_runs(clinic)
    names = dict(Sequence.choices)
    runs = (
        VolumetryRun.objects.filter(
            image__scan__clinic=clinic,
            before__isnull=True,
            status=Status.SUCCEEDED,
            outcome__in=[Outcome.OK, Outcome.NEEDS_LANDMARK],
        )
        .exclude(not_followed(clinic))
        .order_by("finished_at")
        .values_list(
            "pk",
            "image_id",
            "method",
            "method_version",
            "image__scan__session__visit__patient_id",
            "image__scan__session__visit__date",
            Coalesce("image__scan__epoch__merged_into_id", "image__scan__epoch_id"),
            "image__scan__sequence",
        )
    )
    newest: dict[tuple[UUID, str], tuple[Any, ...]] = {}
    for row in runs.iterator(CHUNK):
        newest[row[1], row[2]] = row
    facts = {row[0]: row for row in newest.values() if row[0] not in unusable}
    epochs = list(
        ScannerEpoch.objects.filter(scanner__clinic=clinic)
        .select_related("scanner")
        .order_by("created_at")
    )
    place = {epoch.pk: number for number, epoch in enumerate(epochs)}
    kinds: dict[Kind, int] = {}
    rows: list[tuple[int, int, int, int]] = []
    values: list[tuple[float, ...]] = []
    blank = (_MISSING,) * len(COLUMNS)
    cord_at = column("cord")
    for run, cords, brain in _numbers(clinic):
        fact = facts.get(run)
        if fact is None:
            continue
        _, _, method, version, patient, day, epoch, sequence = fact
        where = (index[patient], day.toordinal(), place[epoch])
        if any(value is not None for value in brain):
            kind = kinds.setdefault(Kind("brain", method, version), len(kinds))
            rows.append((*where, kind))
            values.append((*(_number(value) for value in brain), _MISSING))
        for level, area in zip(CORD_LEVELS, cords, strict=True):
            if area is not None:
                name = Kind(str(level), method, version, names.get(sequence, sequence))
                rows.append((*where, kinds.setdefault(name, len(kinds))))
                values.append((*blank[:cord_at], area))
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    readings = Readings(
        table[:, 0],
        table[:, 1],
        table[:, 2],
        table[:, 3],
        np.array(values, dtype=np.float64).reshape(-1, len(COLUMNS)),
    )
    return readings, tuple(kinds), epochs


def _numbers(
    clinic: Clinic,
) -> Iterable[tuple[UUID, tuple[float | None, ...], tuple[float | None, ...]]]:
    """Return run, cord area per level and the brain's numbers, one row per run."""
    brain = (*BRAIN_STRUCTURES, INTRACRANIAL)

    def picked(structure: str, quantity: str) -> Max:
        return Max("value", filter=Q(structure=structure, quantity=quantity))

    columns = {f"cord{i}": picked(s, Quantity.MEAN_CSA) for i, s in enumerate(CORD_LEVELS)}
    columns |= {
        f"brain{i}": picked(name, Quantity.AREA if name in _AREAS else Quantity.VOLUME)
        for i, name in enumerate(brain)
    }
    rows = (
        Measurement.objects.filter(run__image__scan__clinic=clinic)
        .order_by()
        .values("run_id")
        .annotate(**columns)
        .values_list("run_id", *columns)
    )
    levels = len(CORD_LEVELS)
    for row in rows.iterator(CHUNK):
        yield row[0], row[1 : 1 + levels], row[1 + levels :]


def _unusable_runs(clinic: Clinic) -> set[UUID]:
    """Return runs that a reader rejected, and those that a failed check keeps waiting."""
    verdicts = dict(
        Review.objects.filter(run__image__scan__clinic=clinic)
        .order_by("created_at", "id")
        .values_list("run_id", "verdict")
        .iterator(CHUNK)
    )
    rejected = {run for run, verdict in verdicts.items() if verdict == Review.Verdict.REJECTED}
    failed = QualityResult.objects.filter(run__image__scan__clinic=clinic, verdict="fail")
    waiting = {
        run
        for run in failed.values_list("run_id", flat=True).iterator(CHUNK)
        if verdicts.get(run) != Review.Verdict.ACCEPTED
    }
    return rejected | waiting


def _lesions(clinic: Clinic, index: dict[UUID, int]) -> Lesions:
    """Return the lesion statements, one row per visit."""
    region, kind = LesionCount.Region, LesionCount.Kind
    place = {
        (region.BRAIN, "focal", kind.T2): 0,
        (region.CORD, "focal", kind.T2): 1,
        (region.BRAIN, "focal", kind.NEW_T2): 2,
        (region.BRAIN, "diffuse", kind.T2): 3,
        (region.CORD, "diffuse", kind.T2): 4,
    }
    said: dict[tuple[int, int], list[float]] = {}
    rows = (
        LesionCount.objects.current()
        .filter(visit__patient__clinic=clinic)
        .values_list(
            "visit__patient_id",
            "visit__date",
            "region",
            "pattern",
            "kind",
            "count",
            "is_present",
        )
    )
    for patient, day, where, pattern, what, count, is_present in rows.iterator(CHUNK):
        at = place.get((where, pattern, what))
        if at is not None:
            own = said.setdefault((index[patient], day.toordinal()), [_MISSING] * 5)
            own[at] = float(count if pattern == "focal" else is_present)
    keys = np.array(sorted(said), dtype=np.int64).reshape(-1, 2)
    table = np.array([said[int(p), int(d)] for p, d in keys], dtype=np.float64).reshape(-1, 5)
    brain, cord, new, diffuse_brain, diffuse_cord = table.T
    return Lesions(keys[:, 0], keys[:, 1], brain, cord, new, diffuse_brain, diffuse_cord)


def _statements(clinic: Clinic, index: dict[UUID, int]) -> Statements:
    """Return the divergence as of each scan, from each patient's newest estimate."""
    newest = DivergenceEstimate.objects.filter(patient=OuterRef("pk")).order_by(
        "-created_at", "-id"
    )
    last = (
        Patient.objects.filter(clinic=clinic)
        .annotate(last=Subquery(newest.values("pk")[:1]))
        .filter(last__isnull=False)
    )
    rows: list[tuple[float, ...]] = []
    histories = DivergenceEstimate.objects.filter(pk__in=last.values("last")).values_list(
        "patient_id", F("payload__history")
    )
    for patient, history in histories.iterator(2000):
        rows.extend(
            (
                index[patient],
                date.fromisoformat(past["as_of"]).toordinal(),
                _number(past.get("d_percent_per_year")),
                _number(past.get("p_change")),
                _number(past.get("brain_percent_per_year")),
                _number(past.get("cord_percent_per_year")),
                LEVELS.index(past["level"]),
            )
            for past in history or ()
            if past.get("as_of") and past.get("level") in LEVELS
        )
    table = np.array(sorted(rows, key=lambda row: row[:2]), dtype=np.float64).reshape(-1, 7)

    def whole(at: int) -> IntArray:
        return table[:, at].astype(np.int64)

    return Statements(
        whole(0), whole(1), table[:, 2], table[:, 3], table[:, 4], table[:, 5], whole(6)
    )
