"""How long the numbers take to follow a brush: ``python …/brush_strokes.py [--slices 300] [--strokes 30]``.

Strokes go into the core of a result on 512×512 slices by the call that Slicer's Paint effect makes; after each, the
table's volume must be that of the voxels. No worker process runs. The reference is measuring the whole result once.
"""

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from desktop import Desktop
from desktop_use import finished
from known_results import add_scan, patient, true_findings
from results_in_scene import enlarged
from slicer_scene import new_scene
from vtk.util.numpy_support import vtk_to_numpy

from StrokeSegLib.cases import writing

RADIUS = 12
"""Of the brush, in pixels; it paints in one slice."""


def main() -> None:
    options = _parser().parse_args()
    desktop = Desktop(new_scene())
    import slicer
    from StrokeSegPanel.results import import_results, measuring_of

    stroke = patient()
    findings = enlarged(true_findings(stroke), options.slices)
    volume = add_scan(replace(stroke, ct=findings.study.ct))
    with tempfile.TemporaryDirectory() as folder:
        writing.write(findings, Path(folder) / "run")
        results = finished(import_results(Path(folder) / "run", volume))
    started = time.perf_counter()
    measuring_of(results).measure()
    whole_s = time.perf_counter() - started
    desktop.panel._parameters.inputVolume = volume
    desktop.panel.results.show(results.segmentation)
    core, random = findings.layers[0].labels == 1, np.random.default_rng(0)
    voxel_ml = findings.study.ct.geometry.voxel_volumes_ml[0]
    rows, columns = np.ogrid[:512, :512]
    strokes_s, numbers_s = [], []
    measure = desktop.panel.results.live.measure

    def timed() -> None:
        begun = time.perf_counter()
        measure()
        numbers_s[-1] += time.perf_counter() - begun

    desktop.panel.results.live.measure = timed
    for _ in range(options.strokes):
        index = int(random.integers(options.slices // 3, 2 * options.slices // 3))
        middle = random.integers(180, 330, 2)
        disc = (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 <= RADIUS**2
        core[index] |= disc
        brush = _brush(slicer, volume, index, disc)
        numbers_s.append(0.0)
        started = time.perf_counter()
        slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(
            brush,
            results.segmentation,
            results.segmentation.GetSegmentation().GetSegmentIdBySegmentName("core"),
            slicer.vtkSlicerSegmentationsModuleLogic.MODE_MERGE_MAX,
        )
        strokes_s.append(time.perf_counter() - started)
        shown = next(row.value for row in desktop.panel.results.live.rows if row.finding == "core")
        assert shown == f"{np.count_nonzero(core) * voxel_ml:.2f}", (shown, np.count_nonzero(core) * voxel_ml)
    assert desktop.panel.logic.worker_pid is None
    print(f"512×512×{options.slices}: {options.strokes} strokes in {sum(strokes_s):.2f} s, numbers right after each")
    print(f"median of a stroke {1000 * statistics.median(strokes_s):.0f} ms, of it the numbers", end=" ")
    print(f"{1000 * statistics.median(numbers_s):.0f} ms; the whole result measured once: {whole_s:.2f} s")
    desktop.close()


def _brush(slicer, volume, index: int, disc: np.ndarray):
    """An oriented image of one slice that holds the disc."""
    import vtk

    image, to_ras = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(to_ras)
    image.SetImageToWorldMatrix(to_ras)
    image.SetExtent(0, disc.shape[1] - 1, 0, disc.shape[0] - 1, index, index)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(image.GetPointData().GetScalars()).reshape(disc.shape)[:] = disc
    return image


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--strokes", type=int, default=30)
    return parser


if __name__ == "__main__":
    main()
