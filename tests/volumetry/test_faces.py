"""Stored images lose their faces once, safely, before anything reads them."""

from datetime import date
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction

from tests.factories.record import patient_make, scan_make
from volumetry import faces
from volumetry.core import deface
from volumetry.core.errors import NotMeasurable
from volumetry.core.images import image_load, sha256_of
from volumetry.core.types import Outcome, Provenance, VolumetryResult
from volumetry.measuring import without_pictures
from volumetry.models import Face, FaceInView, SourceImage, VolumetryRun
from volumetry.services import image_store, run_execute, run_request

pytestmark = pytest.mark.django_db


@pytest.fixture
def image(tmp_path) -> SourceImage:
    """Return a stored scan of a body, 150 mm deep."""
    values = np.full((40, 50, 40), 3, dtype=np.int16)
    values[8:32, 5:45, :] = 100
    path = tmp_path / "image.nii.gz"
    nib.save(nib.Nifti1Image(values, np.diag([3.0, 3.0, 3.0, 1.0])), path)
    return image_store(
        path=path,
        sha256=sha256_of(path),
        shape=values.shape,
        spacing_mm=(3, 3, 3),
        axcodes="RAS",
    )


@pytest.fixture(autouse=True)
def half_a_head(monkeypatch):
    """Let the front third of any image be the face."""

    def found(image):
        removed = np.zeros(image.intensities.shape, dtype=bool)
        removed[:, 33:] = True
        return deface.Deface(deface.FaceRule.HEAD, removed)

    monkeypatch.setattr(deface, "face_find", found)


def test_the_file_is_replaced_and_the_identity_stays(image):
    uploaded, original = image.sha256, image.file.name
    with pytest.raises(FaceInView):
        _ = image.shown_file

    assert faces.face_remove(image) is Face.REMOVED

    assert image.sha256 == uploaded
    assert image.stored_sha256 == sha256_of(Path(image.shown_file.path)) != uploaded
    assert image.face_rule == "head 1"
    assert not default_storage.exists(original)
    kept = image_load(Path(image.file.path)).intensities
    assert not kept[:, 33:].any()
    assert (kept[:, :33] > 0).all()


def test_a_second_time_changes_nothing(image):
    faces.face_remove(image)
    name, digest = image.file.name, image.stored_sha256

    faces.face_remove(SourceImage.objects.get(pk=image.pk))

    image.refresh_from_db()
    assert (image.file.name, image.stored_sha256) == (name, digest)


def test_the_slower_of_two_workers_leaves_no_file(image, monkeypatch):
    find = deface.face_find

    def overtaken(scan):
        found = find(scan)
        monkeypatch.setattr(deface, "face_find", find)
        faces.face_remove(SourceImage.objects.get(pk=image.pk))
        # the faster one has deleted the original by now: this one still has its pixels
        with default_storage.open(SourceImage.objects.get().file.name) as stream:
            default_storage.save(name, stream)
        return found

    name = image.file.name
    monkeypatch.setattr(deface, "face_find", overtaken)
    faces.face_remove(image)

    folder = Path(image.file.path).parent
    assert {path.name for path in folder.iterdir()} == {
        Path(image.file.name).name,
        Path(name).name,
    }
    assert faces.originals_sweep() == 1
    assert [path.name for path in folder.iterdir()] == [Path(image.file.name).name]


def test_a_crash_before_the_row_changes_leaves_the_original(image, monkeypatch):
    original = image.file.name

    def crash(*_args, **_fields):
        raise OSError("disk full")

    monkeypatch.setattr(faces, "_settle", crash)
    with pytest.raises(OSError, match="disk full"):
        faces.face_remove(image)

    image.refresh_from_db()
    assert (image.file.name, image.face) == (original, Face.UNCHECKED)
    assert [path.name for path in Path(image.file.path).parent.iterdir()] == [
        Path(original).name
    ]


def test_an_original_left_by_a_crash_after_the_row_changed_is_swept(image, monkeypatch):
    original = image.file.name
    monkeypatch.setattr(faces.default_storage, "delete", lambda name: None)
    faces.face_remove(image)
    monkeypatch.undo()
    assert default_storage.exists(original)

    assert faces.originals_sweep() == 1

    assert not default_storage.exists(original)
    assert default_storage.exists(image.file.name)
    assert faces.originals_sweep() == 0


def test_what_cannot_be_judged_is_kept_and_never_shown(image, monkeypatch):
    def unclear(_image):
        raise NotMeasurable("No body was found in this image.")

    monkeypatch.setattr(deface, "face_find", unclear)

    assert faces.face_remove(image) is Face.KEPT
    with pytest.raises(FaceInView):
        _ = image.shown_file
    made = VolumetryResult(
        Outcome.OK, None, (), (), Provenance("m", "1", {}, ""), 1.0,
        {"qc.png": Path("a"), "views.json": Path("b"), "cord_mask.nii.gz": Path("c")},
    )  # fmt: skip
    assert set(without_pictures(made).files) == {"cord_mask.nii.gz"}


def test_a_run_measures_the_defaced_image_and_says_so(image):
    run = run_request(image=image, method="neuraxis-cord")

    run_execute(run.pk)

    run = VolumetryRun.objects.get(pk=run.pk)
    image.refresh_from_db()
    assert image.face == Face.REMOVED
    assert run.provenance["image_sha256"] == image.stored_sha256
    assert run.provenance["source"] == {
        "uploaded_sha256": image.sha256,
        "face": "removed",
        "face_rule": "head 1",
    }


def test_the_sweep_takes_what_no_run_will_read(image, vltava):
    waiting = scan_make(patient_make(vltava), date(2024, 5, 6)).image
    SourceImage.objects.filter(pk=waiting.pk).update(face=Face.UNCHECKED)
    run_request(image=waiting, method="neuraxis-cord")

    assert faces.faces_sweep() == 1

    image.refresh_from_db()
    waiting.refresh_from_db()
    assert (image.face, waiting.face) == (Face.REMOVED, Face.UNCHECKED)
    assert faces.faces_sweep() == 0


def test_a_defaced_row_without_its_hash_is_refused_by_the_database(image):
    with pytest.raises(IntegrityError), transaction.atomic():
        SourceImage.objects.filter(pk=image.pk).update(face=Face.REMOVED)
