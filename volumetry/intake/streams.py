"""Hand out the bytes of a file, compressed or not, in bounded pieces."""

import zlib
from typing import BinaryIO, Protocol

BLOCK_BYTES = 4 << 20


class ByteStream(Protocol):
    """Bytes that are handed out in bounded pieces."""

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, fewer only at the end."""
        ...

    def is_finished(self) -> bool:
        """Say whether nothing at all follows."""
        ...


class PlainBytes:
    """An uncompressed file."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes."""
        return self._source.read(size)

    def is_finished(self) -> bool:
        """Say whether the file ends here."""
        return not self._source.read(1)


class GzipBytes:
    """One gzip member, decompressed no further than asked."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._inflater = zlib.decompressobj(wbits=31)
        self._pending = b""

    def read(self, size: int) -> bytes:
        """Return up to ``size`` decompressed bytes; never inflates more than that."""
        pieces: list[bytes] = []
        missing = size
        while missing > 0 and not self._inflater.eof:
            packed = self._pending or self._source.read(1 << 16)
            if not packed:
                break
            piece = self._inflater.decompress(packed, missing)
            self._pending = self._inflater.unconsumed_tail
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def is_finished(self) -> bool:
        """Say whether the member ended, checksum included, and no other byte follows."""
        if self.read(1):
            return False
        return (
            self._inflater.eof and not self._inflater.unused_data and not self._source.read(1)
        )


def stream_open(raw: BinaryIO) -> ByteStream:
    """Return the bytes of an open file, decompressed if it is gzip."""
    is_gzip = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    return GzipBytes(raw) if is_gzip else PlainBytes(raw)
