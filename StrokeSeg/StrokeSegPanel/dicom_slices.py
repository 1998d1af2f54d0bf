"""The DICOM files behind a volume of the scene, and where they say that its slices lie."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

from StrokeSegPanel.geometry import ijk_to_ras, is_sheared, slice_stack
from StrokeSegPanel.scans import series_of

INSTANCES_ATTRIBUTE = "DICOM.instanceUIDs"
"""Attribute in which Slicer's DICOM readers list the images of a volume, separated by blanks."""

SAME_PLACE_MM = 0.5
"""The first voxel of files and volume may differ by this much to be that of one scan."""

SAME_DIRECTION = 0.01

SAME_SLICES_MM = 0.01
"""Slices that lie as the volume says within this need not be told."""

HEADER = ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]


@dataclass(frozen=True)
class TrueSlices:
    """Where the slices of a scan lie.

    Args:
        stack: as `geometry.slice_stack` makes it; None where the volume itself says so.
        warning: what the reader must know; empty if nothing.
    """

    stack: dict | None
    warning: str = ""


def dicom_files(scan) -> list[Path]:
    """The DICOM files of a scan: from Slicer's DICOM database, or those that Add Data read; empty where unknown."""
    if scan is None:
        return []
    return _files_of_database(scan) or _files_of_storage(scan)


def true_slices(volume, folder: Path | None = None) -> Generator[None, None, TrueSlices]:
    """Find where the slices of a volume lie; yields after each file.

    An acquisition transform says it. Without one the DICOM files do, for Add Data loses uneven gaps; where there are
    none, the volume's own geometry is taken, and a tilted one is warned of.

    Args:
        volume: the scan.
        folder: DICOM folder that the reader chose, for a scan whose files the scene does not know.

    Raises:
        BentSlicesError: the slices are not equal, parallel rectangles.
    """
    if volume.GetParentTransformNode() is not None:
        return TrueSlices(slice_stack(volume))
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder else dicom_files(volume)
    headers = []
    for file in files:
        headers.append(_header(file))
        yield
    stack = _stack(volume, [header for header in headers if header is not None])
    if stack is not None:
        return TrueSlices(stack if _moves(stack, volume) else slice_stack(volume))
    if files:
        warning = _(
            "The DICOM files of “{name}” do not match its slices, so equal slice gaps are assumed; volumes are "
            "wrong if the gaps differ. Load the series with the DICOM module."
        )
    elif is_sheared(volume):
        warning = unknown_gaps()
    else:
        warning = ""
    return TrueSlices(slice_stack(volume), warning.format(name=volume.GetName()))


def unknown_gaps() -> str:
    """Said of a tilted volume whose files nobody knows; ``{name}`` is the volume's."""
    return _(
        "“{name}” was acquired with a tilted gantry and loaded without its DICOM headers, so equal slice gaps "
        "are assumed; volumes are wrong if the gaps differ. Load the series with the DICOM module, or choose its "
        "DICOM folder under Options."
    )


def _files_of_database(scan) -> list[Path]:
    database = getattr(slicer, "dicomDatabase", None)
    if database is None:
        return []
    series = series_of(scan)
    frames = series.node.GetNumberOfDataNodes() if series is not None and series.is_sequence else 0
    nodes = [scan, *(series.node.GetNthDataNode(index) for index in range(frames))]
    instances = dict.fromkeys(uid for node in nodes for uid in (node.GetAttribute(INSTANCES_ATTRIBUTE) or "").split())
    files = [database.fileForInstance(instance) for instance in instances]
    return [Path(file) for file in files] if all(file and Path(file).is_file() for file in files) else []


def _files_of_storage(scan) -> list[Path]:
    storage = scan.GetStorageNode()
    if storage is None:
        return []
    names = [storage.GetFullNameFromNthFileName(index) for index in range(storage.GetNumberOfFileNames())]
    files = [Path(name) for name in names or [storage.GetFullNameFromFileName()] if name]
    return files if files and all(_is_dicom(file) for file in files) else []


def _is_dicom(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _header(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Position, both directions and spacing of one image; None for what is not one."""
    import pydicom

    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=HEADER)
        values = [np.array(dataset[name].value, float) for name in HEADER]
    except Exception:
        return None
    return tuple(values) if [len(value) for value in values] == [3, 6, 2] else None


def _stack(volume, headers: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict | None:
    """The slices as the files say, in the volume's order; None where they are not those of the volume."""
    slices = volume.GetImageData().GetDimensions()[2]
    if not headers:
        return None
    to_lps = np.diag([-1.0, -1.0, 1.0]) @ ijk_to_ras(volume)[:3]
    directions = to_lps[:, :2] / np.linalg.norm(to_lps[:, :2], axis=0)
    row, column = headers[0][1][:3], headers[0][1][3:]
    positions = np.unique(np.round([position for position, *_ in headers], 3), axis=0)
    positions = positions[np.argsort(positions @ np.cross(row, column))]
    if (positions[-1] - positions[0]) @ to_lps[:, 2] < 0:
        positions = positions[::-1]
    fits = (
        len(positions) == slices
        and all(np.allclose(header[1], headers[0][1], atol=1e-4) for header in headers)
        and np.abs(directions - np.stack([row, column], axis=1)).max() < SAME_DIRECTION
        and np.linalg.norm(positions[0] - to_lps[:, 3]) < SAME_PLACE_MM
    )
    if not fits:
        return None
    return {
        "positions_mm": positions.tolist(),
        "row_direction": row.tolist(),
        "column_direction": column.tolist(),
        "pixel_spacing_mm": headers[0][2].tolist(),
    }


def _moves(stack: dict, volume) -> bool:
    """Whether a stack says anything that the volume does not."""
    to_lps = np.diag([-1.0, -1.0, 1.0]) @ ijk_to_ras(volume)[:3]
    steps = np.arange(len(stack["positions_mm"]))[:, np.newaxis] * to_lps[:, 2]
    return bool(np.abs(np.array(stack["positions_mm"]) - (to_lps[:, 3] + steps)).max() > SAME_SLICES_MM)
