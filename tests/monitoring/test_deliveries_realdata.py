"""A clinic day made of real scans: DICOM in a zip, a pair of heads, necks with their masks."""

import shutil
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse

from monitoring.models import Delivery, Role, Scan
from monitoring.services.deliveries import (
    delivery_begin,
    delivery_receive,
    delivery_sort,
    visit_recognise,
)
from tests.factories.record import member_make, patient_make
from volumetry.models import VolumetryRun

pytestmark = [pytest.mark.django_db, pytest.mark.realdata]


@pytest.fixture
def day(realdata: Path, tmp_path: Path) -> dict[str, Path]:
    """Return the sender's names of the day's files."""
    heads = realdata / "brain_ms_longitudinal" / "patient12"
    necks = realdata / "cord_gm_challenge"
    session = realdata / "brain_plus_cord_dicom" / "studyforrest_sub02_T1w_dicom.zip"
    files = {
        "day/forrest.zip": session,
        "day/P12 2014-01-10/T1W.nii.gz": heads / "study1_T1W.nii.gz",
        "day/P12 2014-01-10/FLAIR.nii.gz": heads / "study1_FLAIR.nii.gz",
        "day/P12 2014-04-01/T1W.nii.gz": heads / "study2_T1W.nii.gz",
        "day/fmri.nii.gz": realdata / "cord_sct_testing_data" / "fmri" / "fmri.nii.gz",
        "day/README.md": realdata / "README.md",
    }
    files |= {f"day/{neck.parent.name}/{neck.name}": neck for neck in necks.glob("*/*.nii.gz")}
    copies = {}
    for number, (name, path) in enumerate(files.items()):
        copies[name] = tmp_path / f"sent-{number}"
        shutil.copyfile(path, copies[name])
    return copies


def test_real_scans_of_a_day_are_sorted_recognised_and_stored(client, vltava, day):
    for code in ("P12", "Jane_Doe"):
        patient_make(vltava, code)
    technician = member_make("tom", vltava, Role.TECHNICIAN)
    client.force_login(technician)
    delivery: Delivery = delivery_begin(actor=technician, clinic=vltava)
    delivery_receive(delivery, list(day.items()))
    delivery_sort(delivery)
    for visit in delivery.visits.all():
        assert visit_recognise(visit)
    page = client.get(reverse("delivery", args=[delivery.pk])).content.decode()

    # Forrest, P12 twice, three necks, and the loose fMRI file that is refused as a visit.
    states = list(delivery.visits.values_list("state", flat=True))
    assert states.count("recognised") == 6
    assert states.count("refused") == 1
    assert "4 dimensions" in page
    assert 'value="2013-07-17"' in page  # by the header
    assert page.count('value="P12"') == 2
    assert 'value="2014-04-01"' in page  # by the folder
    assert page.count("By its name this is a mask") == 6
    assert "0.70 × 0.67 × 0.67 mm" in page
    assert page.count("T2*-weighted") >= 6
    assert not list(Path(settings.SCRATCH_ROOT).rglob("*.part"))

    fields = {"confirm": "all"}
    for visit in delivery.visits.all():
        fields[f"v{visit.number}-patient"] = ""
    labels = [line for line in page.split("<article") if "P12 2014-" in line]
    for line in labels:
        number = line.split('aria-labelledby="visit-')[1].split('"')[0]
        fields |= {
            f"v{number}-patient": "P12",
            f"v{number}-visit_date": "2014-01-10" if "2014-01-10" in line else "2014-04-01",
            f"v{number}-scanner_name": "Philips",
        }
    client.post(reverse("delivery", args=[delivery.pk]), fields)

    stored = Scan.objects.filter(session__visit__patient__pseudonym="P12")
    assert sorted((s.sequence, str(s.session.visit.date)) for s in stored) == [
        ("flair", "2014-01-10"),
        ("t1", "2014-01-10"),
        ("t1", "2014-04-01"),
    ]
    assert {run.method for run in VolumetryRun.objects.all()} == {"neuraxis-brain"}
