"""What surrounds brain and cord: head, face and neck, airway, vertebrae, canal. Schematic."""

import numpy as np
from numpy.typing import NDArray

from volumetry.core.phantoms.cord import C2_C3_MM, tube_coordinates
from volumetry.core.phantoms.painting import Map, edge, ellipse, paint

# T1-weighted intensities, white matter 100.
FAT, MUSCLE, AIR, BONE, MARROW, DISC, FLUID = 108.0, 56.0, 0.0, 10.0, 66.0, 44.0, 26.0
SCALP_MM = 10.0
FAT_MM = 4.5

VERTEBRA_MM = 17.0  # from disc to disc, C3 ... C5
HALF_DISC_MM = 2.4
WALL_MM = 1.2
DENS_MM = (20.0, 46.0)
SPINE_HALF_WIDTH_MM, SPINE_DEPTH_MM, SPINE_TOP_MM = 32.0, 52.0, -32.0


def neck_paint(x: Map, y: Map, z: Map, outside_mm: Map) -> Map:
    """Return an image with the outer body painted: fat, muscle, airway.

    Parameters
    ----------
    x, y, z : array
        Phantom millimetres of every voxel.
    outside_mm : array
        Distance to the inner table of the skull.
    """
    image = np.zeros(x.shape, dtype=np.float32)
    inside = np.maximum(_neck(x, y, z), _face(x, y, z))
    np.maximum(inside, SCALP_MM - outside_mm, out=inside)
    paint(image, FAT, edge(inside))
    paint(image, MUSCLE, edge(inside - FAT_MM))
    paint(image, AIR, edge(_airway(x, y, z)))
    return image


def _neck(x: Map, y: Map, z: Map) -> Map:
    """Return the distance into the neck, which widens towards the shoulders."""
    wide = 58.0 + 30.0 * np.clip((-118.0 - z) / 40.0, 0.0, 1.0)
    radius = np.sqrt((x / wide) ** 2 + ((y + 30.0) / 55.0) ** 2)
    inside: Map = np.minimum((1.0 - radius) * 55.0, -20.0 - z)
    return inside


def _face(x: Map, y: Map, z: Map) -> Map:
    """Return the distance into the face, an ellipsoid below the forehead."""
    radius = np.sqrt((x / 54.0) ** 2 + ((y - 36.0) / 52.0) ** 2 + ((z + 48.0) / 62.0) ** 2)
    inside: Map = (1.0 - radius) * 52.0
    return inside


def _airway(x: Map, y: Map, z: Map) -> Map:
    """Return the distance into nose and throat."""
    throat = ellipse(x, y + 11.0, half_across=9.0, half_along=6.0)
    radius = np.sqrt((x / 13.0) ** 2 + ((y - 48.0) / 30.0) ** 2 + ((z + 36.0) / 16.0) ** 2)
    nose = (1.0 - radius) * 13.0
    inside: Map = np.maximum(np.minimum(throat, -42.0 - z), nose)
    return inside


def spine_paint(image: Map, x: Map, y: Map, z: Map) -> None:
    """Paint vertebrae, discs and the canal with its fluid around the cord, in place."""
    near = (np.abs(x) < SPINE_HALF_WIDTH_MM) & (np.abs(y + 43.0) < SPINE_DEPTH_MM)
    near &= z < SPINE_TOP_MM
    points = np.stack([x[near], y[near], z[near]], axis=-1).astype(np.float64)
    arc, side, front = tube_coordinates(points)
    values = image[near]
    _vertebrae(values, arc, side, front)
    image[near] = values


def _canal_radii(arc: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the half axes of the dural sac: wide at the foramen magnum."""
    funnel = np.clip((34.0 - arc) / 20.0, 0.0, 1.0)
    return 9.2 + 5.8 * funnel, 6.9 + 4.9 * funnel


def _vertebrae(
    values: Map,
    arc: NDArray[np.float64],
    side: NDArray[np.float64],
    front: NDArray[np.float64],
) -> None:
    """Paint one list of points; ``front`` is the offset to the front of the cord's centre."""
    wide, deep = _canal_radii(arc)
    beyond = (np.sqrt((side / wide) ** 2 + (front / deep) ** 2) - 1.0) * deep
    below_skull = edge(arc - 22.0)
    # Dura, ligament and the cortex of the arches: a thin dark line; fat lies behind the sac.
    behind = np.minimum(3.2 - beyond, -front - 0.5 * deep)
    paint(values, FAT, edge(behind) * below_skull)
    paint(values, BONE, edge(WALL_MM - beyond) * below_skull)
    # Distance to the middle of the nearest disc, from C2-C3 on.
    phase = (arc - C2_C3_MM + VERTEBRA_MM / 2) % VERTEBRA_MM - VERTEBRA_MM / 2
    has_disc = arc > C2_C3_MM - VERTEBRA_MM / 2
    half_width = np.where(arc < DENS_MM[1], 6.0, 10.0)
    ahead = front - deep - WALL_MM - 8.5
    body = (1.0 - np.sqrt((side / half_width) ** 2 + (ahead / 8.5) ** 2)) * 6.0
    start = edge(arc - DENS_MM[0])
    from_disc = np.where(has_disc, np.abs(phase), VERTEBRA_MM)
    paint(values, BONE, edge(body + 1.2) * start)
    paint(values, MARROW, edge(np.minimum(body, from_disc - 3.2)) * start)
    paint(values, DISC, edge(np.minimum(body, HALF_DISC_MM - from_disc)) * start)
    # Spinous processes, behind the middle of each vertebra.
    depth = -front - deep - 4.0
    process = np.minimum.reduce([4.0 - np.abs(side), depth, 24.0 - depth, from_disc - 4.5])
    paint(values, BONE, edge(process + 1.0) * below_skull)
    paint(values, MARROW, edge(process) * below_skull)
    paint(values, FLUID, edge(-beyond) * edge(arc - 8.0))
