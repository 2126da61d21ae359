"""Receive uploaded files into one folder per request, closed as soon as each is complete.

Django's own handler keeps a file descriptor open for every file, and a session of DICOM files
has thousands. The folder lies in the scratch area and goes with its request, also when the
sender hangs up half-way.
"""

import shutil
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest

from volumetry.intake.types import MEBIBYTE, IntakeRefused, Limits

# Boundaries and text fields around the files themselves.
OVERHEAD_BYTES = 16 * MEBIBYTE


class ReceivedFile(TemporaryUploadedFile):
    """A file that was received completely and lies in the scratch area, not open."""

    def __init__(self, path: Path, name: str, content_type: str, size: int) -> None:
        # Past TemporaryUploadedFile on purpose: its constructor opens a file.
        UploadedFile.__init__(self, None, name, content_type, size, None)
        self.path = path

    def temporary_file_path(self) -> str:
        """Return where it lies."""
        return str(self.path)

    def open(self, *_args: Any, **_kwargs: Any) -> "ReceivedFile":
        """Open it for reading, from its beginning."""
        if self.file is None:
            self.file = self.path.open("rb")
        self.file.seek(0)
        return self

    def close(self) -> None:
        """Remove it; a request is closed with all its files."""
        if self.file is not None:
            self.file.close()
        self.path.unlink(missing_ok=True)


class FolderUploadHandler(FileUploadHandler):
    """Writes every file of a request into the request's own folder."""

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self.folder: Path | None = None
        self.file: IO[bytes] | None = None
        self.is_too_large = False

    def handle_raw_input(
        self,
        input_data: Any,
        META: dict[str, str],
        content_length: int,
        boundary: str,
        encoding: str | None = None,
    ) -> None:
        """See from the announced length whether the files may be written at all."""
        self.is_too_large = content_length > Limits().max_upload_bytes + OVERHEAD_BYTES

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Begin a file under a random name."""
        super().new_file(*args, **kwargs)
        if self.is_too_large:
            if self.request is not None:
                self.request.META["neuraxis.upload_too_large"] = "yes"
            raise SkipFile
        if self.folder is None:
            self.folder = Path(settings.SCRATCH_ROOT) / f"received-{uuid4().hex}"
            self.folder.mkdir(mode=0o700)
            if self.request is not None:
                weakref.finalize(self.request, shutil.rmtree, self.folder, ignore_errors=True)
        self.path = self.folder / uuid4().hex
        self.file = self.path.open("wb")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Write a piece."""
        if self.file is not None:
            self.file.write(raw_data)

    def file_complete(self, file_size: int) -> ReceivedFile | None:
        """Close the file and hand it over."""
        if self.file is None:
            return None
        self.file.close()
        return ReceivedFile(
            self.path, self.file_name or "file", self.content_type or "", file_size
        )

    def upload_interrupted(self) -> None:
        """Forget everything of a request that broke off."""
        if self.file is not None:
            self.file.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def received_files(request: HttpRequest) -> Iterator[list[tuple[str, Path]]]:
    """Give the files of a request as (the sender's name, where it lies); then remove them.

    Raises
    ------
    IntakeRefused
        If the request was so large that its files were not written.
    """
    posted = [
        file
        for key in request.FILES
        for file in request.FILES.getlist(key)
        if isinstance(file, ReceivedFile)
    ]
    if request.META.get("neuraxis.upload_too_large"):
        limit = Limits().max_upload_bytes // MEBIBYTE
        raise IntakeRefused(
            f"The upload is larger than {limit} MiB. Upload fewer series at once."
        )
    try:
        yield [(file.name or "file", file.path) for file in posted]
    finally:
        for file in posted:
            file.close()
        for folder in {file.path.parent for file in posted}:
            shutil.rmtree(folder, ignore_errors=True)
