"""The written segmentation lies in Slicer where it lies on the patient."""

import numpy as np
import pytest
import slicerio

from StrokeSegLib.cases.writing import write
from StrokeSegLib.findings import Findings, MethodRun, Segment, SegmentLayer
from StrokeSegLib.geometry.regular_grid import RegularGrid
from StrokeSegLib.geometry.volume import SliceStack, axial_stack, axial_volume
from StrokeSegLib.imaging import Study
from StrokeSegLib.vocabulary.terminology import TERMS

OBLIQUE = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
FLIPPED = np.diag([-1.0, 1.0, -1.0])
SAGITTAL = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def regular_study(direction: np.ndarray) -> Study:
    stored = np.full((9, 70, 66), 35, np.int16)
    ct, axes = axial_volume(stored, (0.5, 0.75, 5.0), np.array([-20.0, 30.0, 700.0]), direction)
    return Study(ct=ct, stored=axes)


def tilted_study() -> Study:
    """Slices 5 mm apart along the table, the gantry tilted by 20°."""
    angle = np.deg2rad(20)
    positions = np.array([[-20.0, 30.0, 700.0 + 5 * k] for k in range(9)])
    column = np.array([0.0, np.cos(angle), np.sin(angle)])
    voxels = np.full((9, 70, 66), 35, np.int16)
    ct, axes = axial_stack(voxels, SliceStack(positions, np.array([1.0, 0, 0]), column, (0.5, 0.5)), 5.0)
    return Study(ct=ct, stored=axes)


def found_in(study: Study) -> Findings:
    """A core of an odd shape within a penumbra."""
    labels = np.zeros(study.ct.voxels.shape, np.uint8)
    slices, rows, columns = labels.shape
    labels[2 : slices - 2, rows // 4 : rows // 2, columns // 5 : columns // 2] = 2
    labels[3 : slices - 3, rows // 4 + 1 : rows // 3, columns // 5 : columns // 3] = 1
    run = MethodRun("ncct-core-penumbra", "a", "1", "0" * 64, "none", "research", {"training_data": "none"}, {}, {}, {})
    layer = SegmentLayer(labels, (Segment("core", 1), Segment("penumbra", 2)))
    return Findings(study, (layer,), (run,), "cpu")


def marked_points(mask: np.ndarray, geometry) -> np.ndarray:
    points = geometry.to_patient(np.argwhere(mask))
    return points[np.lexsort(points.round(2).T)]


def points_in_slicer(node, segment_id: str) -> np.ndarray:
    """LPS positions of the segment's voxels as Slicer sees them."""
    import slicer
    from vtk.util.numpy_support import vtk_to_numpy

    image = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(segment_id, image)
    i0, i1, j0, j1, k0, k1 = image.GetExtent()
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
    import vtk

    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    to_ras = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
    kji = np.argwhere(voxels) + np.array([k0, j0, i0])
    points = (kji[:, ::-1] @ to_ras[:3, :3].T + to_ras[:3, 3]) * (-1, -1, 1)
    return points[np.lexsort(points.round(2).T)]


@pytest.mark.parametrize(
    "study",
    [regular_study(OBLIQUE), regular_study(FLIPPED), regular_study(SAGITTAL), tilted_study()],
    ids=["oblique", "flipped", "sagittal", "tilted"],
)
def test_slicer_shows_each_voxel_at_its_place_on_the_patient(slicer_scene, study, tmp_path):
    from slicer_scene import read_segmentation, write_segmentation

    findings = found_in(study)
    write(findings, tmp_path)
    node = read_segmentation(slicer_scene, tmp_path / "segmentation.seg.nrrd")
    write_segmentation(slicer_scene, node, tmp_path / "again.seg.nrrd")
    again = read_segmentation(slicer_scene, tmp_path / "again.seg.nrrd")

    grid = RegularGrid.covering(study.ct.geometry)
    labels = grid.from_slices(findings.layers[0].labels)
    for segment in findings.layers[0].segments:
        expected = marked_points(labels == segment.label, grid.geometry)
        for read in (node, again):
            np.testing.assert_allclose(points_in_slicer(read, segment.name), expected, atol=0.01)


def test_slicer_reads_names_colours_and_codes(slicer_scene, tmp_path):
    from slicer_scene import read_segmentation

    write(found_in(regular_study(OBLIQUE)), tmp_path)
    node = read_segmentation(slicer_scene, tmp_path / "segmentation.seg.nrrd")
    described = slicerio.read_segmentation(str(tmp_path / "segmentation.seg.nrrd"), skip_voxels=True)["segments"]
    for name, seen in zip(("core", "penumbra"), described, strict=True):
        segment = node.GetSegmentation().GetSegment(name)
        assert segment.GetName() == seen["name"] == name
        np.testing.assert_allclose(segment.GetColor(), np.array(TERMS[name].colour) / 255, atol=1e-5)
        assert seen["terminology"]["type"][:2] == [TERMS[name].kind.scheme, TERMS[name].kind.value]


@pytest.mark.parametrize("study", [regular_study(OBLIQUE), tilted_study()], ids=["oblique", "tilted"])
def test_a_saved_scene_comes_back_with_the_same_voxels(slicer_scene, study, tmp_path):
    from slicer_scene import new_scene, read_segmentation

    write(found_in(study), tmp_path)
    node = read_segmentation(slicer_scene, tmp_path / "segmentation.seg.nrrd")
    node.SetName("stroke")
    node.SetAndObserveStorageNodeID(slicer_scene.GetFirstNodeByClass("vtkMRMLSegmentationStorageNode").GetID())
    before = {name: points_in_slicer(node, name) for name in ("core", "penumbra")}
    assert slicer_scene.Commit(str(tmp_path / "scene.mrml"))

    reopened = new_scene()
    reopened.SetURL(str(tmp_path / "scene.mrml"))
    reopened.Connect()
    again = reopened.GetFirstNodeByName("stroke")
    for name, points in before.items():
        assert len(points) > 0
        np.testing.assert_allclose(points_in_slicer(again, name), points, atol=0.01)
