"""The panel with a synthetic patient segmented, on the desktop stand-in: ``python …/screenshot.py PICTURE.png``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from desktop import Desktop
from slicer_scene import new_scene

from StrokeSegLib.phantom import DEMO_SEED, PhantomOptions, acquire, axial_geometry, draw_patient, draw_scanner

SPACING_MM = (5.0, 0.9, 0.9)


def main(picture: Path) -> None:
    import slicer

    desktop = Desktop(new_scene())
    patient = draw_patient(DEMO_SEED, PhantomOptions(lesion="m1"))
    scan = acquire(patient, axial_geometry((32, 256, 256), SPACING_MM, 0.0), draw_scanner(DEMO_SEED)).ct
    to_ras = np.diag([-SPACING_MM[2], -SPACING_MM[1], SPACING_MM[0], 1.0])
    to_ras[:3, 3] = scan.geometry.positions_mm[0] * (-1, -1, 1)
    volume = slicer.util.addVolumeFromArray(scan.voxels, to_ras, name="Head CT (synthetic)")
    desktop.panel._parameters.inputVolume = volume
    desktop.wait_until(lambda: desktop.ui.segmentButton.enabled)
    desktop.click(desktop.ui.segmentButton)
    desktop.wait_until(lambda: not desktop.panel.logic.is_running)
    desktop.screenshot(picture)
    desktop.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
