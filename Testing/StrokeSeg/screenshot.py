"""Pictures of the panel in each state and of the slice views, on the desktop stand-in.

``python …/screenshot.py FOLDER [STATE…]`` draws each state at both widths and in both themes, and the slice views of
states that have any; ``python …/screenshot.py --documentation FOLDER`` makes the sheets of the documentation.
``ncct``, ``tilted`` and ``ctp`` run the real worker and take some minutes.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import vtk
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from desktop import Desktop
from desktop.slice_pictures import SlicePicture, save
from known_results import add_result, add_scan, patient
from slicer_scene import add_as_add_data_does, add_sequence, new_scene, ras_of

from StrokeSegLib.phantom import DEMO_SEED, PhantomOptions, axial_geometry, draw_patient
from StrokeSegLib.phantom.acquisition import acquire
from StrokeSegLib.phantom.perfusion import acquire_perfusion, uniform_times
from StrokeSegLib.phantom.scanner import draw_perfusion_scanner, draw_scanner

WIDTHS, THEMES = (420, 700), ("light", "dark")
HEIGHT = 1180

CTP = axial_geometry((12, 192, 192), (8.0, 1.2, 1.2))
NCCT = ((28, 256, 256), (6.0, 0.9, 0.9))
TILT_DEG = 18.0

WARM_S, LONGEST_RUN_S = 240, 900

COLOURS = 256
"""Of a sheet of slice views in the documentation, so that it stays small."""

DOCUMENTED = ("empty", "done", "edited", "ctp")


def setup(desktop):
    """Packages are missing."""
    from StrokeSegPanel import dependencies

    present = dependencies.missing
    dependencies.missing = lambda: ["torch>=2.2", "torchvision", "segmentation-models-pytorch>=0.5", "pynrrd>=1.0"]
    desktop.panel.enter()
    dependencies.missing = present


def empty(desktop):
    """Nothing is loaded."""
    desktop.wait_until(lambda: desktop.ui.methodCombo.count > 0, WARM_S)


def running(desktop):
    """A scan is being segmented."""
    _with_scan(desktop, add_scan(patient(), "Head CT (synthetic)"))
    desktop.click(desktop.ui.segmentButton)
    desktop.wait_until(lambda: desktop.ui.progressBar.value > 5, WARM_S)


def error(desktop):
    """A volume that is no head was refused."""
    import slicer

    knee = slicer.util.addVolumeFromArray(np.full((4, 16, 16), 30, np.int16), np.eye(4), name="Phantom of a knee")
    _with_scan(desktop, knee)
    desktop.click(desktop.ui.segmentButton)
    desktop.wait_until(lambda: not desktop.panel.logic.is_running, WARM_S)


def done(desktop):
    """A result as the run left it; segments, regions and score are the truth of a drawn infarct."""
    stroke = patient()
    volume = add_scan(stroke, "Head CT (synthetic)")
    with tempfile.TemporaryDirectory() as folder:
        results = add_result(stroke, volume, Path(folder))
    _with_scan(desktop, volume)
    return stroke, results


def edited(desktop):
    """The same after corrections of core and of a region's box, its regions unfolded."""
    import slicer

    stroke, results = done(desktop)
    labels = slicer.util.arrayFromSegmentBinaryLabelmap(results.segmentation, "core", results.scan)
    lower = np.arange(len(labels))[:, np.newaxis, np.newaxis] < 7
    labels[(stroke.labels == 2) & lower] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        labels.astype(np.uint8), results.segmentation, "core", results.scan
    )
    live = desktop.panel.results.live
    desktop.wait_until(lambda: "core" in live.measured.edited)
    desktop.ui.regions.collapsed = False
    desktop.click(desktop.panel.results.grid.boxes["M6", "left"])


def options(desktop):
    """Everything that folds away, unfolded, for a tilted volume whose files nobody knows."""
    geometry = axial_geometry((16, 96, 96), (8.0, 2.0, 2.0), tilt_deg=TILT_DEG)
    _with_scan(desktop, add_as_add_data_does(geometry, np.zeros(geometry.shape, np.int16), name="Tilted head CT"))
    desktop.ui.options.collapsed = False


def ncct(desktop):
    """A real run on non-contrast CT, and what the slice views show."""
    scan = acquire(_patient(), axial_geometry(*NCCT), draw_scanner(DEMO_SEED))
    import slicer

    _run(desktop, slicer.util.addVolumeFromArray(scan.ct.voxels, ras_of(scan.ct.geometry), name="Head CT (synthetic)"))
    return _level_pictures(desktop)


def tilted(desktop):
    """The same with a tilted gantry, opened by Add Data."""
    geometry = axial_geometry(*NCCT, tilt_deg=TILT_DEG)
    scan = acquire(_patient(), geometry, draw_scanner(DEMO_SEED))
    _run(desktop, add_as_add_data_does(geometry, scan.ct.voxels, name="Tilted head CT (synthetic)"))
    return _level_pictures(desktop)


def ctp(desktop):
    """A CT perfusion series after a run, its views in the perfusion layout."""
    scan = acquire_perfusion(_patient(), CTP, draw_perfusion_scanner(DEMO_SEED), uniform_times())
    name = "CT perfusion (synthetic)"
    volume = add_sequence(desktop.scene, scan.series.voxels, scan.times_s, CTP, name)[1]
    desktop.panel._parameters.hours = 8.0
    _run(desktop, volume)
    from StrokeSegPanel.perfusion_layout import VIEWS

    desktop.click(desktop.ui.perfusionLayoutButton)
    views = [SlicePicture(desktop.scene.logics[3], tag, (330, 330)) for tag in VIEWS.values()]
    # The views are there now, as they are in Slicer when the button is pressed.
    for _press in range(2):
        desktop.click(desktop.ui.perfusionLayoutButton)
    for _turn in range(3):
        desktop.wait_until(lambda: True)
    pictures = [view.draw() for view in views]
    blank = vtk.vtkImageData()
    blank.DeepCopy(pictures[0])
    blank.GetPointData().GetScalars().Fill(0)
    return [[*pictures, blank]]


def _patient():
    return draw_patient(DEMO_SEED, PhantomOptions(lesion="m1"))


def _with_scan(desktop, volume) -> None:
    desktop.panel._parameters.inputVolume = volume
    desktop.wait_until(lambda: desktop.ui.segmentButton.enabled, WARM_S)


def _run(desktop, volume) -> None:
    _with_scan(desktop, volume)
    desktop.click(desktop.ui.segmentButton)
    desktop.wait_until(lambda: not desktop.panel.logic.is_running, LONGEST_RUN_S)
    assert not desktop.ui.messageLabel.text, desktop.ui.messageLabel.text


def _level_pictures(desktop) -> list[list]:
    """Axial, coronal and sagittal after the run, then both levels of ASPECTS."""
    views = {name: SlicePicture(desktop.scene.logics[3], name) for name in ("Red", "Green", "Yellow")}
    desktop.panel.results.views.present()
    first = [view.draw() for view in views.values()]
    levels = []
    for button in (desktop.ui.ganglionicButton, desktop.ui.supraganglionicButton):
        desktop.click(button)
        levels.append(views["Red"].draw())
    return [first, levels]


STATES = {state.__name__: state for state in (setup, empty, running, error, done, edited, options, ncct, tilted, ctp)}


def dress(theme: str) -> None:
    """Give the application a light or a dark palette, as Slicer's settings do."""
    from PySide6 import QtGui, QtWidgets

    application = QtWidgets.QApplication.instance()
    application.setStyle("Fusion")
    palette = QtGui.QPalette(QtGui.QColor("#f0f0f0" if theme == "light" else "#353535"))
    if theme == "dark":
        for role in ("WindowText", "Text", "ButtonText", "ToolTipText"):
            palette.setColor(QtGui.QPalette.ColorRole[role], QtGui.QColor("#eeeeee"))
            off = QtGui.QPalette.ColorGroup.Disabled
            palette.setColor(off, QtGui.QPalette.ColorRole[role], QtGui.QColor("#808080"))
        palette.setColor(QtGui.QPalette.ColorRole.Base, QtGui.QColor("#252525"))
        palette.setColor(QtGui.QPalette.ColorRole.Link, QtGui.QColor("#6db3f2"))
    application.setPalette(palette)


def draw(folder: Path, *names: str) -> dict[tuple[str, int, str], Path]:
    """Draw states; returns the panel's pictures by state, width and theme."""
    made = {}
    for name in names or STATES:
        desktop = Desktop(new_scene())
        views = STATES[name](desktop)
        for theme in THEMES:
            dress(theme)
            for width in WIDTHS:
                # Labels that wrap take their height at a change of size.
                for height in (HEIGHT, HEIGHT + 1):
                    desktop.parent.resize(width, height)
                    desktop.wait_until(lambda: True)
                made[name, width, theme] = folder / f"panel-{name}-{width}-{theme}.png"
                desktop.screenshot(made[name, width, theme])
        if name in ("ncct", "tilted", "ctp"):
            for number, row in enumerate(views, start=1):
                save(row, 3, folder / f"views-{name}-{number}.png")
        desktop.close()
    return made


def document(folder: Path) -> None:
    """The sheets of the documentation: the panel in both themes and wide, and the slice views."""
    with tempfile.TemporaryDirectory() as drawn:
        made = draw(Path(drawn), *DOCUMENTED, "ncct", "tilted")
        for theme in THEMES:
            _sheet([made[name, 420, theme] for name in DOCUMENTED], folder / f"panel-{theme}.png")
        _sheet([made["done", 700, "light"], made["ctp", 700, "dark"]], folder / "panel-wide.png")
        for name in ("ncct-1", "ncct-2", "tilted-1", "ctp-1"):
            _sheet([Path(drawn) / f"views-{name}.png"], folder / f"views-{name.removesuffix('-1')}.png")


def _sheet(pictures: list[Path], target: Path) -> None:
    images = [Image.open(path).convert("RGB") for path in pictures]
    sheet = Image.new("RGB", (sum(image.width for image in images), max(image.height for image in images)))
    left = 0
    for image in images:
        sheet.paste(image, (left, 0))
        left += image.width
    if target.name.startswith("views"):
        # By coverage: the few pixels of an outline keep their colour.
        sheet = sheet.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    sheet.save(target, optimize=True)


if __name__ == "__main__":
    if sys.argv[1] == "--documentation":
        document(Path(sys.argv[2]))
    else:
        draw(Path(sys.argv[1]), *sys.argv[2:])
