"""Longest pause of the window while results enter the scene: ``python …/results_in_scene.py [SLICES]``.

Each step of the import runs between two turns of the event loop, and so does the drawing of the views. The scene and
the views are Slicer's own (slicer-core, drawn by Mesa on the processor); Slicer's Qt lists are not part of it.
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from desktop import Desktop
from desktop.slice_pictures import SlicePicture
from known_results import add_scan, patient, true_findings
from slicer_scene import new_scene

from StrokeSegLib.cases import writing
from StrokeSegLib.findings import SegmentLayer
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume

MATRIX = 512


def enlarged(findings, slices: int):
    """The same findings on a grid of `slices` slices of 512×512."""

    def stretch(array: np.ndarray) -> np.ndarray:
        places = [np.linspace(0, count - 1, size).astype(int) for count, size in zip(array.shape, shape, strict=True)]
        return np.ascontiguousarray(array[np.ix_(*places)])

    shape = (slices, MATRIX, MATRIX)
    ct = Volume(stretch(findings.study.ct.voxels), SliceGeometry.regular(shape, (180 / slices, 0.45, 0.45)))
    layers = tuple(SegmentLayer(stretch(layer.labels), layer.segments) for layer in findings.layers)
    return replace(findings, study=replace(findings.study, ct=ct), layers=layers)


def main(slices: int) -> None:
    desktop = Desktop(new_scene())
    from StrokeSegPanel.results import import_results

    stroke = patient()
    findings = enlarged(true_findings(stroke), slices)
    volume = add_scan(replace(stroke, ct=findings.study.ct))
    pictures = [SlicePicture(desktop.scene.logics[3], name) for name in ("Red", "Green", "Yellow")]
    with tempfile.TemporaryDirectory() as folder:
        writing.write(findings, Path(folder) / "run")
        parts, steps = import_results(Path(folder) / "run", volume), []
        while True:
            started = time.perf_counter()
            try:
                next(parts)
            except StopIteration as end:
                results = end.value
                break
            finally:
                imported = time.perf_counter()
                for picture in pictures:
                    picture.draw()
                steps.append((imported - started, time.perf_counter() - imported))
    count = results.segmentation.GetSegmentation().GetNumberOfSegments()
    print(f"{slices} slices, {count} segments; seconds of each step and of drawing three views in software after it:")
    print(", ".join(f"{step:.2f} + {drawing:.2f}" for step, drawing in steps))
    desktop.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 32)
