"""Masks that people give: lesions are filled, outlines corrected, foreign masks kept apart."""

import gzip
from datetime import date

import nibabel as nib
import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from monitoring.models import AuditEntry, MethodChoice, Role, Scan
from monitoring.selectors.observations import observation_list, patient_scans, point_list
from monitoring.selectors.reviews import review_queue
from tests.api.conftest import token_make
from tests.factories.record import member_make, patient_make, run_make, scan_make
from volumetry.core.images import mask_save
from volumetry.core.methods import Availability, CordRequest
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
from volumetry.engines.registry import MASK_METHODS, METHODS
from volumetry.models import GivenMask, Status, VolumetryRun
from volumetry.services import run_execute
from volumetry.storage import orphans_sweep

pytestmark = pytest.mark.django_db

SHAPE = (40, 40, 40)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


class Engine:
    """An engine that outlines a block, and says what it was given."""

    version = "1.0"
    description = "For tests."

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[CordRequest] = []

    def availability(self) -> Availability:
        return Availability(is_ready=True)

    def measure(self, image: ScanImage, *, workdir, request=None) -> VolumetryResult:
        self.requests.append(request)
        is_cord = "cord" in self.name
        value = 70.0 if is_cord else 1.1e6
        checks = [QualityCheck("grid", 1.0, 1.0, Verdict.PASS)]
        facts: dict[str, object] = {}
        if request.correction:
            value *= 0.95
            checks.append(QualityCheck("outline_corrected", 0.95, None, Verdict.PASS, "Less."))
        if request.lesions:
            checks.append(QualityCheck("lesions_filled", 72.0, None, Verdict.PASS, "Filled."))
            facts = {"lesion_volume_mm3": 576.0, "lesion_count": 2}
        measure = (
            StructureMeasure(Structure.CORD_C2_C3, Quantity.MEAN_CSA, value, Unit.MM2, 0.7)
            if is_cord
            else StructureMeasure(
                Structure.BRAIN_PARENCHYMA, Quantity.VOLUME, value, Unit.MM3, 9e3
            )
        )
        name = f"{'cord' if is_cord else 'brain'}_mask.nii.gz"
        files = {name: mask_save(cord_mask(), image.affine, workdir / name)}
        made_by = Provenance(self.name, self.version, facts, image.sha256)
        return VolumetryResult(Outcome.OK, None, (measure,), tuple(checks), made_by, 0.1, files)


@pytest.fixture(autouse=True)
def engines(monkeypatch) -> dict[str, Engine]:
    made = {}
    for names, registry in (
        (("neuraxis-brain", "neuraxis-cord"), METHODS),
        (("mask-brain", "mask-cord"), MASK_METHODS),
    ):
        for name in names:
            made[name] = Engine(name)
            monkeypatch.setitem(registry, name, made[name])
    return made


def cord_mask(width: int = 5) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[18 : 18 + width, 18:23, 4:36] = 1
    return mask


def lesion_mask() -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[10:13, 10:13, 10:13] = 1
    mask[20:23, 20:23, 20:25] = 1
    return mask


def nifti(values: np.ndarray, affine: np.ndarray = AFFINE) -> bytes:
    return gzip.compress(bytes(nib.Nifti1Image(values, affine).to_bytes()))


def sent(values: np.ndarray, affine: np.ndarray = AFFINE) -> SimpleUploadedFile:
    return SimpleUploadedFile("Novakova lesions.nii.gz", nifti(values, affine))


def with_image(scan: Scan) -> Scan:
    """Give a scan an image that can be read."""
    values = np.random.default_rng(5).integers(1, 900, SHAPE, dtype=np.int16)
    scan.image.file.save("image.nii.gz", ContentFile(nifti(values)), save=True)
    return scan


@pytest.fixture
def scan(vltava) -> Scan:
    return with_image(scan_make(patient_make(vltava, "ANNA"), date(2024, 1, 1)))


def signed_in(clinic, role: Role) -> Client:
    client = Client()
    client.force_login(member_make(f"the-{role.value}", clinic, role))
    return client


@pytest.fixture
def radiologist(vltava) -> Client:
    return signed_in(vltava, Role.RADIOLOGIST)


def measured(scan: Scan, method: str = "neuraxis-cord") -> VolumetryRun:
    """Have a scan measured as the worker does it."""
    run = run_make(scan, method, status=Status.QUEUED)
    assert run_execute(run.pk)
    run.refresh_from_db()
    return run


def give(client, run, values, origin="correction", affine=AFFINE):
    return client.post(
        reverse("review_mask", args=[run.pk]),
        {"origin": origin, "files": [sent(values, affine)]},
        follow=True,
    )


def give_lesions(client, scan, values, affine=AFFINE):
    return client.post(
        reverse("scan_lesions", args=[scan.pk]), {"files": [sent(values, affine)]}, follow=True
    )


def trend(scan: Scan) -> list[float]:
    patient = scan.session.visit.patient
    return [one.value for one in observation_list(point_list(patient_scans(patient)))]


# --- Corrections ----------------------------------------------------------------------------


def test_a_corrected_outline_is_measured_and_takes_the_place_of_the_first(
    radiologist, scan, engines, doorbell, django_capture_on_commit_callbacks
):
    first = measured(scan)
    assert trend(scan) == [70.0]

    with django_capture_on_commit_callbacks(execute=True):
        page = give(radiologist, first, cord_mask(4))
    mask = GivenMask.objects.get()
    new = VolumetryRun.objects.exclude(pk=first.pk).get()
    assert ("run", str(new.pk)) in doorbell
    assert page.redirect_chain[-1][0] == reverse("review", args=[new.pk])
    assert run_execute(new.pk)

    assert (mask.kind, mask.corrects, mask.given_by.username) == (
        "cord",
        first,
        "the-radiologist",
    )
    request = engines["neuraxis-cord"].requests[-1]
    np.testing.assert_array_equal(request.correction.mask.intensities, cord_mask(4))
    np.testing.assert_array_equal(request.correction.own.intensities, cord_mask())
    new.refresh_from_db()
    assert new.parameters["correction_sha256"] == mask.sha256
    assert new.parameters["correction_by"] == "the-radiologist"
    # One series, one number per scan: the corrected one.
    assert trend(scan) == [66.5]
    entry = AuditEntry.objects.filter(subject="mask").get()
    assert (entry.action, entry.pseudonym) == ("upload", "ANNA")
    assert mask.sha256[:12] in entry.detail


def test_the_page_shows_the_new_number_beside_the_old_one_struck_through(radiologist, scan):
    first = measured(scan)
    give(radiologist, first, cord_mask(4))
    run_execute(VolumetryRun.objects.exclude(pk=first.pk).get().pk)

    shown = radiologist.get(reverse("review", args=[first.pk])).content.decode()

    assert "With and without a given mask" in shown
    assert "outline corrected" in shown
    assert "−5.0 % of the engine’s own" in shown
    assert shown.count("in no statistic") == 1
    assert "outline corrected</small>" in shown  # the mark in the patient's own series


def test_verdicts_apply_to_the_corrected_measurement(radiologist, scan, vltava, bob):
    first = measured(scan)
    give(radiologist, first, cord_mask(4))
    new = VolumetryRun.objects.exclude(pk=first.pk).get()
    run_execute(new.pk)
    assert [run.pk for run in review_queue(bob, vltava)] == [new.pk]

    radiologist.post(reverse("review_verdict", args=[new.pk]), {"verdict": "rejected:outline"})

    assert trend(scan) == []


def test_a_correction_of_a_correction_is_held_against_the_first_outline(
    radiologist, scan, engines
):
    first = measured(scan)
    give(radiologist, first, cord_mask(4))
    second = VolumetryRun.objects.exclude(pk=first.pk).get()
    run_execute(second.pk)

    give(radiologist, second, cord_mask(3))

    third = VolumetryRun.objects.exclude(pk__in=[first.pk, second.pk]).get()
    run_execute(third.pk)
    request = engines["neuraxis-cord"].requests[-1]
    np.testing.assert_array_equal(request.correction.own.intensities, cord_mask())
    np.testing.assert_array_equal(request.correction.mask.intensities, cord_mask(3))


def test_a_correction_is_taken_back_by_measuring_again_without_it(radiologist, scan):
    first = measured(scan)
    give(radiologist, first, cord_mask(4))
    new = VolumetryRun.objects.exclude(pk=first.pk).get()
    run_execute(new.pk)

    radiologist.post(reverse("review_mask_withdraw", args=[new.pk]))
    again = VolumetryRun.objects.exclude(pk__in=[first.pk, new.pk]).get()
    run_execute(again.pk)

    assert again.parameters == {}
    assert trend(scan) == [70.0]
    assert GivenMask.objects.count() == 1


def test_the_landmark_of_the_run_goes_along_with_a_correction(radiologist, scan):
    parameters = {"landmark": {"kind": "c2c3", "point_mm": [1, 2, 3]}, "contrast": "t1"}
    run = run_make(scan, "neuraxis-cord", status=Status.QUEUED, parameters=parameters)
    run_execute(run.pk)

    give(radiologist, run, cord_mask(4))

    new = VolumetryRun.objects.exclude(pk=run.pk).get()
    assert new.parameters.items() >= parameters.items()


# --- Masks made elsewhere -------------------------------------------------------------------


def test_a_mask_made_elsewhere_is_measured_and_never_joins_the_trend(
    radiologist, scan, engines, vltava, bob
):
    first = measured(scan)

    give(radiologist, first, cord_mask(3), origin="made_elsewhere")

    new = VolumetryRun.objects.exclude(pk=first.pk).get()
    assert new.method == "mask-cord"
    assert run_execute(new.pk)
    assert engines["mask-cord"].requests[-1].correction is None
    np.testing.assert_array_equal(
        engines["mask-cord"].requests[-1].mask.intensities, cord_mask(3)
    )
    assert trend(scan) == [70.0]
    assert new.pk not in [run.pk for run in review_queue(bob, vltava)]
    shown = radiologist.get(reverse("review", args=[new.pk])).content.decode()
    assert "mask made elsewhere" in shown
    assert "in no statistic" in shown


def test_a_foreign_mask_is_never_what_a_clinic_follows(radiologist, scan, vltava):
    first = measured(scan)
    MethodChoice.objects.filter(clinic=vltava).erase()
    give(radiologist, first, cord_mask(3), origin="made_elsewhere")
    run_execute(VolumetryRun.objects.exclude(pk=first.pk).get().pk)

    assert not MethodChoice.objects.filter(clinic=vltava, method="mask-cord").exists()
    assert trend(scan) == [70.0]


# --- Refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "affine", "words"),
    [
        (cord_mask()[:30], AFFINE, "30 × 40 × 40 voxels, the scan 40 × 40 × 40"),
        (cord_mask(), np.diag([2.0, 2.0, 2.1, 1.0]), "away from the scan"),
        (np.zeros(SHAPE, np.uint8), AFFINE, "empty"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_in_a_sentence_and_leaves_nothing(
    radiologist, scan, values, affine, words
):
    first = measured(scan)

    page = give(radiologist, first, values, affine=affine)

    assert words in page.content.decode()
    assert VolumetryRun.objects.count() == 1
    assert not GivenMask.objects.exists()


def test_a_run_without_an_outline_takes_only_a_mask_made_elsewhere(radiologist, scan):
    run = run_make(scan, "neuraxis-cord", measures={("cord_c2_c3", "mean_csa"): 70.0})

    shown = radiologist.get(reverse("review", args=[run.pk])).content.decode()
    page = give(radiologist, run, cord_mask(4)).content.decode()

    assert "corrects this outline" not in shown
    assert "kept no outline" in page
    assert not GivenMask.objects.exists()


@pytest.mark.parametrize("role", [Role.TECHNICIAN, Role.NEUROLOGIST, Role.DATA_MANAGER])
def test_only_a_reader_corrects_an_outline(scan, vltava, role):
    first = measured(scan)
    client = signed_in(vltava, role)

    shown = client.get(reverse("review", args=[first.pk])).content.decode()

    assert "Measure with this mask" not in shown
    assert give(client, first, cord_mask(4)).status_code == 403
    assert not GivenMask.objects.exists()


def test_a_request_without_a_file_or_with_two_is_refused(radiologist, scan):
    first = measured(scan)
    address = reverse("review_mask", args=[first.pk])

    none = radiologist.post(address, {"origin": "correction"}, follow=True)
    two = radiologist.post(
        address,
        {"origin": "correction", "files": [sent(cord_mask()), sent(cord_mask(4))]},
        follow=True,
    )

    assert "Choose one mask file" in none.content.decode()
    assert "Choose one mask file" in two.content.decode()


# --- Lesions --------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.TECHNICIAN, Role.NEUROLOGIST, Role.RADIOLOGIST])
def test_the_lesions_of_a_visit_are_filled_and_reported(scan, vltava, engines, role):
    measured(scan, "neuraxis-brain")
    client = signed_in(vltava, role)

    waiting = give_lesions(client, scan, lesion_mask()).content.decode()
    new = VolumetryRun.objects.order_by("created_at").last()
    assert run_execute(new.pk)
    shown = client.get(reverse("scan_detail", args=[scan.pk])).content.decode()

    assert "waits to be measured" in waiting
    np.testing.assert_array_equal(
        engines["neuraxis-brain"].requests[-1].lesions.intensities, lesion_mask()
    )
    mask = GivenMask.objects.get()
    assert new.parameters["lesions"] == str(mask.pk)
    assert "0.58 ml" in shown
    assert "2 lesions" in shown
    assert reverse("scan_mask", args=[scan.pk, mask.pk]) in shown
    assert len(trend(scan)) == 1


def test_volume_and_count_of_the_lesions_are_in_the_api(scan, vltava, radiologist):
    give_lesions(radiologist, scan, lesion_mask())
    run = VolumetryRun.objects.get()
    _, text = token_make(vltava, Role.NEUROLOGIST)
    registry = Client(headers={"Authorization": f"Bearer {text}"})
    address = reverse("api_run", args=[run.pk])
    assert registry.get(address).json()["run"]["lesion_volume_mm3"] is None

    run_execute(run.pk)

    told = registry.get(address).json()["run"]
    assert (told["lesion_volume_mm3"], told["lesion_count"]) == (576.0, 2)
    assert told["given_masks"] == {"lesions": GivenMask.objects.get().sha256}


def test_a_correction_keeps_the_lesions_filled_and_lesions_keep_the_correction(
    radiologist, scan, engines
):
    give_lesions(radiologist, scan, lesion_mask())
    first = VolumetryRun.objects.get()
    run_execute(first.pk)
    brain = np.ones(SHAPE, np.uint8)
    brain[0] = 0
    big = np.diag([6.0, 6.0, 6.0, 1.0])
    scan.image.file.save("image.nii.gz", ContentFile(nifti(cord_mask(), big)), save=True)

    refused = give(radiologist, first, brain, affine=big).content.decode()
    assert "a brain has 500 to 2500 ml" in refused
    brain[:, :34] = 0
    give(radiologist, first, brain, affine=big)

    second = VolumetryRun.objects.exclude(pk=first.pk).get()
    assert {"lesions", "correction"} <= second.parameters.keys()


def test_lesions_are_refused_where_they_cannot_be_filled(radiologist, scan):
    Scan.objects.filter(pk=scan.pk).update(sequence="flair")
    shown = radiologist.get(reverse("scan_detail", args=[scan.pk])).content.decode()

    page = give_lesions(radiologist, scan, lesion_mask()).content.decode()

    assert "Measure with these lesions" not in shown
    assert "T1-weighted" in page
    assert not VolumetryRun.objects.exists()


def test_who_only_sees_runs_gives_no_lesions(scan, vltava):
    client = signed_in(vltava, Role.DATA_MANAGER)

    assert give_lesions(client, scan, lesion_mask()).status_code == 403
    assert not GivenMask.objects.exists()


def test_a_mask_is_handed_out_as_it_was_taken_to_members_only(radiologist, scan, labe):
    give_lesions(radiologist, scan, lesion_mask())
    mask = GivenMask.objects.get()
    address = reverse("scan_mask", args=[scan.pk, mask.pk])

    answer = radiologist.get(address)
    content = gzip.decompress(b"".join(answer.streaming_content))
    kept = np.frombuffer(content[352:], np.uint8).reshape(SHAPE, order="F")

    np.testing.assert_array_equal(kept, lesion_mask())
    assert "Novakova" not in answer.headers["Content-Disposition"]
    assert signed_in(labe, Role.RESEARCHER).get(address).status_code == 404
    other = scan_make(scan.session.visit.patient, date(2025, 1, 1))
    assert radiologist.get(reverse("scan_mask", args=[other.pk, mask.pk])).status_code == 404


def test_the_same_mask_given_twice_is_one_fact(radiologist, scan):
    for _ in range(2):
        give_lesions(radiologist, scan, lesion_mask())

    assert GivenMask.objects.count() == 1
    assert VolumetryRun.objects.count() == 1


def test_the_sweep_of_orphans_leaves_given_masks_alone(radiologist, scan, monkeypatch):
    give_lesions(radiologist, scan, lesion_mask())
    monkeypatch.setattr("volumetry.storage.ORPHAN_AGE", -10 * orphan_day())
    mask = GivenMask.objects.get()

    orphans_sweep()

    assert mask.file.storage.exists(mask.file.name)


def orphan_day():
    from datetime import timedelta

    return timedelta(days=1)
