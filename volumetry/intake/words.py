"""Count things in sentences."""

from collections.abc import Mapping


def counted(count: int, noun: str) -> str:
    """Return "1 file", "2 files"."""
    plural = noun if noun == "series" else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"


def was(count: int, singular: str = "was", plural: str = "were") -> str:
    """Return the verb that agrees with a count."""
    return singular if count == 1 else plural


def listed(kinds: Mapping[str, int]) -> str:
    """Return "2 CT images, 1 report"."""
    return ", ".join(counted(count, kind) for kind, count in sorted(kinds.items()))
