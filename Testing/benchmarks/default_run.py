"""A default run on a 512×512×32 head, this checkout beside another version of the project, in turn.

    git worktree add ../before VERSION
    python Testing/benchmarks/default_run.py --against ../before [--repeats 5]

Each version runs in a warm process of its own, as the panel's does, from the file to the written results; prints
medians of seconds and of processor seconds, their ratio, and the segments that each version writes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np

ROOT = Path(__file__).resolve().parents[2]

WORKER = """
import json, shutil, sys, time
from pathlib import Path
from StrokeSegLib.case import segment_case
from StrokeSegLib.documents.requests import Case
for line in sys.stdin:
    scan, output = json.loads(line)
    shutil.rmtree(output, ignore_errors=True)
    before = time.perf_counter(), time.process_time()
    findings = segment_case(Case(Path(scan), Path(output)), lambda *_: None)
    seconds = time.perf_counter() - before[0], time.process_time() - before[1]
    print(json.dumps([*seconds, [name for name in findings.volumes_ml if not name.startswith("ASPECTS")]]), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, required=True, metavar="CHECKOUT")
    parser.add_argument("--slices", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "head.nii.gz"
        _write_head(scan, options.slices)
        versions = {name: _started(root) for name, root in (("before", options.against), ("now", ROOT))}
        runs: dict[str, list] = {name: [] for name in versions}
        for _ in range(options.repeats + 1):
            for name, process in versions.items():
                process.stdin.write(json.dumps([str(scan), str(Path(folder) / name)]) + "\n")
                process.stdin.flush()
                runs[name].append(json.loads(process.stdout.readline()))
        for process in versions.values():
            process.communicate()
    # The first run of each loads the networks.
    medians = {name: [statistics.median(run[each] for run in of[1:]) for each in (0, 1)] for name, of in runs.items()}
    for name, (seconds, processor_s) in medians.items():
        segments = ", ".join(runs[name][-1][2])
        sys.stdout.write(f"{name:<8} {seconds:7.2f} s {processor_s:7.2f} s of the processor   {segments}\n")
    ratios = [before / now for before, now in zip(medians["before"], medians["now"], strict=True)]
    sys.stdout.write(f"ratio    {ratios[0]:7.2f}   {ratios[1]:7.2f}\n")


def _write_head(file: Path, slices: int) -> None:
    """A synthetic patient with the geometry of a routine head CT."""
    from StrokeSegLib.phantom import acquire, axial_geometry, draw_patient, draw_scanner

    geometry = axial_geometry((slices, 512, 512), (160 / slices, 0.45, 0.45))
    hu = acquire(draw_patient(7), geometry, draw_scanner(7)).ct.voxels
    affine = np.diag([-0.45, -0.45, 160 / slices, 1.0])
    nibabel.save(nibabel.Nifti1Image(hu.transpose(2, 1, 0), affine), file)


def _started(root: Path) -> subprocess.Popen:
    """A warm process of one version; what it logs is dropped."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
