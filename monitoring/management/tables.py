"""Reading and writing the files of the command line, with one-sentence errors."""

from pathlib import Path

from django.core.management.base import CommandError


def read_text(path: Path) -> str:
    """Read a UTF-8 text file."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8 text: save it as UTF-8.") from error
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file."""
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
