"""The panel with a synthetic patient segmented, on the desktop stand-in: ``python …/screenshot.py FILE.png [ctp]``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from desktop import Desktop
from slicer_scene import add_sequence, new_scene, ras_of

from StrokeSegLib.phantom import DEMO_SEED, PhantomOptions, acquire, axial_geometry, draw_patient, draw_scanner
from StrokeSegLib.phantom.perfusion import acquire_perfusion, uniform_times
from StrokeSegLib.phantom.scanner import draw_perfusion_scanner

NCCT = axial_geometry((32, 256, 256), (5.0, 0.9, 0.9))
CTP = axial_geometry((12, 192, 192), (8.0, 1.2, 1.2))


def main(picture: Path, kind: str = "ncct") -> None:
    desktop = Desktop(new_scene())
    desktop.panel._parameters.inputVolume = {"ncct": add_head, "ctp": add_series}[kind](desktop.scene)
    desktop.wait_until(lambda: desktop.ui.segmentButton.enabled)
    if kind == "ctp":
        desktop.panel._parameters.hours = 8.0
        desktop.ui.clinical.collapsed = False
        desktop.parent.resize(460, 1290)
    desktop.click(desktop.ui.segmentButton)
    desktop.wait_until(lambda: not desktop.panel.logic.is_running, timeout_s=300)
    desktop.screenshot(picture)
    desktop.close()


def add_head(scene):
    import slicer

    patient = draw_patient(DEMO_SEED, PhantomOptions(lesion="m1"))
    scan = acquire(patient, NCCT, draw_scanner(DEMO_SEED)).ct
    return slicer.util.addVolumeFromArray(scan.voxels, ras_of(NCCT), name="Head CT (synthetic)")


def add_series(scene):
    patient = draw_patient(DEMO_SEED, PhantomOptions(lesion="m1"))
    scan = acquire_perfusion(patient, CTP, draw_perfusion_scanner(DEMO_SEED), uniform_times())
    return add_sequence(scene, scan.series.voxels, scan.times_s, CTP, name="CT perfusion (synthetic)")[1]


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
