"""A data set of synthetic patients laid out as CPAISD is (Umerenkov et al. 2024), to try the training recipe on."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from StrokeSegLib.errors import DataError
from StrokeSegLib.phantom.acquisition import SyntheticStudy, acquire
from StrokeSegLib.phantom.dicom import write_slice
from StrokeSegLib.phantom.drawing import draw_patient
from StrokeSegLib.phantom.draws import Draws
from StrokeSegLib.phantom.scanner import draw_scanner
from StrokeSegLib.phantom.writing import folder_name, phantom_geometry

SUMMARY_FIELDS = ("name", "manufacturer", "model", "device", "age", "sex", "dsa", "nihss", "time", "lethality", "part")


@dataclass
class _Statistics:
    """Running minimum, maximum, sum and sum of squares of HU."""

    minimum: float = np.inf
    maximum: float = -np.inf
    total: float = 0.0
    squares: float = 0.0
    count: int = 0

    def add(self, hu: np.ndarray) -> None:
        values = hu.astype(np.float64)
        self.minimum, self.maximum = min(self.minimum, values.min()), max(self.maximum, values.max())
        self.total, self.squares = self.total + values.sum(), self.squares + np.square(values).sum()
        self.count += values.size

    def as_json(self) -> dict[str, float]:
        mean = self.total / self.count
        return {
            "min": self.minimum,
            "max": self.maximum,
            "mean": mean,
            "std": float(np.sqrt(self.squares / self.count - mean**2)),
        }


def write_cpaisd_dataset(
    folder: Path,
    seeds: Sequence[int],
    *,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    spacing_mm: tuple[float, float, float] = (0.45, 0.45, 5.0),
) -> None:
    """Write one study per seed, split into ``train``, ``val`` and ``test``; the same arguments give the same data.

    Args:
        folder: made if absent.
        seeds: of the patients, at least three.
        validation_fraction, test_fraction: of the studies; at least one each.
        spacing_mm: along columns, rows and between slices.

    Raises:
        DataError: too few seeds for three parts.
    """
    parts = split(seeds, validation_fraction, test_fraction)
    geometry = phantom_geometry(spacing_mm, tilt_deg=0.0)
    statistics, rows = _Statistics(), []
    for part, part_seeds in parts.items():
        for seed in part_seeds:
            scan = acquire(draw_patient(seed), geometry, draw_scanner(seed))
            study = folder / part / folder_name(seed)
            record = _study_record(scan)
            for index in range(len(scan.ct.voxels)):
                _write_cpaisd_slice(scan, index, study / f"{index:05d}", folder_name(seed))
            _write_json(study / "metadata.json", record)
            rows.append({"name": folder_name(seed), **record, "part": part})
            if part == "train":
                statistics.add(scan.ct.voxels)
    sizes = {f"{part}_size_in_studies": len(part_seeds) for part, part_seeds in parts.items()}
    images = {f"{part}_size_in_images": len(part_seeds) * geometry.shape[0] for part, part_seeds in parts.items()}
    _write_json(
        folder / "metadata.json",
        {
            "generation_params": {"test_size": test_fraction, "val_size": validation_fraction},
            "stats": {"common": {**sizes, **images}, "train": statistics.as_json()},
        },
    )
    with (folder / "summary.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("", *SUMMARY_FIELDS))
        table.writerows((number, *(row[field] for field in SUMMARY_FIELDS)) for number, row in enumerate(rows))


def split(seeds: Sequence[int], validation_fraction: float, test_fraction: float) -> dict[str, list[int]]:
    """Seeds of each part, shuffled; validation and test get at least one.

    Raises:
        DataError: nothing would be left for training.
    """
    validation, test = (max(1, round(len(seeds) * fraction)) for fraction in (validation_fraction, test_fraction))
    if validation + test >= len(seeds):
        raise DataError(f"{len(seeds)} phantoms are too few for training, validation and test; ask for more.")
    draws = Draws(seeds[0], "split")
    left, shuffled = list(seeds), []
    while left:
        shuffled.append(left.pop(draws.whole(0, len(left) - 1)))
    return {
        "train": shuffled[validation + test :],
        "val": shuffled[:validation],
        "test": shuffled[validation : validation + test],
    }


def _study_record(scan: SyntheticStudy) -> dict[str, str | float]:
    """What CPAISD tells of a study; the phantom has no score, treatment or outcome."""
    hours = max((lesion.hours for lesion in scan.patient.lesions), default=None)
    return {
        "manufacturer": "StrokeSeg",
        "model": "Phantom",
        "device": "synthetic",
        "age": "unknown",
        "sex": "unknown",
        "dsa": "unknown",
        "nihss": "unknown",
        "time": "unknown" if hours is None else round(hours, 2),
        "lethality": "unknown",
    }


def _write_cpaisd_slice(scan: SyntheticStudy, index: int, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "image.npz", image=scan.ct.voxels[index].astype(np.float64))
    np.savez_compressed(folder / "mask.npz", mask=scan.labels[index])
    _write_json(folder / "metadata.json", {"slice_location": float(scan.ct.geometry.heights_mm[index])})
    write_slice(scan.ct, index, folder / "raw.dcm", name, tilt_deg=0.0)


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
