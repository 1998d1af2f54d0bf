"""A tiny data set in the CPAISD layout, of analytic heads with a dark core in a less dark penumbra."""

import json
from pathlib import Path

import numpy as np
from scans import centred_geometry, ellipsoid_head

GEOMETRY = centred_geometry((4, 96, 96), (8.0, 2.0, 2.0))


def head_with_stroke(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """HU float64 and labels uint8 of a head; the lesion lies on one side, by the seed."""
    hu = ellipsoid_head(GEOMETRY, noise_hu=2.0).astype(np.float64)
    labels = np.zeros(GEOMETRY.shape, np.uint8)
    columns = slice(56, 72) if seed % 2 else slice(24, 40)
    labels[1:3, 40:60, columns] = 2
    labels[1:3, 44:56, columns.start + 4 : columns.stop - 4] = 1
    hu[labels == 2] -= 6
    hu[labels == 1] -= 12
    return hu, labels


def write_study(study: Path, seed: int = 0) -> None:
    """One study of four slices; folders are numbered against no particular order of their locations."""
    hu, labels = head_with_stroke(seed)
    for index in range(len(hu)):
        place = study / f"{index:05d}"
        place.mkdir(parents=True)
        np.savez_compressed(place / "image.npz", image=hu[index])
        np.savez_compressed(place / "mask.npz", mask=labels[index])
        (place / "metadata.json").write_text(json.dumps({"slice_location": float(8 * index - 100)}))
    (study / "metadata.json").write_text(json.dumps({"manufacturer": "unknown", "nihss": "unknown"}))


def write_cpaisd(folder: Path, train: int = 2, val: int = 1, test: int = 1) -> Path:
    """A data set with parts of so many studies."""
    for part, count in (("train", train), ("val", val), ("test", test)):
        for number in range(count):
            write_study(folder / part / f"{part}-{number}", number)
    return folder
