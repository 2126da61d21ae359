"""What was recorded stays: no update, no delete, on row and queryset of every such model."""

from datetime import date

import pytest
from django.apps import apps
from django.core.management.sql import emit_post_migrate_signal
from django.db import IntegrityError, connection, models, transaction

from monitoring.models import Review
from tests.factories.record import patient_make, run_make, scan_make
from tests.project.world import world_make
from volumetry.models import (
    TRANSITIONS,
    AppendOnlyError,
    AppendOnlyModel,
    Outcome,
    Status,
    VolumetryRun,
)
from volumetry.services import (
    run_cancel,
    run_claim,
    run_fail,
    run_release,
    run_request,
    runs_sweep,
)

pytestmark = pytest.mark.django_db

RECORDED = [model for model in apps.get_models() if issubclass(model, AppendOnlyModel)]


def test_these_models_are_append_only():
    assert {model.__name__ for model in RECORDED} == {
        "AuditEntry",
        "DivergenceEstimate",
        "GivenMask",
        "Measurement",
        "ParameterAdoption",
        "ParameterSet",
        "MethodChoice",
        "QualityResult",
        "Review",
    }


@pytest.fixture
def recorded(db, bob):
    """One row of every append-only model."""
    from monitoring.services.reviews import measurement_review

    world = world_make()
    measurement_review(actor=bob, run=world.run, verdict="accepted")
    return world


@pytest.mark.parametrize("model", RECORDED)
def test_a_recorded_row_is_neither_changed_nor_deleted(model, recorded):
    row = model.objects.first()
    name = next(f.name for f in model._meta.concrete_fields if not f.primary_key)

    refused = [
        row.save,
        row.delete,
        model.objects.all().delete,
        lambda: model.objects.update(**{name: getattr(row, name)}),
        lambda: model.objects.filter(pk=row.pk).update(**{name: getattr(row, name)}),
        lambda: model.objects.bulk_update([row], [name]),
        lambda: model.objects.update_or_create(pk=row.pk, defaults={name: getattr(row, name)}),
    ]
    for act in refused:
        with pytest.raises(AppendOnlyError), transaction.atomic():
            act()
    assert model.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("model", RECORDED)
def test_the_database_refuses_a_change_that_goes_past_the_models(model, recorded):
    row = model.objects.first()
    name = next(f.name for f in model._meta.concrete_fields if not f.primary_key)
    plain = models.QuerySet(model).filter(pk=row.pk)

    with pytest.raises(IntegrityError, match="is append-only"), transaction.atomic():
        plain.update(**{name: getattr(row, name)})


def test_a_table_that_was_rebuilt_is_protected_again(recorded):
    with connection.cursor() as cursor:
        words = {
            "sqlite": "DROP TRIGGER monitoring_review_append_only",
            "postgresql": "DROP TRIGGER append_only ON monitoring_review",
        }
        cursor.execute(words[connection.vendor])
    emit_post_migrate_signal(verbosity=0, interactive=False, db=connection.alias)

    with pytest.raises(IntegrityError), transaction.atomic():
        models.QuerySet(Review).update(note="Another word.")


def test_clinical_rows_are_protected_from_the_deletion_of_what_they_belong_to():
    """No cascade leads from a patient, a scan or a run to a fact about it."""
    cascading = {
        f"{model.__name__}.{field.name}"
        for model in apps.get_models()
        if model._meta.app_label in {"monitoring", "volumetry"}
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey)
        and field.remote_field.on_delete is models.CASCADE
    }

    assert cascading == {
        "Membership.user",
        "FirstPassword.user",
        "UploadDraft.actor",
        "AnsweredRequest.token",
        # Files on their way in, no facts yet.
        "Delivery.actor",
        "DeliveredVisit.delivery",
        "DeliveredVisit.draft",
    }


# --- The state machine ----------------------------------------------------------------------

# How each service moves a run, and from where it may.
MOVES = {
    (Status.QUEUED, Status.RUNNING): lambda run: run_claim(run.pk),
    (Status.QUEUED, Status.CANCELLED): run_cancel,
    (Status.RUNNING, Status.FAILED): lambda run: run_fail(run, "No."),
    (Status.RUNNING, Status.QUEUED): lambda run: run_release(run, "Later."),
}


@pytest.mark.parametrize("start", Status)
@pytest.mark.parametrize("move", MOVES)
def test_no_service_moves_a_run_along_an_edge_that_is_not_drawn(vltava, start, move):
    run = run_make(scan_make(patient_make(vltava), date(2020, 5, 1)), "neuraxis-brain")
    VolumetryRun.objects.filter(pk=run.pk).update(
        status=start, attempt=1, outcome=Outcome.OK if start == Status.SUCCEEDED else ""
    )
    run.refresh_from_db()

    MOVES[move](run)

    run.refresh_from_db()
    allowed = TRANSITIONS[start] | {start}
    assert run.status in allowed
    if start == move[0]:
        assert run.status == move[1]


def test_every_edge_but_success_has_a_service_that_walks_it():
    edges = {(start, end) for start, ends in TRANSITIONS.items() for end in ends}

    assert edges - set(MOVES) == {(Status.RUNNING, Status.SUCCEEDED)}


def test_the_sweep_moves_nothing_that_ended(vltava):
    world = world_make()
    ended = {run.pk: run.status for run in (world.run, world.failed)}

    runs_sweep()

    assert {pk: VolumetryRun.objects.get(pk=pk).status for pk in ended} == ended


def test_two_active_runs_of_one_request_cannot_be(vltava):
    world = world_make()
    first = run_request(image=world.scan.image, method="neuraxis-brain")

    assert run_request(image=world.scan.image, method="neuraxis-brain").pk == first.pk
    with pytest.raises(IntegrityError), transaction.atomic():
        VolumetryRun.objects.create(
            image=first.image,
            method=first.method,
            method_version=first.method_version,
            parameters_digest=first.parameters_digest,
            status=Status.RUNNING,
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "unknown"},
        {"status": Status.SUCCEEDED, "outcome": ""},
        {"outcome": "perhaps"},
    ],
)
def test_a_run_that_cannot_be_is_refused_by_the_database(vltava, wrong):
    world = world_make()

    with pytest.raises(IntegrityError), transaction.atomic():
        VolumetryRun.objects.filter(pk=world.waiting.pk).update(**wrong)
