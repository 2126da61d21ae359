"""One clinic with one of everything, its six roles, and everybody who might knock."""

from dataclasses import dataclass, field
from datetime import date

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.test import Client
from django.utils import timezone

from monitoring.core.cohort.definition import Definition
from monitoring.core.parameter_set import literature_defaults
from monitoring.models import (
    ApiToken,
    Clinic,
    CohortAnalysis,
    CohortDefinition,
    DeliveredVisit,
    Delivery,
    DivergenceEstimate,
    Flag,
    Membership,
    MethodChoice,
    ParameterAdoption,
    ParameterProposal,
    ParameterSet,
    Patient,
    Relapse,
    Role,
    Scan,
    Slot,
    UploadDraft,
)
from monitoring.services.people import token_create, token_revoke
from tests.factories.record import (
    clinic_make,
    member_make,
    patient_make,
    run_make,
    scan_make,
)
from volumetry.models import GivenMask, RunFile, Status, VolumetryRun

ALL_ROLES = tuple(Role)


@dataclass
class World:
    """Everything of one clinic that an address can name."""

    clinic: Clinic
    patient: Patient
    relapse: Relapse
    scan: Scan
    run: VolumetryRun
    waiting: VolumetryRun
    failed: VolumetryRun
    flag: Flag
    draft: UploadDraft
    delivery: Delivery
    mask: GivenMask
    membership: Membership
    token: ApiToken
    cohort: CohortDefinition
    analysis: CohortAnalysis
    proposal: ParameterProposal
    clients: dict[str, Client] = field(default_factory=dict)


def world_make() -> World:
    """Build the clinic and its callers."""
    clinic, elsewhere = clinic_make("Vltava"), clinic_make("Labe")
    people = {role: member_make(f"vltava-{role.value}", clinic, role) for role in ALL_ROLES}
    boss = people[Role.ADMINISTRATOR]
    patient = patient_make(clinic, "ANNA")
    scan = scan_make(patient, date(2020, 5, 1))
    run = run_make(scan, "neuraxis-brain", measures={("brain_parenchyma", "volume"): 1.1e6})
    picture = RunFile(run=run, name="overlay.png")
    picture.file.save("overlay.png", ContentFile(b"\x89PNG"), save=True)
    MethodChoice.objects.create(
        clinic=clinic, slot=Slot.BRAIN, method=run.method, version=run.method_version
    )
    draft = UploadDraft.objects.create(
        clinic=clinic, patient=patient, visit_date=date(2021, 1, 1)
    )
    delivery = Delivery.objects.create(
        clinic=clinic, actor=people[Role.TECHNICIAN], sorted_at=timezone.now()
    )
    DeliveredVisit.objects.create(delivery=delivery, number=1, state="refused", draft=draft)
    mask = GivenMask(image=scan.image, kind="lesions", sha256="0" * 64)
    mask.file.save("mask.nii.gz", ContentFile(b"mask"), save=False)
    mask.save()
    estimate = DivergenceEstimate.objects.create(
        patient=patient,
        policy_version="cpb-1",
        parameters_id="test",
        input_digest="0" * 64,
        level="insufficient",
        payload={},
    )
    return World(
        clinic=clinic,
        patient=patient,
        relapse=Relapse.objects.create(patient=patient, onset=date(2019, 4, 1)),
        scan=scan,
        run=run,
        waiting=run_make(scan, "neuraxis-cord", status=Status.QUEUED),
        failed=run_make(scan, "neuraxis-cord", status=Status.FAILED, parameters={"a": 1}),
        flag=Flag.objects.create(
            patient=patient,
            estimate=estimate,
            old_level="insufficient",
            new_level="watch",
            reason="Watch: review.",
        ),
        draft=draft,
        delivery=delivery,
        mask=mask,
        membership=member_make("leaving", clinic, Role.RESEARCHER).memberships.get(),
        token=token_create(actor=boss, clinic=clinic, name="other", role=Role.RESEARCHER)[0],
        cohort=CohortDefinition.objects.create(
            clinic=clinic,
            name="Everybody",
            fields=Definition().to_json(),
            digest=Definition().digest,
        ),
        analysis=CohortAnalysis.objects.create(
            clinic=clinic,
            fields=Definition().to_json(),
            digest=Definition().digest,
            data_version="0" * 64,
            analysis_version="test",
            status="succeeded",
            result={"columns": ["pseudonym"], "rooms": [], "excluded": []},
            rows=[["ANNA"]],
        ),
        proposal=proposal_make(clinic),
        clients=_callers(people, clinic, elsewhere),
    )


def proposal_make(clinic: Clinic) -> ParameterProposal:
    """Return a proposal of a clinic that was compared and adopted."""
    chosen = ParameterSet.objects.create(
        clinic=clinic,
        name="own-test",
        digest=literature_defaults().digest(),
        document=literature_defaults().to_document(),
    )
    ParameterAdoption.objects.create(clinic=clinic, parameter_set=chosen, reason="Tested.")
    return ParameterProposal.objects.create(
        clinic=clinic, kind="refit", status="done", parameter_set=chosen
    )


def _callers(people: dict[Role, User], clinic: Clinic, elsewhere: Clinic) -> dict[str, Client]:
    """Return a client for everybody who might call, by name."""
    boss = people[Role.ADMINISTRATOR]
    stranger = member_make("stranger", elsewhere, *ALL_ROLES)
    clients = {"anonymous": Client(), "stranger": _signed_in(stranger)}
    for role in ALL_ROLES:
        clients[role.value] = _signed_in(people[role])
        _, text = token_create(actor=boss, clinic=clinic, name=role.value, role=role)
        clients[f"token {role.value}"] = _bearer(text)
        _, text = token_create(actor=stranger, clinic=elsewhere, name=role.value, role=role)
        clients[f"foreign token {role.value}"] = _bearer(text)
    dead, text = token_create(actor=boss, clinic=clinic, name="dead", role=Role.DATA_MANAGER)
    token_revoke(actor=boss, token=dead)
    clients["revoked token"] = _bearer(text)
    return clients


def _signed_in(user: User) -> Client:
    """Return a browser in which somebody is signed in."""
    client = Client(raise_request_exception=True)
    client.force_login(user)
    return client


def _bearer(text: str) -> Client:
    """Return a program that carries a token."""
    return Client(headers={"Authorization": f"Bearer {text}"})
