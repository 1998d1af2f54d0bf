"""What of a scene is one scan: a volume, or the frames of a CT perfusion series in a sequence or a 4-D volume."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import slicer
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

from StrokeSegPanel.geometry import ijk_to_ras

SHORTEST_SERIES = 8
"""A sequence of fewer volumes is not a CT perfusion series; as in `StrokeSegLib.imaging.frames`."""

LARGEST_SHIFT_MM = 0.01
"""Frames whose voxels lie further apart are not on one grid."""

SLAB_BYTES = 16 * 2**20
"""What is written at a time; at any usual disk speed the window does not feel it."""

FRAME_TIMES_ATTRIBUTE = "MultiVolume.FrameLabels"
FRAME_UNIT_ATTRIBUTE = "MultiVolume.FrameIdentifyingDICOMTagUnits"
"""Attributes in which a 4-D volume of Slicer's MultiVolume modules stores its times."""


class UnusableScanError(Exception):
    """The scan cannot be handed over; the message tells the user what to do."""


@dataclass(frozen=True)
class Series:
    """A CT perfusion series of the scene.

    Args:
        volume: the node that shows it; results lie on its grid and under its transform.
        node: the sequence, or the 4-D volume, which is ``volume`` itself.
        frames: how many.
        times: frame times, as stored in the node; empty if it has none.
        unit: unit of ``times``, as stored in the node.
    """

    volume: object
    node: object
    frames: int
    times: tuple[str, ...]
    unit: str

    @property
    def is_sequence(self) -> bool:
        return self.node is not self.volume


def series_of(node) -> Series | None:
    """The series that a chosen node is or shows; None for a single volume, and for a sequence too short for a series.

    A volume that shows the current item of a sequence stands for the sequence.
    """
    if node is None:
        return None
    sequence, volume = _sequence_and_volume(node)
    if sequence is not None:
        frames = sequence.GetNumberOfDataNodes()
        if frames < SHORTEST_SERIES or volume is None:
            return None
        times = tuple(sequence.GetNthIndexValue(index) for index in range(frames))
        return Series(volume, sequence, frames, times, sequence.GetIndexUnit() or "")
    image = node.GetImageData()
    frames = image.GetNumberOfScalarComponents() if image is not None else 0
    if frames < SHORTEST_SERIES:
        return None
    times = tuple(part.strip() for part in (node.GetAttribute(FRAME_TIMES_ATTRIBUTE) or "").split(",") if part.strip())
    return Series(node, node, frames, times, node.GetAttribute(FRAME_UNIT_ATTRIBUTE) or "")


def shown_volume(node):
    """The volume node on whose grid results of a chosen node lie; None where a sequence is shown by none."""
    return None if node is None else _sequence_and_volume(node)[1]


def voxels_of(volume) -> np.ndarray:
    """``(slice, row, column)``, or ``(slice, row, column, time)`` of a 4-D volume; a view, not a copy.

    Raises:
        UnusableScanError: the volume holds no voxels.
    """
    image = volume.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        raise UnusableScanError(_("“{name}” contains no voxels. Load it again.").format(name=volume.GetName()))
    shape = image.GetDimensions()[::-1]
    components = image.GetNumberOfScalarComponents()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape + ((components,) if components > 1 else ()))


def slabs(voxels: np.ndarray) -> Iterator[np.ndarray]:
    """The slices of an array in turn, as many at a time as `SLAB_BYTES` hold."""
    step = max(1, SLAB_BYTES // voxels[0].nbytes)
    for first in range(0, len(voxels), step):
        yield voxels[first : first + step]


def frames_of(series: Series) -> list[np.ndarray]:
    """The frames of a sequence, each ``(slice, row, column)``, all of one shape and type; views where they can be.

    Raises:
        UnusableScanError: frames of different size or position, or without grey values.
    """
    volumes = [series.node.GetNthDataNode(index) for index in range(series.frames)]
    frames = [voxels_of(volume) for volume in volumes]
    expected = series.volume.GetImageData().GetDimensions()[::-1]
    place = ijk_to_ras(series.volume)
    for number, (volume, frame) in enumerate(zip(volumes, frames, strict=True), start=1):
        if frame.shape != expected:
            raise UnusableScanError(
                _(
                    "Frame {number} of “{name}” has {size} voxels, the others have {expected}. Load the series again."
                ).format(number=number, name=series.node.GetName(), size=_size(frame.shape), expected=_size(expected))
            )
        if np.abs((ijk_to_ras(volume) - place) @ (*expected[::-1], 1)).max() > LARGEST_SHIFT_MM:
            raise UnusableScanError(
                _(
                    "Frame {number} of “{name}” has a different position from the other frames. Load the series again."
                ).format(number=number, name=series.node.GetName())
            )
    common = np.result_type(*{frame.dtype for frame in frames})
    return [frame.astype(common, copy=False) for frame in frames]


def _sequence_and_volume(node) -> tuple[object, object]:
    """The sequence of volumes behind a node, None for a volume of its own, and the volume that shows it."""
    logic = slicer.modules.sequences.logic()
    if node.IsA("vtkMRMLSequenceNode"):
        browser = logic.GetFirstBrowserNodeForSequenceNode(node)
        volume = browser.GetProxyNode(node) if browser is not None else None
        return node, volume if volume is not None and volume.IsA("vtkMRMLScalarVolumeNode") else None
    browser = logic.GetFirstBrowserNodeForProxyNode(node)
    return (browser.GetSequenceNode(node) if browser is not None else None), node


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(str(number) for number in shape)
