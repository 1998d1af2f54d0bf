"""A data set of synthetic patients laid out as CPAISD is (Umerenkov et al. 2024), to try the training recipe on."""

from collections.abc import Sequence
from pathlib import Path

from StrokeSegLib.datasets.cpaisd import UNKNOWN, StudyRecord, write_overview, write_study
from StrokeSegLib.errors import DataError
from StrokeSegLib.phantom.acquisition import SyntheticStudy, acquire
from StrokeSegLib.phantom.drawing import draw_patient
from StrokeSegLib.phantom.draws import Draws
from StrokeSegLib.phantom.scanner import draw_scanner
from StrokeSegLib.phantom.writing import folder_name, phantom_geometry
from StrokeSegLib.storage.atomic import atomic


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
        seeds: seeds of the patients, at least three.
        validation_fraction, test_fraction: fractions of the studies; at least one study each.
        spacing_mm: along columns, rows and between slices.

    Raises:
        DataError: too few seeds for three parts.
    """
    parts = split(seeds, validation_fraction, test_fraction)
    geometry = phantom_geometry(spacing_mm, tilt_deg=0.0)
    for part, part_seeds in parts.items():
        for seed in part_seeds:
            scan = acquire(draw_patient(seed), geometry, draw_scanner(seed))
            study = folder / part / folder_name(seed)
            write_study(study, scan.ct, scan.labels, _study_record(scan), folder_name(seed))
    with atomic(folder) as place:
        write_overview(folder, place, {"test_size": test_fraction, "val_size": validation_fraction})


def split(seeds: Sequence[int], validation_fraction: float, test_fraction: float) -> dict[str, list[int]]:
    """Seeds of each part, shuffled; validation and test get at least one.

    Raises:
        DataError: nothing would be left for training.
    """
    validation, test = (max(1, round(len(seeds) * fraction)) for fraction in (validation_fraction, test_fraction))
    if validation + test >= len(seeds):
        raise DataError(f"{len(seeds)} phantoms are too few for training, validation and test. Use at least three.")
    draws = Draws(seeds[0], "split")
    left, shuffled = list(seeds), []
    while left:
        shuffled.append(left.pop(draws.whole(0, len(left) - 1)))
    return {
        "train": shuffled[validation + test :],
        "val": shuffled[:validation],
        "test": shuffled[validation : validation + test],
    }


def _study_record(scan: SyntheticStudy) -> StudyRecord:
    """The phantom has no score, treatment or outcome."""
    hours = max((lesion.hours for lesion in scan.patient.lesions), default=None)
    time = UNKNOWN if hours is None else round(hours, 2)
    return StudyRecord(manufacturer="StrokeSeg", model="Phantom", device="synthetic", time=time)
