"""A cord pair measures with the clicks that its two scans needed, and again when one moves."""

from datetime import date
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from django.core.files.base import ContentFile

from monitoring.models import Clinic, Patient, Scan
from monitoring.selectors.timelines import timeline_of
from monitoring.services.pairs import pairs_ensure
from monitoring.services.reviews import landmark_place
from monitoring.tasks import divergence_refresh
from tests.factories.record import patient_make, scan_make
from tests.volumetry.phantoms.cord_tube import CordTube, tube_image
from volumetry.core.types import ScanImage
from volumetry.models import Outcome, Status, VolumetryRun
from volumetry.services import run_request
from volumetry.tasks import run_execute

DAYS = [date(2020, 5, 1), date(2021, 5, 1)]


@pytest.fixture(autouse=True)
def no_heartbeat(settings) -> None:
    """Keep the heartbeat's thread out of a transaction that only the test sees."""
    settings.RUN_HEARTBEAT_SECONDS = 600


@pytest.fixture
def patient(vltava: Clinic) -> Patient:
    return patient_make(vltava, "P-1")


def stored(patient: Patient, day: date, drawn: ScanImage, folder: Path) -> Scan:
    """Return a scan whose file is really there."""
    path = folder / f"{day}.nii.gz"
    nib.save(nib.Nifti1Image(drawn.intensities, drawn.affine), path)
    scan = scan_make(patient, day)
    scan.image.file.save("image.nii.gz", ContentFile(path.read_bytes()), save=True)
    return scan


def worked(run: VolumetryRun) -> VolumetryRun:
    run_execute(str(run.pk))
    run.refresh_from_db()
    assert run.status == Status.SUCCEEDED, run.reason
    return run


def cord_pairs(patient: Patient) -> list[VolumetryRun]:
    return list(
        VolumetryRun.objects.filter(
            method="neuraxis-cord-change", image__scan__session__visit__patient=patient
        ).order_by("created_at")
    )


@pytest.mark.slow
@pytest.mark.django_db
def test_a_pair_takes_the_clicks_of_its_scans_and_runs_again_when_one_moves(
    patient: Patient, bob, tmp_path: Path
):
    for number, day in enumerate(DAYS):
        tube = CordTube(length_mm=44.0, field_mm=40.0, rl_mm=12.6 - 0.2 * number)
        drawn = tube_image(tube, noise=0.05, blur_sigma_mm=0.3, subdivision=2, seed=90 + number)
        scan = stored(patient, day, drawn, tmp_path)
        worked(run_request(image=scan.image, method="neuraxis-cord"))

    divergence_refresh(str(patient.pk))
    [plain] = cord_pairs(patient)
    assert plain.parameters == {}
    worked(plain)
    assert pairs_ensure(patient.pk) == []

    single = VolumetryRun.objects.get(image=plain.before, method="neuraxis-cord")
    worked(landmark_place(actor=bob, run=single, kind="hint", point_mm=(0.0, 0.0, 2.0)))
    divergence_refresh(str(patient.pk))
    divergence_refresh(str(patient.pk))
    _, clicked = cord_pairs(patient)
    worked(clicked)

    assert clicked.parameters == {"baseline": {"hint_mm": [0.0, 0.0, 2.0]}}
    assert clicked.provenance["parameters"]["baseline_hint_mm"] == [0.0, 0.0, 2.0]
    assert clicked.outcome == Outcome.OK
    single = VolumetryRun.objects.get(image=plain.image, method="neuraxis-cord")
    worked(landmark_place(actor=bob, run=single, kind="c2c3", point_mm=(0.0, 9.0, 0.0)))
    [again] = [run for run in pairs_ensure(patient.pk) if run.method == clicked.method]
    worked(again)

    told = again.provenance["parameters"]["followup_landmark"]
    assert told == {"kind": "c2c3", "point_mm": [0.0, 9.0, 0.0]}
    changes = timeline_of(patient, today=date(2024, 1, 1)).changes
    assert [change.run_id for change in changes] == [again.pk]


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.realdata
def test_scans_that_needed_a_click_pair_with_it(
    patient: Patient, bob, tmp_path: Path, realdata: Path
):
    # A real scan with hardly any contrast, and the same with new noise: neither is found alone.
    folder = realdata / "cord_sct_tutorial_data/sub-05"
    image = nib.load(folder / "sub-05_acq-MTon_MTS.nii.gz")
    mask = nib.load(folder / "sub-05_acq-MTon_MTS_seg.nii.gz").get_fdata() > 0.5
    ijk = np.argwhere(mask)
    middle = ijk[np.abs(ijk[:, 2] - np.median(ijk[:, 2])) < 1].mean(axis=0)
    x, y, z = (float(value) for value in (image.affine @ np.append(middle, 1.0))[:3])
    values = image.get_fdata().astype(np.float32)
    rng = np.random.default_rng(91)
    for day in DAYS:
        drawn = ScanImage(values + rng.normal(0, 1, values.shape), image.affine, "")
        scan = stored(patient, day, drawn, tmp_path)
        lost = worked(run_request(image=scan.image, method="neuraxis-cord"))
        assert lost.outcome in {Outcome.NEEDS_LANDMARK, Outcome.REFUSED}
        assert not lost.measurements.exists()
        worked(landmark_place(actor=bob, run=lost, kind="hint", point_mm=(x, y, z)))

    divergence_refresh(str(patient.pk))
    [pair] = cord_pairs(patient)
    worked(pair)

    assert set(pair.parameters) == {"baseline", "followup"}
    assert pair.outcome == Outcome.OK, pair.reason
    assert abs(pair.measurements.get().value) < 3.0
