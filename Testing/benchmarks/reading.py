"""Reading speed of this version beside another checkout: a perfusion series of many files, and thin slices.

    git worktree add /tmp/before 859ad3f
    python Testing/benchmarks/reading.py --before /tmp/before [--files 2000] [--slices 400] [--rounds 5]

Both versions read the same files in turns, each in a process of its own, so that both meet the same load. Printed are
the medians in seconds and their ratio; the exit code is 1 where this version is slower.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]

sys.path[:0] = [str(ROOT), str(ROOT / "Testing")]

NOISE = 1.05
"""Ratio of equal versions in a busy computer."""

READ = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from StrokeSegLib.imaging import read_study
times = []
for folder in sys.argv[2:]:
    read_study(folder)
    started = time.process_time()
    study = read_study(folder)
    times.append(time.process_time() - started)
print(json.dumps(times))
"""
"""Processor time of the second reading: files are in the system's cache, modules are loaded."""


def write_scans(folder: Path, files: int, slices: int, size: int) -> tuple[Path, Path]:
    """A perfusion series of 512² images and a stack of thin slices."""
    import numpy as np
    import pydicom
    from perfusion_scans import clock
    from scans import ct_slice

    pixels = np.random.default_rng(0).integers(-1000, 1500, (size, size)).astype(np.int16)
    perfusion, thin = folder / "perfusion", folder / "thin"
    for path in (perfusion, thin):
        path.mkdir()
    positions = 40
    for number in range(files):
        frame, place = divmod(number, positions)
        image = ct_slice(
            pixels,
            (-120, -120, 5.0 * place),
            spacing_mm=(0.47, 0.47),
            AcquisitionTime=clock(36000 + 1.5 * frame),
            InstanceNumber=number,
            SeriesInstanceUID="1.2.9",
            ContrastBolusAgent="Iomeron",
        )
        pydicom.dcmwrite(perfusion / f"{number:05d}.dcm", image)
    for number in range(slices):
        image = ct_slice(pixels, (-120, -120, 0.4 * number), spacing_mm=(0.47, 0.47), InstanceNumber=number)
        pydicom.dcmwrite(thin / f"{number:05d}.dcm", image)
    return perfusion, thin


def main() -> int:
    """Read in turns and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, required=True, help="checkout of the version to compare with")
    parser.add_argument("--files", type=int, default=2000, help="files of the perfusion series")
    parser.add_argument("--slices", type=int, default=400, help="thin slices")
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--rounds", type=int, default=5, help="readings of each version")
    arguments = parser.parse_args()
    times: dict[Path, list[list[float]]] = {arguments.before: [], ROOT: []}
    with TemporaryDirectory() as folder:
        scans = write_scans(Path(folder), arguments.files, arguments.slices, arguments.size)
        for _ in range(arguments.rounds):
            for version, taken in times.items():
                command = [sys.executable, "-c", READ, str(version), *map(str, scans)]
                taken.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    ratios = []
    for index, name in enumerate(("perfusion series", "thin slices")):
        before, now = (statistics.median(taken[index] for taken in times[version]) for version in times)
        ratios.append(now / before)
        print(f"{name}: {before:.2f} s before, {now:.2f} s now, ratio {now / before:.2f}")
    return 1 if max(ratios) > NOISE else 0


if __name__ == "__main__":
    sys.exit(main())
