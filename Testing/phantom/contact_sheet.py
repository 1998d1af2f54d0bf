"""Synthetic patients beside real scans in the stroke window, and figures that compare their HU and noise.

    python Testing/phantom/contact_sheet.py sheet.png [--first-seed 0] [--truth]

Real scans come from the folder of shared data beside the checkout; without it only synthetic patients are drawn.
"""

import argparse
import logging
import sys
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from skimage.io import imread, imsave

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing")]

from scans import SHARED_DATA  # noqa: E402

from StrokeSegLib.imaging import read_study  # noqa: E402
from StrokeSegLib.phantom import acquire, draw_patient, draw_scanner, random_acquisition  # noqa: E402

WINDOW_HU = (20, 60)
TILE = (224, 192)
SYNTHETIC_PATIENTS = 24


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--truth", action="store_true", help="outline core in red and penumbra in green")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    synthetic = [synthetic_slice(arguments.first_seed + number) for number in range(SYNTHETIC_PATIENTS)]
    real = real_slices()
    report("synthetic", synthetic)
    report("real", real)
    tiles = [tile(hu, labels if arguments.truth else None) for hu, _, labels in synthetic]
    tiles += [tile(hu, labels if arguments.truth else None) for hu, _, labels in real]
    columns = 8
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    imsave(arguments.sheet, np.vstack(rows))


def synthetic_slice(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU, brain mask and labels of a slice of a synthetic patient, where the lesion is largest or in the middle."""
    scan = acquire(draw_patient(seed), random_acquisition(seed), draw_scanner(seed))
    area = (scan.labels > 0).sum(axis=(1, 2))
    index = int(area.argmax()) if area.any() else len(area) // 2
    return scan.ct.voxels[index].astype(float), scan.study.brain[index], scan.labels[index]


def real_slices() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """HU, brain mask and labels (none but for CPAISD) of real slices at about 1 mm."""
    if not SHARED_DATA.exists():
        return []
    found = []
    for path, indices in ((SHARED_DATA / "ct_head_ge_tilt", (10, 14, 18, 22)), (CRANIUM, (50, 60, 70, 80))):
        study = read_study(path)
        spacing = np.array(study.ct.geometry.pixel_spacing_mm)
        for index in indices:
            hu = millimetre(study.ct.voxels[index].clip(-1024).astype(float), spacing)
            found.append(
                (hu, millimetre(study.brain[index].astype(float), spacing) > 0.5, np.zeros(hu.shape, np.uint8))
            )
    for path in sorted((SHARED_DATA / "cpaisd_slices" / "images").glob("*.png")):
        hu = millimetre(grey(path), np.array([0.45, 0.45]))
        mask = imread(SHARED_DATA / "cpaisd_slices" / "masks" / path.name)[..., :3].astype(float)
        labels = np.where(mask[..., 0] > 128, 1, np.where(mask[..., 1] > 128, 2, 0))
        labels = ndimage.zoom(labels, 0.45, order=0)
        inside = ndimage.binary_fill_holes(ndimage.binary_opening((hu > 5) & (hu < 80), iterations=3))
        components, _ = ndimage.label(inside)
        inside = components == np.bincount(components.ravel())[1:].argmax() + 1
        found.append((hu, ndimage.binary_erosion(inside, iterations=2), labels))
    return found


CRANIUM = SHARED_DATA / "ct_head_cranium" / "cranium.nii.gz"


def grey(path: Path) -> np.ndarray:
    image = imread(path).astype(float)
    return image if image.ndim == 2 else image[..., 0]


def millimetre(image: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    scale = spacing_mm
    smooth = ndimage.gaussian_filter(image, 0.42 * np.sqrt(np.maximum(1 / scale**2 - 1, 0)))
    return ndimage.zoom(smooth, scale, order=1)


def tile(hu: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """A slice in the stroke window on a tile of the sheet."""
    low, high = WINDOW_HU
    image = ((hu - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)
    image = np.repeat(fitted(image)[..., None], 3, axis=2)
    if labels is not None:
        for label, colour in ((1, (255, 0, 0)), (2, (0, 255, 0))):
            mask = fitted((labels == label).astype(np.uint8)).astype(bool)
            image[mask & ~ndimage.binary_erosion(mask)] = colour
    return image


def fitted(image: np.ndarray) -> np.ndarray:
    """Centred on a tile, cropped or padded with 0."""
    for axis, length in enumerate(TILE):
        excess = image.shape[axis] - length
        if excess > 0:
            image = image.take(range(excess // 2, excess // 2 + length), axis=axis)
        else:
            pads = [(0, 0), (0, 0)]
            pads[axis] = (-excess // 2, -excess - (-excess // 2))
            image = np.pad(image, pads)
    return image


def report(name: str, slices: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """HU percentiles within the brain, and noise: what is left after removing low frequencies."""
    figures = []
    for hu, brain, _ in slices:
        inner = ndimage.binary_erosion(brain, iterations=6)
        if inner.sum() < 1500:
            continue

        smooth = ndimage.gaussian_filter(hu, 3)
        residual = hu - smooth
        flat = inner & (smooth > 22) & (smooth < 45) & (ndimage.gaussian_gradient_magnitude(hu, 2) < 1.2)
        correlations = [
            float(
                np.mean((residual[:, lag:] * residual[:, :-lag])[flat[:, lag:] & flat[:, :-lag]]) / residual[flat].var()
            )
            for lag in (1, 2, 3)
        ]
        percentiles = np.percentile(hu[inner], (2, 10, 25, 50, 75, 90, 98))
        smooth = ndimage.gaussian_filter(hu, 1.5)[inner]
        figures.append([*percentiles, residual[flat].std(), *correlations, smooth.std()])
    if figures:
        columns = ("p2", "p10", "p25", "p50", "p75", "p90", "p98", "noise", "lag1", "lag2", "lag3", "std σ=1.5mm")
        for column, values in zip(columns, np.array(figures).T, strict=True):
            logging.info(
                "%s %s: median %.2f, range %.2f to %.2f",
                name,
                column,
                np.median(values),
                *np.percentile(values, (5, 95)),
            )


if __name__ == "__main__":
    main()
