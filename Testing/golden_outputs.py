"""Everything the program writes for eight synthetic patients, as digests: ``python Testing/golden_outputs.py FOLDER``.

Patients and results stay in FOLDER; the digests go to FOLDER/golden.json. With ``--against OTHER.json`` the command
lists what differs and fails if anything does. Times, versions, paths and fresh identifiers are left out.
"""

import argparse
import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import nrrd
import numpy as np
import pydicom

from StrokeSegLib.cli import main as strokeseg

NCCT_METHODS = ("ncct-core-penumbra", "ncct-infarct", "ncct-aspects")
CTP_METHODS = ("ctp-core", "ctp-threshold")

PATIENTS = {
    "ncct-m1": ("ncct", "--seed", "9001", "--lesion", "m1"),
    "ncct-pca": ("ncct", "--seed", "9002", "--lesion", "pca"),
    "ncct-none": ("ncct", "--seed", "9003", "--lesion", "none"),
    "ncct-any": ("ncct", "--seed", "9004", "--lesion", "any"),
    "ncct-tilted": ("ncct", "--seed", "9005", "--lesion", "m2", "--tilt", "15"),
    "ctp-m1": ("ctp", "--seed", "9006", "--lesion", "m1"),
    "ctp-moved": ("ctp", "--seed", "9007", "--lesion", "m2", "--motion", "mild"),
    "ctp-none": ("ctp", "--seed", "9008", "--lesion", "none"),
}
CORRECTED = {"ncct-m1": "ncct", "ctp-m1": "ctp-threshold"}
"""Cases whose first segment a reader has made larger, by patient."""

PASSING = ("timings_s", "software", "version", "created", "sha256", "input", "source", "device", "seconds")
"""Keys of results.json that may differ between two runs of the same program."""

FRESH = ("UID", "Group Length", "ersion", " TM:", " DA:", " DT:")
"""Lines of a DICOM object that differ with identifiers (and their length), versions and times."""

UIDS_AND_TIMES = re.compile(r"\b\d+(\.\d+){5,}\b|\d+(\.\d+)? s\b|\d{4}-\d{2}-\d{2}( \d{2}:\d{2}(:\d{2})?)?")


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 if something differs."""
    options = _parser().parse_args(arguments)
    golden = {name: _digest(name, options.folder) for name in PATIENTS}
    file = options.folder / "golden.json"
    file.write_text(json.dumps(golden, indent=1, sort_keys=True), "utf-8")
    if options.against is None:
        return 0
    before = _flat(json.loads(options.against.read_text("utf-8")))
    after = _flat(json.loads(file.read_text("utf-8")))
    different = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    for key in different:
        sys.stdout.write(f"{key}: {before.get(key)!r} → {after.get(key)!r}\n")
    sys.stdout.write(f"{len(after)} values compared, {len(different)} differ\n")
    return 1 if different else 0


def _digest(name: str, folder: Path) -> dict[str, object]:
    """What each run of a patient wrote, and what was exported after a correction."""
    kind, *options = PATIENTS[name]
    patient = folder / "patients" / name
    if not patient.exists():
        spacing = ["0.9", "0.9", "5"]
        _run("phantom", "--output", patient, "--kind", kind, "--format", "dicom", "--spacing", *spacing, *options)
    scan = patient / "dicom" if (patient / "dicom").is_dir() else patient
    runs = {method: ["--method", method] for method in (NCCT_METHODS if kind == "ncct" else CTP_METHODS)}
    if kind == "ncct":
        runs["ncct"] = []
    digests = {}
    for run, chosen in runs.items():
        case = folder / "cases" / f"{name}-{run}"
        _emptied(case)
        _run("segment", scan, "--output", case, "--device", "cpu", "--save-scan", "--quiet", *chosen)
        digests[run] = _of_case(case, scan)
    if name in CORRECTED:
        case = folder / "cases" / f"{name}-{CORRECTED[name]}"
        _correct(case / "segmentation.seg.nrrd")
        digests["corrected"] = _of_case(case, scan)
    return digests


def _of_case(case: Path, scan: Path) -> dict[str, object]:
    exports = case.with_name(f"{case.name}-exports")
    _emptied(exports)
    for kind in ("csv", "html", "dicom"):
        _run("export", case, "--as", kind, "--output", exports, "--source", scan, "--name", "golden", "--quiet")
    segmentation, header = nrrd.read(str(case / "segmentation.seg.nrrd"))
    names = sorted(value for key, value in header.items() if key.endswith("_Name"))
    return {
        "results": _without_passing(json.loads((case / "results.json").read_text("utf-8"))),
        "segmentation": hashlib.sha256(np.ascontiguousarray(segmentation).tobytes()).hexdigest()[:16],
        "segments": names,
        "report": _text_digests((case / "report.html").read_text("utf-8")),
        "exported": {
            str(file.relative_to(exports)): _of_export(file) for file in sorted(exports.rglob("*")) if file.is_file()
        },
    }


def _of_export(file: Path) -> object:
    if file.suffix == ".dcm":
        text = str(pydicom.dcmread(file)) if file.stat().st_size < 10_000_000 else ""
        # Of a segmentation the frames are checked by the voxels above; of a structured report every item counts.
        return _text_digests("\n".join(line for line in text.splitlines() if not any(part in line for part in FRESH)))
    return _text_digests(file.read_text("utf-8", errors="replace"))


def _text_digests(text: str) -> str:
    """Of text without pictures, identifiers, dates and seconds."""
    text = re.sub(r"data:image/[^\"')]*", "", text)
    return hashlib.sha256(UIDS_AND_TIMES.sub("", text).encode()).hexdigest()[:16]


def _correct(file: Path) -> None:
    """Let a reader have made the first segment one pixel larger along the rows."""
    voxels, header = nrrd.read(str(file))
    layers = voxels if voxels.ndim == 4 else voxels[None]
    label = int(header["Segment0_LabelValue"])
    layer = layers[int(header["Segment0_Layer"])]
    shifted = np.roll(layer == label, 1, axis=0)
    layer[shifted & (layer == 0)] = label
    nrrd.write(str(file.with_name("corrected.seg.nrrd")), voxels, header)


def _without_passing(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_passing(item) for key, item in value.items() if key not in PASSING}
    return [_without_passing(item) for item in value] if isinstance(value, list) else value


def _flat(value: object, path: str = "") -> dict[str, object]:
    """Leaves by their path."""
    if isinstance(value, dict):
        return {key: leaf for name, item in value.items() for key, leaf in _flat(item, f"{path}/{name}").items()}
    return {path: value}


def _run(*arguments: object) -> None:
    if strokeseg([str(argument) for argument in arguments]):
        raise SystemExit(f"strokeseg {' '.join(map(str, arguments))} failed.")


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--against", type=Path, metavar="GOLDEN.json", help="digests of another run to compare with")
    return parser


if __name__ == "__main__":
    sys.exit(main())
