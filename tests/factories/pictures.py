"""Files of a run for tests: a picture, the geometry of its views, a mask."""

import io
import json

from django.core.files.base import ContentFile
from PIL import Image

from volumetry.models import RunFile, VolumetryRun

# 0.5 mm pixels; the picture's first pixel lies at y = 60 mm, z = 80 mm of the plane x = 2 mm.
PIXEL_TO_WORLD = [[0.0, 0.0, 2.0], [-0.5, 0.0, 60.0], [0.0, -0.5, 80.0]]


def run_file_make(run: VolumetryRun, name: str, content: bytes) -> RunFile:
    """Return a stored file of a run."""
    file = RunFile(run=run, name=name)
    file.file.save(name, ContentFile(content), save=False)
    file.save()
    return file


def png(width: int = 8, height: int = 8) -> bytes:
    """Return a small picture."""
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (20, 20, 24)).save(stream, format="PNG")
    return stream.getvalue()


def pictures_make(run: VolumetryRun) -> None:
    """Give a run a quality picture and a sagittal view of 200 x 320 pixels."""
    views = {
        "sagittal": {
            "file": "sagittal.png",
            "width": 200,
            "height": 320,
            "pixel_to_world": PIXEL_TO_WORLD,
            "marks": [],
        }
    }
    run_file_make(run, "qc.png", png())
    run_file_make(run, "sagittal.png", png(200, 320))
    run_file_make(run, "views.json", json.dumps(views).encode())
