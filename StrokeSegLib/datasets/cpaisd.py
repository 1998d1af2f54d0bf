"""CPAISD's layout (Umerenkov et al. 2024): ``train|val|test/<study>/<slice>/``, ``summary.csv``, ``metadata.json``.

A slice is a folder with `image.npz` (``image``, HU float64), `mask.npz` (``mask``: 1 core, 2 penumbra), `metadata.json`
(``slice_location``) and `raw.dcm`. Beyond the published layout a corrected slice has `automatic.npz` (``mask`` as it
was before), and a study's `metadata.json` the sums from which the statistics of a part follow.
"""

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pydicom

from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.storage.ct_image import ct_image

PARTS = ("train", "val", "test")

UNKNOWN = "unknown"

SUMS = "hu_sums"


@dataclass(frozen=True)
class StudyRecord:
    """What CPAISD tells of a study; hours from onset are ``time``."""

    manufacturer: str = UNKNOWN
    model: str = UNKNOWN
    device: str = UNKNOWN
    age: str = UNKNOWN
    sex: str = UNKNOWN
    dsa: str = UNKNOWN
    nihss: int | str = UNKNOWN
    time: float | str = UNKNOWN
    lethality: str = UNKNOWN


@dataclass(frozen=True)
class _Sums:
    """Minimum, maximum, sum, sum of squares and number of HU values."""

    minimum: float = np.inf
    maximum: float = -np.inf
    total: float = 0.0
    squares: float = 0.0
    count: int = 0

    @classmethod
    def of(cls, hu: np.ndarray) -> "_Sums":
        values = hu.astype(np.float64)
        return cls(
            float(values.min()), float(values.max()), float(values.sum()), float(np.square(values).sum()), values.size
        )

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self.total + other.total,
            self.squares + other.squares,
            self.count + other.count,
        )

    def statistics(self) -> dict[str, float]:
        mean = self.total / self.count
        std = float(np.sqrt(self.squares / self.count - mean**2))
        return {"min": self.minimum, "max": self.maximum, "mean": mean, "std": std}


def write_study(
    folder: Path, ct: Volume, labels: np.ndarray, record: StudyRecord, name: str, automatic: np.ndarray | None = None
) -> None:
    """Write one study.

    Args:
        folder: folder of the study, made if absent.
        ct: HU.
        labels: uint8 ``(slice, row, column)``.
        record: what is known of it.
        name: what the UIDs of its `raw.dcm` follow from.
        automatic: the labels before a reader corrected them.
    """
    geometry = ct.geometry
    for index, hu in enumerate(ct.voxels):
        place = folder / f"{index:05d}"
        place.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(place / "image.npz", image=hu.astype(np.float64))
        np.savez_compressed(place / "mask.npz", mask=labels[index])
        if automatic is not None:
            np.savez_compressed(place / "automatic.npz", mask=automatic[index])
        _write_json(place / "metadata.json", {"slice_location": float(geometry.heights_mm[index])})
        pydicom.dcmwrite(
            place / "raw.dcm",
            ct_image(hu, geometry, index, name, geometry.tilt_deg, index),
            enforce_file_format=True,
        )
    _write_json(folder / "metadata.json", {**asdict(record), SUMS: asdict(_Sums.of(ct.voxels))})


def write_overview(
    folder: Path, place: Callable[[str], Path], parameters: dict[str, float], added: Iterable[Path] = ()
) -> None:
    """Write `summary.csv` and `metadata.json` of the studies in a data set.

    Args:
        folder: the data set.
        place: where a file of a name is written.
        parameters: parameters of the split, as in `metadata.json`.
        added: studies ``<part>/<name>`` that are on their way into the data set, elsewhere on the disk.
    """
    rows, sums, sizes = [], _Sums(), {}
    for part in PARTS:
        found = {study.name: study for study in (folder / part).glob("*/") if study.is_dir()}
        found |= {study.name: study for study in added if study.parent.name == part}
        images = 0
        for name, study in sorted(found.items()):
            slices = [one for one in study.glob("*/") if one.is_dir()]
            images += len(slices)
            content = _read_json(study / "metadata.json")
            known = {field: content.get(field, UNKNOWN) for field in asdict(StudyRecord())}
            rows.append({"name": name, **known, "part": part})
            if part == "train":
                sums += _Sums(**content[SUMS]) if SUMS in content else _measured(slices)
        sizes |= {f"{part}_size_in_studies": len(found), f"{part}_size_in_images": images}
    _write_json(
        place("metadata.json"),
        {"generation_params": parameters, "stats": {"common": sizes, "train": sums.statistics()}},
    )
    with place("summary.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("", *rows[0]))
        table.writerows((number, *row.values()) for number, row in enumerate(rows))


def _measured(slices: Iterable[Path]) -> _Sums:
    """The sums of a study that another program wrote."""
    sums = _Sums()
    for place in slices:
        with np.load(place / "image.npz") as content:
            sums += _Sums.of(content["image"])
    return sums


def _read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
