"""Pictures of the panel in each state, on the desktop stand-in: ``python …/screenshot.py FOLDER [STATE…]``.

Each state is written to ``panel-STATE.png``; without names all are drawn. ``ctp`` takes some minutes.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from desktop import Desktop
from known_results import add_result, add_scan, patient
from slicer_scene import add_sequence, new_scene

from StrokeSegLib.phantom import DEMO_SEED, PhantomOptions, axial_geometry, draw_patient
from StrokeSegLib.phantom.perfusion import acquire_perfusion, uniform_times
from StrokeSegLib.phantom.scanner import draw_perfusion_scanner

CTP = axial_geometry((12, 192, 192), (8.0, 1.2, 1.2))

WARM_S, LONGEST_RUN_S = 120, 400

LOWER_SLICES = 7
"""Up to which the reader of the edited state takes penumbra for core."""

WIDTH, TALL = 520, 1420
"""Pixels at which nothing of a result must be scrolled."""


def empty(desktop) -> None:
    """Nothing is loaded."""
    desktop.wait_until(lambda: desktop.ui.methodCombo.count > 0, WARM_S)


def running(desktop) -> None:
    """A scan is being segmented."""
    _with_scan(desktop)
    desktop.click(desktop.ui.segmentButton)
    desktop.wait_until(lambda: desktop.ui.progressBar.value > 5, WARM_S)


def error(desktop) -> None:
    """A volume that is no head was refused."""
    import slicer

    desktop.panel._parameters.inputVolume = slicer.util.addVolumeFromArray(
        np.full((4, 16, 16), 30, np.int16), np.eye(4), name="Phantom of a knee"
    )
    desktop.wait_until(lambda: desktop.ui.segmentButton.enabled, WARM_S)
    desktop.click(desktop.ui.segmentButton)
    desktop.wait_until(lambda: not desktop.panel.logic.is_running, WARM_S)


def done(desktop):
    """A result as the run left it; segments, regions and score are the truth of a drawn infarct."""
    stroke = patient()
    results = _with_scan(desktop, stroke)
    desktop.parent.resize(WIDTH, TALL)
    return stroke, results


def edited(desktop) -> None:
    """The same after corrections of core and of a region's box."""
    import slicer

    stroke, results = done(desktop)
    labels = slicer.util.arrayFromSegmentBinaryLabelmap(results.segmentation, "core", results.scan)
    lower = np.arange(len(labels))[:, np.newaxis, np.newaxis] < LOWER_SLICES
    labels[(stroke.labels == 2) & lower] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        labels.astype(np.uint8), results.segmentation, "core", results.scan
    )
    live = desktop.panel.results.live
    desktop.wait_until(lambda: "core" in live.measured.edited)
    desktop.click(desktop.panel.results.grid.boxes["M6", "left"])
    desktop.wait_until(lambda: live.is_scored, WARM_S)


def ctp(desktop) -> None:
    """A CT perfusion series after a run."""
    scanned = draw_patient(DEMO_SEED, PhantomOptions(lesion="m1"))
    scan = acquire_perfusion(scanned, CTP, draw_perfusion_scanner(DEMO_SEED), uniform_times())
    name = "CT perfusion (synthetic)"
    desktop.panel._parameters.inputVolume = add_sequence(desktop.scene, scan.series.voxels, scan.times_s, CTP, name)[1]
    desktop.wait_until(lambda: desktop.ui.segmentButton.enabled, WARM_S)
    desktop.panel._parameters.hours = 8.0
    desktop.ui.clinical.collapsed = False
    desktop.parent.resize(WIDTH, TALL)
    desktop.click(desktop.ui.segmentButton)
    desktop.wait_until(lambda: not desktop.panel.logic.is_running, LONGEST_RUN_S)


def _with_scan(desktop, stroke=None):
    """The scan, and where a stroke is given its result, in the panel."""
    volume = add_scan(stroke or patient(), "Head CT (synthetic)")
    results = None
    with tempfile.TemporaryDirectory() as folder:
        if stroke is not None:
            results = add_result(stroke, volume, Path(folder))
    desktop.panel._parameters.inputVolume = volume
    desktop.wait_until(lambda: desktop.ui.segmentButton.enabled, WARM_S)
    return results


STATES = {state.__name__: state for state in (empty, running, done, edited, error, ctp)}


def main(folder: Path, *names: str) -> None:
    for name in names or STATES:
        desktop = Desktop(new_scene())
        STATES[name](desktop)
        # Labels that wrap take their height at a change of size.
        desktop.parent.resize(WIDTH, desktop.parent.height() + 1)
        desktop.screenshot(folder / f"panel-{name}.png")
        desktop.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
