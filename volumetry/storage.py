"""Remove stored files that no row knows: what a process left that was killed before commit."""

from collections.abc import Iterator
from datetime import timedelta

from django.core.files.storage import default_storage
from django.utils import timezone

from volumetry.models import GivenMask, RunFile, SourceImage

# Longer than any transaction that stores a file before its row is committed.
ORPHAN_AGE = timedelta(days=1)


def orphans_sweep() -> int:
    """Delete stored files of more than a day that no row knows; return how many."""
    removed = 0
    limit = timezone.now() - ORPHAN_AGE
    images = set(SourceImage.objects.values_list("file", flat=True))
    written = set(RunFile.objects.values_list("file", flat=True))
    given = set(GivenMask.objects.values_list("file", flat=True))
    for folder, known in (("images", images), ("runs", written), ("masks", given)):
        for name in list(_files_under(folder)):
            if name not in known and default_storage.get_modified_time(name) < limit:
                default_storage.delete(name)
                removed += 1
    return removed


def _files_under(folder: str) -> Iterator[str]:
    """Yield the names of all files of a folder and those in it."""
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:
        return
    yield from (f"{folder}/{name}" for name in files)
    for inner in folders:
        yield from _files_under(f"{folder}/{inner}")
