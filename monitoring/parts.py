"""Files that arrive piece by piece: the bytes on disk say how much is there.

A part is one file of a delivery. Beside its bytes lies what the sender said of it: name, size
and time of change. They stay in the scratch folder and go with it; no row holds them. A piece
is written block by block, each only where the file ends at that moment: a connection that
broke costs at most one block, and two senders of one file cannot mix their bytes.
"""

import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

BLOCK_BYTES = 1 << 20
LONGEST_NAME = 400


class PartMoved(Exception):
    """The file does not end where the sender believes; ask for its offset again."""


@dataclass(frozen=True, slots=True, repr=False)
class Part:
    """One file of a delivery, complete or not."""

    pk: UUID
    name: str
    size: int
    modified: int
    path: Path

    @property
    def offset(self) -> int:
        """Return how many bytes arrived."""
        return self.path.stat().st_size

    @property
    def is_complete(self) -> bool:
        """Say whether all of it arrived."""
        return self.offset == self.size


def part_begin(folder: Path, *, name: str, size: int, modified: int = 0) -> Part:
    """Make room for a file under a random name; ``name`` is the sender's, with folders."""
    pk = uuid4()
    path = folder / f"{pk.hex}.part"
    said = {"name": name, "size": size, "modified": modified}
    path.with_suffix(".json").write_text(json.dumps(said), encoding="utf-8")
    path.touch(mode=0o600)
    return Part(pk, name, size, modified, path)


def part_open(folder: Path, pk: UUID) -> Part:
    """Return a part of a delivery.

    Raises
    ------
    FileNotFoundError
        If the folder holds no such part.
    """
    path = folder / f"{pk.hex}.part"
    said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return Part(pk, said["name"], said["size"], said["modified"], path)


def parts_list(folder: Path) -> list[Part]:
    """Return all parts of a delivery, by the sender's names."""
    known = [part_open(folder, UUID(path.stem)) for path in folder.glob("*.part")]
    return sorted(known, key=lambda part: part.name)


def part_append(part: Part, *, offset: int, read: Callable[[int], bytes]) -> int:
    """Write what a sender sends from ``offset`` on; return where the file ends now.

    Raises
    ------
    PartMoved
        If the file ends elsewhere, or another sender writes it.
    """
    while offset < part.size:
        block = read(min(BLOCK_BYTES, part.size - offset))
        if not block:
            break
        with part.path.open("r+b") as target:
            fcntl.flock(target, fcntl.LOCK_EX)
            if target.seek(0, os.SEEK_END) != offset:
                raise PartMoved
            target.write(block)
        offset += len(block)
    if part.offset != offset:
        raise PartMoved
    return offset


def part_remove(part: Part) -> None:
    """Forget a part."""
    part.path.with_suffix(".json").unlink(missing_ok=True)
    part.path.unlink(missing_ok=True)


def name_tidy(name: str) -> str:
    """Return a sender's path as words to show: forward slashes, nothing that cannot print."""
    parts = [
        "".join(letter for letter in part if letter.isprintable()).strip()
        for part in name.replace("\\", "/").split("/")
    ]
    tidy = "/".join(part for part in parts if part not in {"", ".", ".."})
    return tidy[-LONGEST_NAME:] or "file"
