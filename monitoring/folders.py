"""The folders that are written at run time."""

from contextlib import suppress
from pathlib import Path
from uuid import UUID

from django.conf import settings


def folders_prepare() -> None:
    """Make the folders of database, broker and scratch files.

    A command that writes nothing may run where nothing can be written: then the first real
    write says so.
    """
    transport = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    wanted: list[object] = [settings.VAR_DIR, settings.SCRATCH_ROOT]
    wanted += [
        transport[name] for name in ("data_folder_in", "control_folder") if name in transport
    ]
    for folder in wanted:
        with suppress(OSError):
            Path(str(folder)).mkdir(parents=True, exist_ok=True)


def draft_place(folder: UUID) -> Path:
    """Return where the clean images of a draft, or of a visit on its way to one, lie."""
    return Path(settings.SCRATCH_ROOT) / f"draft-{folder.hex}"


def delivery_place(folder: UUID) -> Path:
    """Return where the files of a delivery arrive."""
    return Path(settings.SCRATCH_ROOT) / f"delivery-{folder.hex}"
