"""Every follow-up gets its change against baseline and scan before, once, and only then."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from django.urls import reverse

from monitoring.charts.timeline import timeline_figure
from monitoring.core.comparability import SeriesFacts
from monitoring.core.pairing import Against, PairCandidate, pairs_plan
from monitoring.models import Clinic, Patient, Review, Role, Scan
from monitoring.selectors.timelines import Timeline, timeline_of
from monitoring.services.pairs import pairs_ensure
from monitoring.services.reviews import measurement_review, run_repeat
from monitoring.tasks import divergence_refresh
from tests.factories.record import member_make, patient_make, run_make, scan_make
from volumetry.core.methods import Availability, PairRequest
from volumetry.core.types import (
    Outcome,
    Provenance,
    QualityCheck,
    Quantity,
    ScanImage,
    Structure,
    StructureMeasure,
    Unit,
    Verdict,
    VolumetryResult,
)
from volumetry.engines.registry import PAIR_METHODS
from volumetry.models import Status, VolumetryRun
from volumetry.services import run_execute

DAYS = [date(2020, 5, 1), date(2021, 5, 1), date(2022, 5, 1)]


class FakeChange:
    """Says a fixed change, and whether the other way of measuring agrees."""

    description = "For tests."

    def __init__(self, name: str, structure: Structure, percent: float) -> None:
        self.name, self.version = name, "7"
        self.structure, self.percent = structure, percent

    def availability(self) -> Availability:
        return Availability(is_ready=True)

    def measure(
        self, before: ScanImage, after: ScanImage, *, workdir: Path, requests: PairRequest
    ) -> VolumetryResult:
        provenance = Provenance(
            self.name, self.version, {}, before.sha256, {"followup": after.sha256}
        )
        if before.intensities.shape != after.intensities.shape:
            return VolumetryResult.refused("Not alike.", provenance=provenance, seconds=0.1)
        measure = StructureMeasure(
            self.structure, Quantity.PERCENT_CHANGE, self.percent, Unit.PERCENT, 0.3
        )
        check = QualityCheck("independent_difference", 1.9, 1.0, Verdict.WARN, "1.9 apart.")
        return VolumetryResult(Outcome.OK, None, (measure,), (check,), provenance, 0.1)


@pytest.fixture(autouse=True)
def engines(monkeypatch):
    brain = FakeChange("neuraxis-change", Structure.BRAIN_PARENCHYMA, -0.9)
    cord = FakeChange("neuraxis-cord-change", Structure.CORD_SEGMENT, -2.0)
    for method in (brain, cord):
        monkeypatch.setitem(PAIR_METHODS, method.name, method)


@pytest.fixture
def patient(vltava: Clinic) -> Patient:
    return patient_make(vltava, "P-1")


def measured(
    patient: Patient, day: date, *, scanner: str = "Aera", brain: float = 1.1e6
) -> Scan:
    scan = scan_make(patient, day, scanner=scanner)
    run_make(scan, "neuraxis-brain", measures={("brain_parenchyma", "volume"): brain})
    return scan


def pairs_of(patient: Patient) -> set[tuple[date, date]]:
    runs = VolumetryRun.objects.filter(
        before__isnull=False, image__scan__session__visit__patient=patient
    )
    days = runs.values_list(
        "before__scan__session__visit__date", "image__scan__session__visit__date"
    )
    return set(days)


def course(patient: Patient) -> Timeline:
    return timeline_of(Patient.objects.get(pk=patient.pk), today=date(2024, 1, 1))


def facts(epoch: str) -> SeriesFacts:
    return SeriesFacts(
        structure="brain_parenchyma",
        quantity="volume",
        method="m",
        method_version="",
        epoch=epoch,
    )


def test_the_plan_takes_the_first_and_the_last_comparable_scan():
    candidates = [
        PairCandidate("c", date(2022, 1, 1), facts("old")),
        PairCandidate("a", date(2020, 1, 1), facts("old")),
        PairCandidate("b", date(2021, 1, 1), facts("old")),
        PairCandidate("b2", date(2021, 1, 1), facts("old")),
        PairCandidate("d", date(2023, 1, 1), facts("new")),
        PairCandidate("e", date(2024, 1, 1), facts("new")),
    ]

    pairs, unpaired = pairs_plan(candidates)

    both = (Against.BASELINE, Against.PREVIOUS)
    assert [(p.before, p.after, p.against, p.is_first) for p in pairs] == [
        ("a", "b", both, True),
        ("a", "b2", both, True),
        ("a", "c", (Against.BASELINE,), True),
        ("b2", "c", (Against.PREVIOUS,), True),
        ("d", "e", both, False),
    ]
    assert [one.after for one in unpaired] == ["d"]
    assert unpaired[0].reasons == ("Scanner epoch differs: old and new.",)


def test_a_value_beside_paired_ones_says_that_it_stands_alone(patient: Patient) -> None:
    days = (date(2020, 1, 1), date(2021, 1, 1), date(2022, 1, 1), date(2023, 1, 1))
    scans = [measured(patient, day) for day in days]

    def alone() -> list[list[str]]:
        figure = timeline_figure(course(patient))
        return [
            trace["x"]
            for trace in figure["data"]
            if trace.get("meta") == {"role": "alone", "region": "brain"}
        ]

    assert alone() == []  # nobody is measured in pairs: nothing to tell apart
    run = run_make(
        scans[1], "neuraxis-change", measures={("brain_parenchyma", "percent_change"): 0.9}
    )
    VolumetryRun.objects.filter(pk=run.pk).update(before=scans[0].image)
    assert alone() == [["2022-01-01", "2023-01-01"]]


def test_follow_ups_are_asked_for_once(vltava: Clinic, patient: Patient, doorbell):
    for day in DAYS:
        measured(patient, day)

    first = pairs_ensure(patient.pk)
    again = pairs_ensure(patient.pk)
    divergence_refresh(str(patient.pk))

    assert len(first) == 3
    assert again == []
    assert pairs_of(patient) == {
        (DAYS[0], DAYS[1]),
        (DAYS[0], DAYS[2]),
        (DAYS[1], DAYS[2]),
    }


def test_a_rejected_scan_is_no_baseline_and_none_before(patient: Patient, bob):
    scans = [measured(patient, day) for day in DAYS]
    run = scans[0].image.runs.get()
    rejected = measurement_review(
        actor=bob, run=run, verdict=Review.Verdict.REJECTED, reason=Review.Reason.ARTIFACT
    )

    pairs_ensure(patient.pk)

    assert pairs_of(patient) == {(DAYS[1], DAYS[2])}
    measurement_review(
        actor=bob, run=run, verdict=Review.Verdict.ACCEPTED, seen_review=rejected.pk
    )
    pairs_ensure(patient.pk)
    assert len(pairs_of(patient)) == 3
    words = {(c.since, c.when): c.words for c in course(patient).changes}
    assert words == {
        (DAYS[0], DAYS[1]): "baseline and previous",
        (DAYS[0], DAYS[2]): "baseline",
        (DAYS[1], DAYS[2]): "previous",
    }


def test_another_scanner_is_not_compared_and_says_so(patient: Patient):
    measured(patient, DAYS[0])
    measured(patient, DAYS[1], scanner="Prisma")
    measured(patient, DAYS[2], scanner="Prisma")

    pairs_ensure(patient.pk)

    assert pairs_of(patient) == {(DAYS[1], DAYS[2])}
    timeline = course(patient)
    assert [c.words for c in timeline.changes] == ["first scan of this scanner and previous"]
    told = next(scan for scan in timeline.scans if scan.when == DAYS[1]).not_compared
    assert "No earlier scan on this scanner and protocol" in told[0].sentence


def test_a_failed_scan_and_a_drawn_one_pair_with_nothing(patient: Patient):
    waits = scan_make(patient, DAYS[0])
    run_make(
        waits,
        "neuraxis-brain",
        measures={("brain_parenchyma", "volume"): 1.1e6},
        checks={"field_of_view": "fail"},
    )
    drawn = measured(patient, DAYS[1])
    type(drawn.image).objects.filter(pk=drawn.image_id).update(file="", is_synthetic=True)
    measured(patient, DAYS[2])

    assert pairs_ensure(patient.pk) == []


def run_all(patient: Patient, monkeypatch) -> list[VolumetryRun]:
    image = ScanImage(np.zeros((4, 4, 4), np.float32), np.eye(4), "ab" * 32)
    monkeypatch.setattr("volumetry.measuring.image_load", lambda _path: image)
    runs = pairs_ensure(patient.pk)
    for run in runs:
        assert run_execute(run.pk)
        run.refresh_from_db()
    return runs


def test_a_measured_change_is_stored_and_told_everywhere(
    vltava: Clinic, patient: Patient, bob, client, monkeypatch
):
    # One by one the brain seems to lose 9 %; together it lost 0.9 %.
    for day, brain in zip(DAYS[:2], (1.1e6, 1.0e6), strict=True):
        measured(patient, day, brain=brain)
    [run] = run_all(patient, monkeypatch)

    assert run.status == Status.SUCCEEDED
    stored = run.measurements.get()
    assert (stored.value, stored.unit, stored.standard_error) == (-0.9, "%", 0.3)
    assert run.provenance["other_sha256"] == {"followup": "ab" * 32}
    change = course(patient).changes[0]
    assert change.interval == pytest.approx((-1.488, -0.312))
    assert change.percent_per_year == pytest.approx(-0.9 / (365 / 365.25))
    assert "−9.1 %" in change.doubt
    assert "−0.9 %" in change.doubt

    client.force_login(bob)
    assert "Brain: change" in client.get(reverse("run_detail", args=[run.pk])).text
    assert "−0.90" in client.get(reverse("run_detail", args=[run.pk])).text
    page = client.get(reverse("scan_detail", args=[run.image.scan.pk])).text
    assert "Brain: change since 2020-05-01" in page
    assert "Brain: change since 2020-05-01" in client.get(reverse("review_queue")).text
    assert client.get(reverse("review", args=[run.pk])).status_code == 200
    patient_page = client.get(reverse("patient_below", args=[patient.pk])).text
    assert "baseline and previous" in patient_page
    assert "more apart than their errors allow" in patient_page
    csv = client.get(reverse("patient_table", args=[patient.pk, "changes"])).text
    assert "2021-05-01,2020-05-01,baseline and previous,brain,-0.9,0.3" in csv


def test_a_rejected_change_is_struck_through(patient: Patient, bob, monkeypatch):
    for day in DAYS[:2]:
        measured(patient, day)
    [run] = run_all(patient, monkeypatch)
    measurement_review(
        actor=bob, run=run, verdict=Review.Verdict.REJECTED, reason=Review.Reason.OUTLINE
    )

    assert course(patient).changes[0].is_rejected


def test_a_change_never_enters_the_trend(patient: Patient, monkeypatch):
    for day in DAYS[:2]:
        measured(patient, day)
    run_all(patient, monkeypatch)

    timeline = course(patient)

    assert [point.quantity for point in timeline.points] == ["volume", "volume"]
    assert [p.quantity for p in timeline.other_points] == ["percent_change"]


def test_a_refused_pair_says_why_and_is_not_asked_for_again(patient: Patient, monkeypatch):
    scans = [measured(patient, day) for day in DAYS[:2]]
    paths = {scans[0].image.file.path: (4, 4, 4), scans[1].image.file.path: (4, 4, 5)}

    def load(path):
        return ScanImage(np.zeros(paths[str(path)], np.float32), np.eye(4), "0" * 64)

    monkeypatch.setattr("volumetry.measuring.image_load", load)
    [run] = pairs_ensure(patient.pk)
    run_execute(run.pk)

    assert course(patient).changes[0].sentence == "Not alike."
    assert pairs_ensure(patient.pk) == []


def test_a_failed_pair_is_tried_again_as_a_pair(patient: Patient, monkeypatch):
    for day in DAYS[:2]:
        measured(patient, day)
    [run] = pairs_ensure(patient.pk)
    VolumetryRun.objects.filter(pk=run.pk).update(status=Status.FAILED, reason="Gone.")
    run.refresh_from_db()
    technician = member_make("dana", patient.clinic, Role.TECHNICIAN)

    again = run_repeat(actor=technician, run=run)

    assert (again.before_id, again.image_id) == (run.before_id, run.image_id)
    assert again.pk != run.pk
