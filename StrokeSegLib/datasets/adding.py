"""Cases added to a data set for training, in one of three layouts; what is there already stays.

Every layout keeps the labels as the reader left them and, beside them, as a method found them, and a table `cases.csv`.
The same scan exported again replaces its own labels. A data set is valid at every moment: files appear whole, labels
before the scan that they belong to, the row of `cases.csv` before both, and `dataset.json` last.
"""

import json
import re
from pathlib import Path

import numpy as np

from StrokeSegLib.cases.segmentation import AIR_HU
from StrokeSegLib.datasets import cpaisd
from StrokeSegLib.datasets.labelled_case import LabelledCase, labelled_case
from StrokeSegLib.errors import DataError
from StrokeSegLib.findings import Findings
from StrokeSegLib.imaging import Study
from StrokeSegLib.storage import case_index
from StrokeSegLib.storage.atomic import atomic
from StrokeSegLib.storage.nifti import write_nifti

NNUNET_FOLDER = re.compile(r"Dataset\d{3}_\w+")
NNUNET_ENDING, NNUNET_CHANNELS = ".nii.gz", {"0": "CT"}

SPLIT = {"train": 0.8, "val": 0.1, "test": 0.1}
"""Shares of a CPAISD data set that new cases fill up; a case never changes its part."""


def add_to_nifti(findings: Findings, name: str | None, folder: Path) -> list[Path]:
    """Add to ``images/``, ``labels/``, ``automatic/`` and, with ASPECTS, ``regions/`` a `NAME.nii.gz` each.

    Raises:
        CaseError: the case holds nothing to learn.
        DataError: the name belongs to another scan.
        OutputError: the folder cannot be written.
    """
    case = labelled_case(findings, name)
    files = [f"{kind}/{case.name}.nii.gz" for kind in ("labels", "automatic", "images")]
    rows = case_index.read_rows(folder / case_index.FILE)
    case_index.check_name_is_free(rows, case.name, case.scan_sha256, (folder / files[-1]).exists())
    with atomic(folder) as place:
        case_index.write_rows(place(case_index.FILE), rows | {case.name: _row(case)})
        _write_on_grid(case.labels, case.study, place(files[0]))
        _write_on_grid(case.automatic, case.study, place(files[1]))
        if case.regions is not None:
            files.append(f"regions/{case.name}.nii.gz")
            _write_on_grid(case.regions, case.study, place(files[-1]))
        _write_on_grid(case.study.ct.voxels, case.study, place(files[2]), AIR_HU)
    return [folder / file for file in files]


def add_to_nnunet(findings: Findings, name: str | None, folder: Path) -> list[Path]:
    """Add `imagesTr/NAME_0000.nii.gz`, `labelsTr/NAME.nii.gz` and `automaticTr/NAME.nii.gz`; `dataset.json` names them.

    Raises:
        CaseError: the case holds nothing to learn, or not what the data set holds.
        DataError: the folder is not a single-channel nnU-Net raw data set, or the name belongs to another scan.
        OutputError: the folder cannot be written.
    """
    if not NNUNET_FOLDER.fullmatch(folder.name):
        raise DataError(
            f"nnU-Net data sets are named DatasetNNN_NAME, for example Dataset501_Stroke; “{folder.name}” is not."
        )
    description = _nnunet_description(folder)
    wanted = None if description is None else [label for label in description["labels"] if label != "background"]
    case = labelled_case(findings, name, wanted)
    files = [f"{kind}/{case.name}{NNUNET_ENDING}" for kind in ("labelsTr", "automaticTr")]
    files.append(f"imagesTr/{case.name}_0000{NNUNET_ENDING}")
    rows = case_index.read_rows(folder / case_index.FILE)
    case_index.check_name_is_free(rows, case.name, case.scan_sha256, (folder / files[-1]).exists())
    cases = {} if description is None else description.get("dataset") or _nnunet_cases(folder)
    cases = cases | {case.name: {"images": [files[-1]], "label": files[0]}}
    description = {
        "channel_names": NNUNET_CHANNELS,
        "labels": {"background": 0, **case.segments},
        "file_ending": NNUNET_ENDING,
        **(description or {}),
        "numTraining": len(cases),
        "dataset": cases,
    }
    with atomic(folder) as place:
        case_index.write_rows(place(case_index.FILE), rows | {case.name: _row(case)})
        _write_on_grid(case.labels, case.study, place(files[0]))
        _write_on_grid(case.automatic, case.study, place(files[1]))
        _write_on_grid(case.study.ct.voxels, case.study, place(files[2]), AIR_HU)
        place("dataset.json").write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    return [folder / file for file in files]


def add_to_cpaisd(findings: Findings, name: str | None, folder: Path) -> list[Path]:
    """Add a study to ``train``, ``val`` or ``test``, whichever lacks most; `automatic.npz` lies beside each `mask.npz`.

    Raises:
        CaseError: the case holds nothing to learn.
        DataError: the name belongs to another scan.
        OutputError: the folder cannot be written.
    """
    case = labelled_case(findings, name)
    part = next((part for part in cpaisd.PARTS if (folder / part / case.name).exists()), None)
    rows = case_index.read_rows(folder / case_index.FILE)
    case_index.check_name_is_free(rows, case.name, case.scan_sha256, part is not None)
    study = f"{part or _poorest_part(folder)}/{case.name}"
    with atomic(folder) as place:
        case_index.write_rows(place(case_index.FILE), rows | {case.name: _row(case)})
        new = place(study)
        record = _cpaisd_record(findings)
        cpaisd.write_study(new, case.study.ct, case.labels, record, case.name, case.automatic)
        parameters = {"test_size": SPLIT["test"], "val_size": SPLIT["val"]}
        cpaisd.write_overview(folder, place, parameters, (new,))
    return [folder / study]


LAYOUTS = {"nifti": add_to_nifti, "nnunet": add_to_nnunet, "cpaisd": add_to_cpaisd}


def _row(case: LabelledCase) -> dict[str, str]:
    values = (case.name, case.scan_sha256, " ".join(case.edited), ", ".join(case.models))
    return dict(zip(case_index.COLUMNS, values, strict=True))


def _write_on_grid(voxels: np.ndarray, study: Study, path: Path, outside: float = 0) -> None:
    """Write voxels of the slices on the case's regular grid, which a NIfTI file can tell whatever the tilt."""
    write_nifti(study.grid.from_slices(voxels, outside), study.grid.geometry, path)


def _nnunet_description(folder: Path) -> dict | None:
    """`dataset.json`, None where there is none."""
    path = folder / "dataset.json"
    if not path.exists():
        return None
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        fits = description["file_ending"] == NNUNET_ENDING and len(description["channel_names"]) == 1
        if not fits or "background" not in description["labels"]:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} does not describe a single-channel {NNUNET_ENDING} data set. Choose another folder."
        ) from error
    return description


def _nnunet_cases(folder: Path) -> dict[str, dict]:
    """The cases of a data set whose `dataset.json` does not list them."""
    names = [path.name.removesuffix(f"_0000{NNUNET_ENDING}") for path in sorted((folder / "imagesTr").glob("*_0000*"))]
    return {
        name: {"images": [f"imagesTr/{name}_0000{NNUNET_ENDING}"], "label": f"labelsTr/{name}{NNUNET_ENDING}"}
        for name in names
    }


def _poorest_part(folder: Path) -> str:
    """The part that the next case goes to: each gets one, then the shares are kept."""
    counts = {part: sum(one.is_dir() for one in (folder / part).glob("*/")) for part in cpaisd.PARTS}
    empty = [part for part in cpaisd.PARTS if not counts[part]]
    return empty[0] if empty else min(SPLIT, key=lambda part: counts[part] / SPLIT[part])


def _cpaisd_record(findings: Findings) -> cpaisd.StudyRecord:
    """What is known and tells no person: scanner, score, hours since onset."""
    acquisition, clinical = findings.study.acquisition, findings.clinical

    def or_unknown(value: object) -> object:
        return cpaisd.UNKNOWN if value in (None, "") else value

    return cpaisd.StudyRecord(
        manufacturer=or_unknown(acquisition.manufacturer),
        model=or_unknown(acquisition.scanner),
        nihss=or_unknown(clinical.nihss),
        time=or_unknown(clinical.hours),
    )
