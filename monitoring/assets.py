"""Static files that lie inside installed packages: no CDN, no copy in the repository."""

from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.checks import CheckMessage, Error
from django.core.files.storage import FileSystemStorage

# Name on the page, package that carries the file, path inside it.
ASSETS = {
    "vendor/plotly.min.js": ("plotly", "package_data/plotly.min.js"),
    "vendor/htmx.min.js": ("django_htmx", "static/django_htmx/htmx-2.min.js"),
}


class _PackagedFiles(FileSystemStorage):
    """A read-only storage that maps names to files of packages."""

    def __init__(self, paths: dict[str, str]) -> None:
        super().__init__(location="/")
        self.paths = paths
        self.prefix = None

    def path(self, name: str) -> str:
        """Return where a file lies."""
        return self.paths[name]


class WheelAssetFinder(BaseFinder):
    """Finds the files of ASSETS."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.paths = {name: str(files(pkg) / path) for name, (pkg, path) in ASSETS.items()}
        self.storage = _PackagedFiles(self.paths)

    def check(self, **_kwargs: Any) -> list[CheckMessage]:
        """Say at start which file a package no longer carries."""
        return [
            Error(
                f"The page needs {name}, and {path} is missing.",
                hint="Install the locked versions: make install.",
                id="neuraxis.E001",
            )
            for name, path in self.paths.items()
            if not Path(path).is_file()
        ]

    def find(self, path: str, find_all: bool = False, **_kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        """Return the file of a name."""
        hit = self.paths.get(path)
        if find_all:
            return [hit] if hit else []
        return hit or []

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Any]]:
        """Yield every file, for collectstatic."""
        yield from ((name, self.storage) for name in self.paths)
