"""A case folder comes back as what was found, and a correction as what the reader made of it."""

import nrrd
import numpy as np
import pytest
from cases import REGULAR, RUN, UNEVEN_TILTED, correct, head_series, left_lesion, more_core, write_case
from perfused import perfused_study

from StrokeSegLib.cases.reading import read_case
from StrokeSegLib.cases.writing import write
from StrokeSegLib.errors import CaseError
from StrokeSegLib.measures.trial_criteria import ClinicalInputs
from StrokeSegLib.methods import ctp_threshold, run
from StrokeSegLib.models import default_bundle

VOXEL_ML = 2.0 * 2.0 * 8.0 / 1000


@pytest.fixture(params=[REGULAR, UNEVEN_TILTED], ids=["regular", "tilted and uneven"])
def series(request, tmp_path):
    return head_series(tmp_path / "series", request.param)


@pytest.fixture
def regular_case(tmp_path):
    write_case(tmp_path / "case", head_series(tmp_path / "series", REGULAR))
    return tmp_path / "case"


def test_labels_scan_and_volumes_come_back_on_the_acquired_slices(series, tmp_path):
    findings = write_case(tmp_path / "case", series)
    read = read_case(tmp_path / "case")
    np.testing.assert_array_equal(read.layers[0].labels, findings.layers[0].labels)
    np.testing.assert_array_equal(read.study.ct.voxels, findings.study.ct.voxels)
    np.testing.assert_allclose(read.study.ct.geometry.positions_mm, findings.study.ct.geometry.positions_mm, atol=1e-3)
    assert read.volumes_ml == pytest.approx(findings.volumes_ml)
    assert read.runs == (RUN,)
    assert read.automatic is None


def test_the_scan_may_lie_elsewhere(series, tmp_path):
    findings = write_case(tmp_path / "case", series, with_scan=False)
    with pytest.raises(CaseError, match="--source"):
        read_case(tmp_path / "case")
    np.testing.assert_array_equal(read_case(tmp_path / "case", series).study.ct.voxels, findings.study.ct.voxels)


def test_the_saved_scan_holds_voxels_and_their_place_alone(series, tmp_path):
    write_case(tmp_path / "case", series)
    _, header = nrrd.read(str(tmp_path / "case" / "ct.nrrd"))
    place = {"type", "dimension", "space", "sizes", "space directions", "kinds", "encoding", "space origin", "endian"}
    assert set(header) <= place
    text = (tmp_path / "case" / "results.json").read_text(encoding="utf-8")
    assert not any(word in text for word in ("Doe", "H-4711", "1.2.826"))


def test_a_correction_changes_the_volumes_and_keeps_the_automatic_ones(regular_case):
    correct(regular_case, more_core)
    read = read_case(regular_case)
    assert read.edited == ("core",)
    assert read.volumes_ml["core"] - read.automatic.volumes_ml["core"] == pytest.approx(36 * VOXEL_ML)
    assert read.volumes_ml["penumbra"] == read.automatic.volumes_ml["penumbra"]


def test_a_correction_that_changes_nothing_is_known_as_read(regular_case):
    correct(regular_case, lambda labels: None)
    read = read_case(regular_case)
    assert read.edited == ()
    assert read.automatic.volumes_ml == read.volumes_ml


def in_slicer(scene, case):
    """The case's segmentation as a node, and a function that saves it as the correction."""
    from slicer_scene import read_segmentation, write_segmentation

    node = read_segmentation(scene, case / "segmentation.seg.nrrd")
    return node, lambda: write_segmentation(scene, node, case / "corrected.seg.nrrd")


def test_what_slicer_saves_unchanged_is_unchanged(slicer_scene, series, tmp_path):
    findings = write_case(tmp_path / "case", series)
    _, save = in_slicer(slicer_scene, tmp_path / "case")
    save()
    read = read_case(tmp_path / "case")
    assert read.edited == ()
    np.testing.assert_array_equal(read.layers[0].labels, findings.layers[0].labels)


def test_a_file_cropped_to_its_segments_lies_in_the_same_place(slicer_scene, series, tmp_path):
    findings = write_case(tmp_path / "case", series)
    from slicer_scene import read_segmentation

    node = read_segmentation(slicer_scene, tmp_path / "case" / "segmentation.seg.nrrd")
    storage = slicer_scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "case" / "corrected.seg.nrrd"))
    storage.SetCropToMinimumExtent(True)
    assert storage.WriteData(node)
    labels, _ = nrrd.read(str(tmp_path / "case" / "corrected.seg.nrrd"))
    assert labels.size < findings.layers[0].labels.size / 10
    read = read_case(tmp_path / "case")
    assert read.edited == ()
    np.testing.assert_array_equal(read.layers[0].labels, findings.layers[0].labels)


def test_a_renamed_segment_is_known_by_its_identity(slicer_scene, regular_case):
    node, save = in_slicer(slicer_scene, regular_case)
    node.GetSegmentation().GetSegment("core").SetName("dead tissue")
    save()
    assert read_case(regular_case).edited == ()


def test_a_removed_segment_has_no_volume(slicer_scene, regular_case):
    node, save = in_slicer(slicer_scene, regular_case)
    node.GetSegmentation().RemoveSegment("penumbra")
    save()
    read = read_case(regular_case)
    assert read.edited == ("penumbra",)
    assert read.volumes_ml["penumbra"] == 0


def test_an_added_segment_counts_if_its_name_is_known_and_is_told_if_not(slicer_scene, regular_case):
    node, save = in_slicer(slicer_scene, regular_case)
    for name in ("infarct", "Mrs Doe's calcification"):
        added = node.GetSegmentation().AddEmptySegment("", name)
        core = node.GetSegmentation().GetSegment("core")
        node.GetSegmentation().GetSegment(added).DeepCopy(core)
        node.GetSegmentation().GetSegment(added).SetName(name)
    save()
    layers, _ = nrrd.read(str(regular_case / "corrected.seg.nrrd"))
    assert layers.ndim == 4, "Slicer puts overlapping segments on several layers"
    read = read_case(regular_case)
    assert read.edited == ("infarct",)
    assert read.volumes_ml["infarct"] == pytest.approx(read.volumes_ml["core"])
    assert any("1 more segment" in warning for warning in read.warnings)
    assert not any("Doe" in warning for warning in read.warnings)


def test_where_segments_overlap_core_goes_before_penumbra(regular_case):
    write_overlapping(regular_case)
    read = read_case(regular_case)
    np.testing.assert_array_equal(read.layers[0].labels == 1, left_lesion(REGULAR.shape) == 1)
    assert not (read.layers[0].labels == 2).any()


def write_overlapping(case):
    """Penumbra is drawn over the core alone, on a second layer."""
    labels, header = nrrd.read(str(case / "segmentation.seg.nrrd"))
    core = (labels == 1).astype(np.uint8)
    header |= {
        "space directions": np.vstack([np.full((1, 3), np.nan), header["space directions"]]),
        "kinds": ["list", "domain", "domain", "domain"],
        "Segment1_Layer": "1",
        "Segment1_LabelValue": "1",
    }
    nrrd.write(str(case / "corrected.seg.nrrd"), np.stack([core, core]), header)


def test_a_correction_of_another_scan_is_refused(regular_case, tmp_path):
    write_case(tmp_path / "other", head_series(tmp_path / "other series", UNEVEN_TILTED))
    (tmp_path / "other" / "segmentation.seg.nrrd").rename(regular_case / "corrected.seg.nrrd")
    with pytest.raises(CaseError, match="different voxel grids"):
        read_case(regular_case)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("results.json", None, "is not a case folder"),
        ("results.json", "{", "damaged"),
        ("segmentation.seg.nrrd", None, "is missing"),
        ("segmentation.seg.nrrd", "NRRD0004\n", "cannot be read"),
        ("corrected.json", '{"side": "up"}', "damaged"),
    ],
)
def test_a_damaged_folder_is_one_sentence(regular_case, file, content, sentence):
    (regular_case / file).unlink(missing_ok=True)
    if content is not None:
        (regular_case / file).write_text(content)
    with pytest.raises(CaseError, match=sentence):
        read_case(regular_case)


def test_a_corrected_core_moves_mismatch_and_criteria(tmp_path):
    study = perfused_study((6, 72, 80))
    bundle = default_bundle(ctp_threshold.ID)
    findings = run(study, ctp_threshold.ID, bundle, clinical=ClinicalInputs(hours=7))
    write(findings, tmp_path, True)
    correct(tmp_path, lambda layers: np.place(layers[..., 0], layers[..., 0] == 1, 2))
    read = read_case(tmp_path)
    assert findings.mismatch.core_ml > 0
    assert (read.mismatch.core_ml, read.mismatch.ratio) == (0, None)
    assert read.mismatch.hypoperfused_ml == pytest.approx(findings.mismatch.hypoperfused_ml)
    assert read.mismatch.severe_ml == pytest.approx(findings.mismatch.severe_ml, abs=1e-4)
    assert read.mismatch.hypoperfusion_intensity_ratio == pytest.approx(
        findings.mismatch.hypoperfusion_intensity_ratio, abs=1e-5
    )
    assert read.automatic.mismatch.core_ml == pytest.approx(findings.mismatch.core_ml, abs=1e-3)
    assert read.automatic.criteria == findings.criteria
