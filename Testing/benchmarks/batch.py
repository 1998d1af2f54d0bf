"""A batch that is killed again and again, that runs on two workers, and on a Dask cluster: the same files every time.

`python Testing/benchmarks/batch.py --studies 40 --kills 10`
"""

import argparse
import csv
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from batches import comparable

from StrokeSegLib.phantom import write_phantom

SPACING_MM = (3.0, 3.0, 16.0)
"""10 slices of 77 × 77 pixels."""

LESIONS = ("m1", "m2", "random", "none", "pca")


def make_studies(folder: Path, count: int) -> None:
    """Synthetic patients, every second one as DICOM, and one file that is no scan."""
    for seed in range(count - 1):
        write_phantom(
            folder / f"ward-{seed % 4}" / f"patient-{seed:03d}",
            seed=seed,
            format="dicom" if seed % 2 else "nifti",
            spacing_mm=SPACING_MM,
            tilt_deg=15.0 if seed % 3 == 0 else 0.0,
            lesion=LESIONS[seed % len(LESIONS)],
        )
    (folder / "no scan.nii.gz").write_bytes(b"nothing")


def command(studies: Path, output: Path, *more: str) -> list[str]:
    """The batch as a user starts it."""
    start = [sys.executable, "-m", "StrokeSegLib", "batch", str(studies), "--output", str(output), "--resume"]
    return [*start, "--method", "ncct-core-penumbra", "--device", "cpu", "--quiet", *more]


def finished(output: Path) -> int:
    """Cases that have their record."""
    return len(list(output.glob("*/case.json")))


def killed_and_resumed(run: list[str], output: Path, kills: int, studies: int, draws: random.Random) -> None:
    """Kill the batch, its processes left to themselves, at random moments; then let it finish."""
    for kill in range(kills):
        process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = min(finished(output) + draws.randint(0, 2 * studies // (kills + 1)), studies - 1)
        while finished(output) < until and process.poll() is None:
            time.sleep(0.005)
        time.sleep(draws.uniform(0, 1.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        hidden = len(list(output.glob(".running-*/*")))
        print(f"  killed {kill + 1:2}: {finished(output)} of {studies} finished, {hidden} in progress", flush=True)
    subprocess.run(run, stdout=subprocess.DEVNULL, check=False)


def on_local_dask(run: Callable[[str], None], workers: int) -> None:
    """Run with the address of a Dask cluster of processes on this machine."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
        run(cluster.scheduler_address)


def peaks_mb(output: Path) -> list[float]:
    """Peak memory of the worker during each case that was done, in the order in which they finished."""
    rows = {row["case"]: row for row in csv.DictReader((output / "summary.csv").open(encoding="utf-8"))}
    order = sorted(output.glob("*/case.json"), key=lambda file: file.stat().st_mtime_ns)
    peaks = [rows[file.parent.name]["peak_memory_mb"] for file in order]
    return [float(peak) for peak in peaks if peak]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        studies = folder / "studies"
        make_studies(studies, options.studies)
        started = time.monotonic()
        undisturbed = folder / "undisturbed"
        subprocess.run(command(studies, undisturbed), stdout=subprocess.DEVNULL, check=False)
        print(
            f"undisturbed, one worker: {finished(undisturbed)} cases in {time.monotonic() - started:.0f} s", flush=True
        )
        peaks = peaks_mb(undisturbed)
        quarter = max(1, len(peaks) // 4)
        first, last = median(peaks[:quarter]), median(peaks[-quarter:])
        print(f"peak memory, first and last quarter of the cases: {first:.0f} and {last:.0f} MiB", flush=True)
        expected = comparable(undisturbed)

        def report(name: str, output: Path, began: float) -> None:
            found = comparable(output)
            differing = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
            verdict = f"{len(found)} files, the same" if not differing else f"DIFFERENT: {differing[:5]}"
            print(f"{name}: {verdict}, {time.monotonic() - began:.0f} s", flush=True)

        began = time.monotonic()
        output = folder / "killed"
        draws = random.Random(options.seed)
        killed_and_resumed(command(studies, output), output, options.kills, options.studies, draws)
        report(f"killed {options.kills} times and resumed", output, began)

        began = time.monotonic()
        output = folder / "two"
        subprocess.run(command(studies, output, "--workers", "2"), stdout=subprocess.DEVNULL, check=False)
        report("--workers 2", output, began)

        began = time.monotonic()
        output = folder / "dask"

        def run(address: str) -> None:
            subprocess.run(command(studies, output, "--scheduler", address), stdout=subprocess.DEVNULL, check=False)

        on_local_dask(run, 2)
        report("Dask cluster of two workers", output, began)


if __name__ == "__main__":
    main()
