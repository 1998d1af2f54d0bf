import numpy as np
import pytest
from scans import centred_geometry, tilted_geometry

from StrokeSegLib.findings import Findings, Segment, SegmentLayer
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study
from StrokeSegLib.measures.volumes import volumes_ml


def test_a_label_in_unevenly_spaced_slices_counts_each_slice_with_its_own_extent():
    geometry = tilted_geometry(tilt_deg=18.5, gaps_mm=(4.0, 4.0, 1.0, 7.0), shape=(5, 64, 64))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[:, :10, :10] = 1
    labels[3, 20:30, 20:30] = 2
    # 100 pixels of 4 mm²; extents 4, 4, 2.5, 4 and 7 mm.
    volumes = volumes_ml(labels, geometry)
    assert volumes[1] == pytest.approx(0.4 * (4 + 4 + 2.5 + 4 + 7))
    assert volumes[2] == pytest.approx(0.4 * 4)


def test_findings_name_the_volume_of_every_segment_the_empty_ones_too():
    geometry = centred_geometry(shape=(2, 64, 64), spacing_mm=(5.0, 1.0, 1.0))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[0, :10, :20] = 2
    layer = SegmentLayer(labels, (Segment("core", 1), Segment("penumbra", 2)))
    study = Study(ct=Volume(np.zeros(geometry.shape, np.int16), geometry))
    findings = Findings(study=study, layers=(layer,), runs=(), device="cpu")
    assert findings.volumes_ml == pytest.approx({"core": 0.0, "penumbra": 1.0})
