"""A clinic's own parameters: proposed, compared, adopted, withdrawn; never silently applied."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.urls import reverse
from django.utils import timezone

from monitoring.core.expected_flags import expected_flags, literature_expected
from monitoring.core.parameter_set import literature_defaults
from monitoring.models import (
    Assessment,
    AuditEntry,
    DivergenceEstimate,
    ParameterAdoption,
    ParameterProposal,
    Patient,
    PhenotypePeriod,
    Review,
    Role,
    Visit,
)
from monitoring.selectors.parameter_pages import set_badge
from monitoring.selectors.parameters import recomputing, set_in_force
from monitoring.selectors.timelines import timeline_of
from monitoring.services.divergence import divergence_refresh, parameters_of
from monitoring.services.parameters import (
    SILENCE,
    parameters_adopt,
    parameters_withdraw,
    proposal_compute,
    proposal_create,
    proposals_sweep,
)
from monitoring.tasks import clinic_refresh
from tests.factories.record import member_make, patient_make, run_make, scan_make

pytestmark = pytest.mark.django_db
REFIT = ParameterProposal.Kind.REFIT
LINES = ParameterProposal.Kind.LINES
TODAY = date(2024, 1, 1)


@pytest.fixture
def dana(vltava):
    """Return the data manager of Vltava."""
    return member_make("dana", vltava, Role.DATA_MANAGER)


@pytest.fixture(autouse=True)
def _few_simulated_people(monkeypatch):
    monkeypatch.setattr("monitoring.services.parameters.PEOPLE", 60)


def course(clinic, bob, number, *, accepted=True, control=False, cord=-0.9):
    """Return a person with three scans in three years around a slope of their own."""
    rng = np.random.default_rng(number)
    patient = patient_make(clinic, f"N-{number:03d}")
    slopes = (-0.4 + 0.2 * rng.normal(), cord + 0.5 * rng.normal())
    for year in (0, 1.5, 3):
        scan = scan_make(patient, date(2016, 3, 1) + timedelta(days=round(365.25 * year)))
        for method, key, first, slope, error in (
            ("neuraxis-brain", ("brain_parenchyma", "volume"), 1.1e6, slopes[0], 0.6),
            ("neuraxis-cord", ("cord_c2_c3", "mean_csa"), 70.0, slopes[1], 1.4),
        ):
            value = first * np.exp((slope * year + error * rng.normal()) / 100)
            run = run_make(scan, method, measures={key: value})
            if accepted:
                Review.objects.create(run=run, verdict="accepted", reviewer=bob)
    if control:
        PhenotypePeriod.objects.create(patient=patient, phenotype="HC", starts_on=TODAY)
    return patient


@pytest.fixture
def centre(vltava, bob):
    """Return 20 stable patients, three who teach nothing, and three controls.

    One is progressing, one was not accepted, one has a slip that somebody accepted.
    """
    people = [course(vltava, bob, number) for number in range(20)]
    course(vltava, bob, 20, accepted=False)
    slip = scan_make(course(vltava, bob, 22), date(2020, 3, 1))
    Review.objects.create(
        run=run_make(slip, "neuraxis-cord", measures={("cord_c2_c3", "mean_csa"): 7.0}),
        verdict="accepted",
        reviewer=bob,
    )
    people.append(course(vltava, bob, 21))
    for month, edss in ((0, 2), (12, 4), (24, 4)):
        visit, _ = Visit.objects.get_or_create(
            patient=people[-1], date=date(2016, 6, 1) + timedelta(days=30 * month)
        )
        Assessment.objects.create(visit=visit, edss=edss)
    for number in range(30, 33):
        course(vltava, bob, number, control=True, cord=-0.2)
    return vltava


def computed(actor, clinic, kind=REFIT, **lines):
    proposal = proposal_create(actor=actor, clinic=clinic, kind=kind, lines=lines)
    proposal_compute(proposal.pk)
    proposal.refresh_from_db()
    return proposal


def test_a_refit_is_compared_adopted_recomputed_and_withdrawn(centre, dana, bob):
    patient = Patient.objects.get(pseudonym="N-003")
    before = divergence_refresh(patient.pk)
    proposal = computed(dana, centre)

    assert proposal.status == "done", proposal.problem
    made = proposal.parameter_set
    assert made.provenance["patients"] == 20
    assert made.provenance["controls"] == 3
    left_out = {row["reason"]: row["people"] for row in made.provenance["left_out"]}
    assert left_out == {
        "patients: a confirmed disability worsening": 1,
        "patients: accepted measurements on fewer than two dates": 1,
        "patients: values that differ by more than a factor of 3": 1,
    }
    assert any("raised to 0.800" in guard for guard in made.provenance["guards"])
    assert any("there are 3" in norm["refusal"] for norm in made.norms)
    assert proposal.comparison["assessed"] == 26
    assert sum(proposal.comparison["levels"].values()) == 26
    assert proposal.comparison["expected"]["new"] == made.expected

    # Nothing is applied by itself.
    assert parameters_of(patient).id == "literature-2"
    assert DivergenceEstimate.objects.count() == 1

    parameters_adopt(actor=dana, proposal=proposal, reason="Our own scanners.")

    assert parameters_of(patient).id == made.name
    assert parameters_of(patient).digest() == made.digest
    assert recomputing(centre).waiting == 26
    clinic_refresh(str(centre.pk))
    assert recomputing(centre).waiting == 0
    after = patient.estimates.latest()
    assert after.pk != before.pk
    assert after.parameters_id == made.name
    count = DivergenceEstimate.objects.count()
    divergence_refresh(patient.pk)
    assert DivergenceEstimate.objects.count() == count
    seen = timeline_of(patient, today=TODAY)
    assert seen.sdc_percent["cord"] == pytest.approx(
        2.7719 * made.document["error_sd"][1], rel=1e-4
    )
    assert "prior" not in {caveat.id for caveat in seen.caveats}

    parameters_withdraw(actor=dana, clinic=centre, reason="Looked at it again.")

    assert set_in_force(centre.pk).parameters == literature_defaults()
    assert [a.reason for a in ParameterAdoption.objects.all()] == [
        "Looked at it again.",
        "Our own scanners.",
    ]
    lines = AuditEntry.objects.filter(subject="parameter set").order_by("pk")
    assert [line.detail for line in lines] == [
        f"adopted {made.name}",
        "withdrawn, literature defaults",
    ]
    divergence_refresh(patient.pk)
    assert patient.estimates.latest().parameters_id == "literature-2"


def test_too_few_patients_are_refused_in_words(vltava, dana, bob):
    course(vltava, bob, 1)

    proposal = computed(dana, vltava)

    assert proposal.status == "failed"
    assert "at least 20 patients" in proposal.problem
    with pytest.raises(ValidationError, match="not ready"):
        parameters_adopt(actor=dana, proposal=proposal, reason="Anyway.")


def test_other_lines_are_a_proposal_that_moves_levels(vltava, dana, bob):
    patient = course(vltava, bob, 1, cord=-2.4)
    old = divergence_refresh(patient.pk)
    quiet = {"watch_p_faster_than_1": 0.99, "flag_p_faster_than_1": 0.995}
    loud = {"watch_p_faster_than_1": 0.05, "flag_p_faster_than_1": 0.06, "hysteresis": 0.0}
    wanted = loud if old.level in {"none", "insufficient"} else quiet

    proposal = computed(dana, vltava, LINES, **wanted)

    assert proposal.comparison["patients"] == [
        {"patient": str(patient.pk), "old": old.level, "new": _other(proposal)}
    ]
    assert proposal.parameter_set.name.startswith("literature-2+lines-")
    assert set_badge(set_in_force(vltava.pk).parameters) == "literature defaults"
    parameters_adopt(actor=dana, proposal=proposal, reason="Fewer calls.")
    assert (
        set_badge(set_in_force(vltava.pk).parameters)
        == "literature defaults, lines of this clinic"
    )
    divergence_refresh(patient.pk)
    flag = patient.flags.first()
    assert flag.cause.startswith(f"The parameter set {proposal.parameter_set.name} came")
    with pytest.raises(ValidationError, match="came into force since"):
        parameters_adopt(actor=dana, proposal=proposal, reason="Twice.")


def _other(proposal):
    (key,) = proposal.comparison["levels"]
    return key.split()[1]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ({"watch_p_change": 0.9}, "must lie above 0 and not above its flag line"),
        ({"minimum_cord_scans": 1}, "Two scans never carry a statement"),
        ({}, "in force already"),
    ],
)
def test_lines_that_contradict_each_other_are_refused(vltava, dana, lines, words):
    with pytest.raises(ValidationError, match=words):
        proposal_create(actor=dana, clinic=vltava, kind=LINES, lines=lines)


def test_one_proposal_at_a_time_and_dead_workers_are_given_up(vltava, dana):
    waiting = proposal_create(actor=dana, clinic=vltava, kind=REFIT)
    with pytest.raises(ValidationError, match="being computed"):
        proposal_create(actor=dana, clinic=vltava, kind=REFIT)
    assert proposals_sweep() == [waiting.pk]

    ParameterProposal.objects.filter(pk=waiting.pk).update(
        status="running", updated_at=timezone.now() - 2 * SILENCE
    )

    assert proposals_sweep() == []
    waiting.refresh_from_db()
    assert waiting.problem == "The worker stopped; propose again."


def test_only_a_data_manager_proposes_and_a_reason_is_needed(vltava, dana, alice):
    centre = vltava
    with pytest.raises(PermissionDenied):
        proposal_create(actor=alice, clinic=centre, kind=REFIT)
    proposal = computed(dana, centre, LINES, minimum_years=2.0)
    with pytest.raises(PermissionDenied):
        parameters_adopt(actor=alice, proposal=proposal, reason="I like it.")
    with pytest.raises(ValidationError, match="Say why"):
        parameters_adopt(actor=dana, proposal=proposal, reason="  ")
    with pytest.raises(ValidationError, match="literature defaults are in force"):
        parameters_withdraw(actor=dana, clinic=centre, reason="Why not.")


def test_the_pages_lead_from_the_proposal_to_the_adoption(centre, dana, client, doorbell):
    client.force_login(dana)
    page = client.get(reverse("parameters")).content.decode()
    assert "literature defaults" in page
    assert "0.08" in page  # the packaged cost of the literature's flag line

    asked = client.post(reverse("parameters_propose", args=["refit"]))
    proposal = ParameterProposal.objects.get()
    with_bell = [pk for what, pk in doorbell if what == "proposal"]
    assert with_bell == []  # rung after the commit only, and a test never commits
    waiting = client.get(asked["Location"]).content.decode()
    assert "looks again by itself" in waiting
    proposal_compute(proposal.pk)
    state = client.get(reverse("parameter_proposal_state", args=[proposal.pk]))
    assert state["HX-Refresh"] == "true"
    ready = client.get(asked["Location"]).content.decode()
    assert "side by side" in ready
    assert "people with a usable scan keep their level" in ready
    assert "Aera" in ready  # an epoch under the clinic's own name
    proposal.refresh_from_db()

    document = client.get(reverse("parameter_set_document", args=[proposal.pk]))
    assert document["Content-Disposition"].endswith(f'{proposal.parameter_set}.json"')

    refused = client.post(reverse("parameters_adopt", args=[proposal.pk]), {"reason": ""})
    assert ParameterAdoption.objects.count() == 0
    assert refused.status_code == 302
    client.post(reverse("parameters_adopt", args=[proposal.pk]), {"reason": "Ours."})
    page = client.get(reverse("parameters")).content.decode()
    assert "Computing anew: 0 of 26" in page
    assert "Ours." in page
    wrong = client.post(
        reverse("parameters_propose", args=["lines"]), {"watch_p_change": "nonsense"}
    )
    assert wrong.status_code == 422


def test_a_refit_by_strict_lines_says_more_false_flags_cost_more():
    """Common draws: lower lines can only raise the false flags and the converters caught."""
    strict = literature_defaults()
    loose = replace(strict, policy=replace(strict.policy, flag_p_change=0.3))
    here = expected_flags(strict, people=150)
    there = expected_flags(loose, people=150)

    assert there.flag.per_100_years >= here.flag.per_100_years
    assert there.flag.caught > here.flag.caught
    assert there.watch == here.watch
    assert here.flag.low <= here.flag.per_100_years <= here.flag.high


@pytest.mark.slow
def test_the_packaged_cost_of_the_literature_defaults_is_what_the_simulation_gives():
    assert expected_flags(literature_defaults()) == literature_expected()
