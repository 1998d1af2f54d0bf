"""A case folder of the ISLES 2018 challenge: CT, CT perfusion, maps and (for training) the reference label.

A case holds folders ``SMIR.Brain.XX.O.<kind>.<id>`` with one NIfTI file of the same name each; the ids differ from kind
to kind (Maier et al. 2017, Cereda et al. 2016; www.isles-challenge.org).
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.files import read_file
from StrokeSegLib.imaging.frames import Wanted
from StrokeSegLib.imaging.maps import read_maps
from StrokeSegLib.imaging.study import Study

FOLDER = re.compile(r"SMIR\.Brain\.XX\.O\.(\w+)\.\d+")

CT, SERIES, REFERENCE = "CT", "CT_4DPWI", "OT"

MAPS = {"cbf": "CT_CBF", "cbv": "CT_CBV", "mtt": "CT_MTT", "tmax": "CT_Tmax"}

UNITS = {"cbf": "ml/100g/min", "cbv": "ml/100g", "mtt": "s", "tmax": "s"}
"""The challenge's maps; its files do not say their units."""


def is_case(path: Path) -> bool:
    """Whether a path is the folder of one case."""
    return path.is_dir() and CT in _files(path)


def read_case(path: Path, wanted: Wanted = "any", times_s: Sequence[float] | None = None) -> Study:
    """CT and maps of a case; the perfusion series in place of maps that are missing.

    Args:
        path: folder of the case.
        wanted: ``ncct`` the CT alone; ``ctp`` insists on maps or the series.
        times_s: frame times of the series, if its file does not state them.

    Raises:
        ImageError: files that are missing, damaged or of different grids.
    """
    files = _files(path)
    study = replace(read_file(files[CT], wanted="ncct"), choice=f"The CT of the ISLES 2018 case {path.name}.")
    maps = {name: files[kind] for name, kind in MAPS.items() if kind in files}
    if wanted == "ncct":
        return study
    if len(maps) == len(MAPS):
        return replace(study, maps=read_maps(study.ct, maps, UNITS))
    if SERIES in files:
        series = read_file(files[SERIES], "ctp", times_s)
        if not series.ct.geometry.coincides_with(study.ct.geometry):
            raise ImageError(
                f"CT and perfusion series of {path.name} have different voxel grids. Download the case again."
            )
        return replace(study, series=series.series)
    if wanted == "ctp":
        missing = ", ".join(kind for kind in (*MAPS.values(), SERIES) if kind not in files)
        raise ImageError(f"The ISLES 2018 case {path.name} lacks {missing}. Download it again.")
    return study


def reference_file(case: Path) -> Path | None:
    """The infarct drawn on the follow-up diffusion MR (label 1); None for a case of the test set."""
    return _files(case).get(REFERENCE)


def _files(case: Path) -> dict[str, Path]:
    """The NIfTI file of each kind."""
    files = {}
    for folder in sorted(case.iterdir()):
        match = FOLDER.fullmatch(folder.name)
        if match and folder.is_dir():
            for suffix in (".nii", ".nii.gz"):
                if (folder / f"{folder.name}{suffix}").is_file():
                    files[match[1]] = folder / f"{folder.name}{suffix}"
    return files
