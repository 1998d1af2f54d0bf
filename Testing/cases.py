"""Case folders as a run leaves them, of small heads with a drawn lesion, for the tests of what is made of them."""

from collections.abc import Callable
from pathlib import Path

import nrrd
import numpy as np
from scans import centred_geometry, ellipsoid_head, tilted_geometry, write_series

from StrokeSegLib.cases.writing import write
from StrokeSegLib.findings import Findings, MethodRun, Segment, SegmentLayer
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging import Study, read_study

REGULAR = centred_geometry((9, 96, 96), (8.0, 2.0, 2.0))
UNEVEN_TILTED = tilted_geometry(18.0, (4.0, 4.0, 6.0, 8.0, 8.0, 4.0, 6.0, 8.0), (9, 96, 96))

RUN = MethodRun(
    "ncct-core-penumbra",
    "drawn",
    "1.2.0",
    "0" * 64,
    "none",
    "research",
    {"training_data": "only synthetic patients"},
    {},
    {},
    {},
    segments=("core", "penumbra"),
)


def head_series(folder: Path, geometry: SliceGeometry, **attributes) -> Path:
    """A DICOM series of a head, with the attributes that every scanner writes."""
    identity = {
        "StudyInstanceUID": "1.2.826.0.1.3680043.10.1",
        "SeriesInstanceUID": "1.2.826.0.1.3680043.10.1.7",
        "FrameOfReferenceUID": "1.2.826.0.1.3680043.10.1.9",
        "PatientName": "Doe^Jane",
        "PatientID": "H-4711",
        "StudyDate": "20240229",
        "AccessionNumber": "A-12",
        "StudyDescription": "Head of Jane Doe",
    }
    write_series(folder, ellipsoid_head(geometry, noise_hu=3.0), geometry, **(identity | attributes))
    return folder


def left_lesion(shape: tuple[int, int, int]) -> np.ndarray:
    """A core (1) in a penumbra (2), on the patient's left, of a shape without symmetry."""
    labels = np.zeros(shape, np.uint8)
    labels[2:7, 30:56, 56:76] = 2
    labels[3:6, 34:50, 60:72] = 1
    labels[4, 34:38, 60:63] = 2
    return labels


def found(study: Study, labels: np.ndarray | None = None) -> Findings:
    """What a network would have said of the lesion."""
    labels = left_lesion(study.ct.geometry.shape) if labels is None else labels
    layer = SegmentLayer(labels, (Segment("core", 1), Segment("penumbra", 2)))
    return Findings(study, (layer,), (RUN,), "cpu")


def write_case(folder: Path, series: Path, with_scan: bool = True) -> Findings:
    """Segment a series and leave the case folder; returns what was found."""
    findings = found(read_study(series))
    write(findings, folder, with_scan)
    return findings


def correct(case: Path, change: Callable[[np.ndarray], None]) -> None:
    """A reader changes labels ``(k, j, i)`` on the segmentation's grid, in place, and nothing else of the file."""
    labels, header = nrrd.read(str(case / "segmentation.seg.nrrd"), index_order="C")
    labels = labels.copy()
    change(labels)
    nrrd.write(str(case / "corrected.seg.nrrd"), labels, header, index_order="C")


def more_core(labels: np.ndarray) -> None:
    """A block of 36 voxels more, on the lowest plane and right of the middle."""
    labels[0, 40:46, 20:26] = 1
