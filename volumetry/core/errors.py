"""Errors of the pixel side: words that a clinic can act on.

Two families (docs/adr/0002): a `VolumetryError` is permanent, trying again with the same
image cannot help; anything else a worker meets (disk full, killed) is transient.
"""


class VolumetryError(Exception):
    """Base of every permanent error; ``str(error)`` is one sentence for the clinic."""


class UnreadableImage(VolumetryError):
    """The bytes are not an image that can be read."""


class NotMeasurable(VolumetryError):
    """The image was read, but what was asked cannot be measured on it."""


class NeedsLandmark(VolumetryError):
    """The cord could not be located, or its level is unknown, until a person clicks."""


class EmptyStructure(VolumetryError):
    """A structure has no voxel; a volume of zero would be a lie."""
