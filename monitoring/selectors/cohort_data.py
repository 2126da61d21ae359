"""From a clinic's rows to the columns that the cohort analyses take, in few large queries.

A clinic of 20,000 patients has 400,000 runs: nothing here makes an object per row, the database
puts the numbers of a run and of a visit side by side, and ids travel as text, which is looked
up several times faster than a UUID. Which number counts is decided as for one patient
(`selectors.observations`): the newest run per scan and method in the version that the clinic
follows, without changes between two scans, what a reader rejected and what waits for a reader.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from django.db.models import Count, Max, Q
from django.db.models.functions import Coalesce

from monitoring.core.cohort.table import (
    BRAIN_STRUCTURES,
    COLUMNS,
    INTRACRANIAL,
    Cohort,
    Kind,
    Readings,
)
from monitoring.models import (
    Clinic,
    DivergenceEstimate,
    Patient,
    Review,
    Scan,
    ScannerEpoch,
    Sequence,
    Sex,
)
from monitoring.selectors.cohort_facts import (
    edss_of,
    lesions_of,
    phenotypes_of,
    relapses_of,
    statements_of,
)
from monitoring.selectors.columns import CHUNK, Largest, id_text, number_or_nan
from monitoring.selectors.methods import not_followed
from monitoring.selectors.observations import CORD_LEVELS
from monitoring.selectors.side_by_side import side_by_side
from volumetry.core.types import Quantity, Structure
from volumetry.models import Outcome, QualityResult, Status, VolumetryRun

_AREAS = frozenset({Structure.CORPUS_CALLOSUM.value})
_NO_BRAIN = (None,) * (len(COLUMNS) - 2)
_LEVELS = len(CORD_LEVELS)


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
        .values_list(
            id_text("pk"), "pseudonym", "sex", "birth_year", "onset_date", "is_synthetic"
        )
    )
    index = {row[0]: place for place, row in enumerate(people)}
    sexes = {Sex.FEMALE.value: 0.0, Sex.MALE.value: 1.0}
    found = side_by_side({
        "runs": lambda: _runs(clinic),
        "scans": lambda: _scans(clinic),
        "unusable": lambda: _unusable_runs(clinic),
        "statements": lambda: statements_of(clinic, index),
        "edss": lambda: edss_of(clinic, index),
        "lesions": lambda: lesions_of(clinic, index),
        "relapses": lambda: relapses_of(clinic, index),
        "phenotypes": lambda: phenotypes_of(clinic, index),
    })  # fmt: skip
    readings, kinds, epochs = _readings(
        clinic, index, found["scans"], found["runs"], found["unusable"]
    )
    edss, systems = found["edss"]
    return Cohort(
        ids=tuple(row[1] for row in people),
        sex=np.array([number_or_nan(sexes.get(row[2])) for row in people]),
        birth_year=np.array([number_or_nan(row[3]) for row in people]),
        onset=np.array([number_or_nan(row[4] and row[4].toordinal()) for row in people]),
        phenotypes=found["phenotypes"],
        readings=readings,
        kinds=kinds,
        epochs=tuple(str(epoch) for epoch in epochs),
        epoch_ids=tuple(str(epoch.pk) for epoch in epochs),
        edss=edss,
        systems=systems,
        relapses=found["relapses"],
        lesions=found["lesions"],
        statements=found["statements"],
        is_synthetic=clinic.is_synthetic or any(row[5] for row in people),
    )


def _readings(
    clinic: Clinic,
    index: dict[str, int],
    scans: dict[str, tuple[Any, ...]],
    runs: Iterable[tuple[Any, ...]],
    unusable: set[str],
) -> tuple[Readings, tuple[Kind, ...], list[ScannerEpoch]]:
    """Return the usable numbers of every run of the versions that the clinic follows."""
    names = dict(Sequence.choices)
    epochs = list(
        ScannerEpoch.objects.filter(scanner__clinic=clinic)
        .select_related("scanner")
        .order_by("created_at")
    )
    place = {epoch.pk: number for number, epoch in enumerate(epochs)}
    kinds: dict[Kind, int] = {}
    kind_of: dict[tuple[str, ...], int] = {}

    def kind(*name: str) -> int:
        # Hashing a tuple of words is cheaper than making a kind per row.
        if name not in kind_of:
            kind_of[name] = kinds.setdefault(Kind(*name), len(kinds))
        return kind_of[name]

    rows: list[tuple[int, int, int, int]] = []
    values: list[tuple[float | None, ...]] = []
    # The newest run per scan and method: the rows come in the order of their end.
    newest = {(row[1], row[2]): row for row in runs}
    for run, image, method, version, *numbers in newest.values():
        # Questions asked side by side do not see one moment: a scan that came in between waits
        # for the next computation, which its arrival asks for.
        if run in unusable or image not in scans or scans[image][0] not in index:
            continue
        patient, day, epoch, sequence = scans[image]
        where = (index[patient], day.toordinal(), place[epoch])
        brain = numbers[2 * _LEVELS :]
        if any(value is not None for value in brain):
            rows.append((*where, kind("brain", method, version)))
            values.append((*brain, None, None))
        for at, level in enumerate(CORD_LEVELS):
            if numbers[at] is not None:
                contrast = names.get(sequence, sequence)
                rows.append((*where, kind(str(level), method, version, contrast)))
                values.append((*_NO_BRAIN, numbers[at], numbers[_LEVELS + at]))
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    readings = Readings(
        table[:, 0],
        table[:, 1],
        table[:, 2],
        table[:, 3],
        np.array(values, dtype=np.float64).reshape(-1, len(COLUMNS)),
    )
    return readings, tuple(kinds), epochs


def _scans(clinic: Clinic) -> dict[str, tuple[Any, ...]]:
    """Return patient, day, epoch and sequence of every image."""
    rows = Scan.objects.filter(clinic=clinic).order_by()
    return {
        image: tuple(where)
        for image, *where in rows.values_list(
            id_text("image_id"),
            id_text("session__visit__patient_id"),
            "session__visit__date",
            Coalesce("epoch__merged_into_id", "epoch_id"),
            "sequence",
        ).iterator(CHUNK)
    }


def _runs(clinic: Clinic) -> list[tuple[Any, ...]]:
    """Return the measured runs that the clinic follows in the order of their end.

    A row holds run, image, method, version, cord area per level, cord volume per level and the
    brain's numbers.
    """

    def picked(structure: str, quantity: str) -> Largest:
        wanted = Q(measurements__structure=structure, measurements__quantity=quantity)
        return Largest("measurements__value", filter=wanted)

    columns = {f"cord{i}": picked(s, Quantity.MEAN_CSA) for i, s in enumerate(CORD_LEVELS)}
    columns |= {f"size{i}": picked(s, Quantity.VOLUME) for i, s in enumerate(CORD_LEVELS)}
    columns |= {
        f"brain{i}": picked(name, Quantity.AREA if name in _AREAS else Quantity.VOLUME)
        for i, name in enumerate((*BRAIN_STRUCTURES, INTRACRANIAL))
    }
    runs = (
        VolumetryRun.objects.filter(
            image__in=Scan.objects.filter(clinic=clinic).values("image"),
            before__isnull=True,
            status=Status.SUCCEEDED,
            outcome__in=[Outcome.OK, Outcome.NEEDS_LANDMARK],
        )
        .exclude(not_followed(clinic))
        .order_by("finished_at")
        .values("pk", "image_id", "method", "method_version", "finished_at")
        .annotate(**columns)
        .values_list(id_text("pk"), id_text("image_id"), "method", "method_version", *columns)
    )
    return list(runs.iterator(CHUNK))


def _unusable_runs(clinic: Clinic) -> set[str]:
    """Return runs that a reader rejected, and those that a failed check keeps waiting."""
    reviews = Review.objects.filter(run__image__scan__clinic=clinic)
    failed = QualityResult.objects.filter(run__image__scan__clinic=clinic, verdict="fail")
    waiting = set(failed.order_by().values_list(id_text("run_id"), flat=True).iterator(CHUNK))
    # Nearly every verdict accepts a good run: only those of doubtful runs are read.
    rejected = reviews.filter(verdict=Review.Verdict.REJECTED)
    doubtful = Q(run__in=rejected.order_by().values("run")) | Q(
        run__in=failed.order_by().values("run")
    )
    verdicts = dict(
        reviews.filter(doubtful)
        .order_by("created_at", "id")
        .values_list(id_text("run_id"), "verdict")
        .iterator(CHUNK)
    )
    refused = {run for run, verdict in verdicts.items() if verdict == Review.Verdict.REJECTED}
    accepted = {run for run, verdict in verdicts.items() if verdict == Review.Verdict.ACCEPTED}
    return refused | (waiting - accepted)
