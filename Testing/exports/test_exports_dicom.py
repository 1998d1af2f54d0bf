"""DICOM SEG and SR say of a case what was found, on the slices of the series that was read."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import nrrd
import numpy as np
import pydicom
import pytest
from cases import REGULAR, UNEVEN_TILTED, correct, found, head_series, more_core, write_case
from pydicom.uid import EnhancedCTImageStorage
from scans import SHARED_DATA, ct_slice, ellipsoid_head

from StrokeSegLib.cases.writing import write
from StrokeSegLib.documents.requests import Export
from StrokeSegLib.errors import CaseError
from StrokeSegLib.exports.export import export
from StrokeSegLib.imaging import read_study
from StrokeSegLib.phantom import write_phantom

GEOMETRIES = {"regular": REGULAR, "tilted and uneven": UNEVEN_TILTED}


def silent(fraction: float, stage: str) -> None:
    """No progress."""


def exported(case: Path, source: Path, output: Path, **options) -> Path:
    """The folder of the DICOM objects of a case."""
    return export(Export(case, "dicom", output, "one", source, **options), silent).files[0].parent


def sources_by_uid(folder: Path) -> dict[str, pydicom.Dataset]:
    headers = [pydicom.dcmread(path) for path in folder.rglob("*.dcm")]
    return {header.SOPInstanceUID: header for header in headers if "ImagePositionPatient" in header}


def marked_points(frames: np.ndarray, positions, orientation, spacing_mm) -> np.ndarray:
    """LPS positions of the marked pixels, from DICOM's own attributes (PS3.3 C.7.6.2.1.1)."""
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    points = []
    for frame, position in zip(frames, positions, strict=True):
        down, along = np.nonzero(frame)
        points.append(
            np.array(position, float) + np.outer(along * spacing_mm[1], row) + np.outer(down * spacing_mm[0], column)
        )
    points = np.concatenate(points)
    return points[np.lexsort(points.round(2).T)]


def points_of(path: Path) -> np.ndarray:
    """Of a SEG, by pydicom alone."""
    segmentation = pydicom.dcmread(path)
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    frames = segmentation.PerFrameFunctionalGroupsSequence
    pixels = segmentation.pixel_array.reshape(len(frames), segmentation.Rows, segmentation.Columns)
    positions = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in frames]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    return marked_points(pixels, positions, orientation, shared.PixelMeasuresSequence[0].PixelSpacing)


def expected_points(findings, label: int) -> np.ndarray:
    points = findings.study.ct.geometry.to_patient(np.argwhere(findings.layers[0].labels == label))
    return points[np.lexsort(points.round(2).T)]


@pytest.fixture(scope="module", params=GEOMETRIES, ids=GEOMETRIES)
def written(request, tmp_path_factory):
    """A series, what was found on it, and the folder of its DICOM objects."""
    root = tmp_path_factory.mktemp("dicom")
    series = head_series(root / "series", GEOMETRIES[request.param])
    findings = write_case(root / "case", series)
    return series, findings, exported(root / "case", series, root / "out")


def test_a_segment_lies_where_its_voxels_lie_in_the_patient(written):
    _, findings, folder = written
    for name, label in (("core", 1), ("penumbra", 2)):
        np.testing.assert_allclose(points_of(folder / f"seg-{name}.dcm"), expected_points(findings, label), atol=0.01)


def test_each_frame_refers_to_the_acquired_slice_that_lies_there(written):
    series, _, folder = written
    sources = sources_by_uid(series)
    segmentation = pydicom.dcmread(folder / "seg-core.dcm")
    assert segmentation.FrameOfReferenceUID == next(iter(sources.values())).FrameOfReferenceUID
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
        source = sources[reference.ReferencedSOPInstanceUID]
        assert frame.PlanePositionSequence[0].ImagePositionPatient == source.ImagePositionPatient


def test_highdicom_gives_the_mask_back_by_source_image(written):
    series, findings, folder = written
    segmentation = hd.seg.segread(folder / "seg-core.dcm")
    sources = sorted(sources_by_uid(series).values(), key=lambda one: one.ImagePositionPatient[2])
    uids = [source.SOPInstanceUID for source in sources]
    read = segmentation.get_pixels_by_source_instance(
        uids, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(read[..., 0], findings.layers[0].labels == 1)


def test_slicer_reads_the_same_pixels(slicer_scene, written):
    import slicer

    _, findings, folder = written
    node = slicer_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    storage = slicer_scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(folder / "seg-core.dcm"))
    storage.SetSingleFile(1)
    assert storage.ReadData(node)
    core = findings.layers[0].labels == 1
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node) > 0, core[core.any(axis=(1, 2))])


def test_a_segment_tells_what_it_is_and_who_made_it(written):
    _, _, folder = written
    segmentation = pydicom.dcmread(folder / "seg-core.dcm")
    assert segmentation.SegmentationType == "BINARY"
    assert segmentation.Modality == "SEG"
    (segment,) = segmentation.SegmentSequence
    assert (segment.SegmentLabel, segment.SegmentAlgorithmType) == ("core", "AUTOMATIC")
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodingSchemeDesignator, kind.CodeValue) == ("99STROKESEG", "core")
    assert segment.AnatomicRegionSequence[0].CodeValue == "12738006"
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("drawn", "1.2.0")


def test_the_objects_belong_to_the_sources_patient_and_study(written):
    series, _, folder = written
    source = next(iter(sources_by_uid(series).values()))
    for file in folder.iterdir():
        made = pydicom.dcmread(file)
        for name in ("PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber", "StudyDate"):
            assert made[name].value == source[name].value
        assert made.SeriesInstanceUID != source.SeriesInstanceUID


def content(item, code: str) -> list:
    """Items below an SR item whose concept has this code value."""
    found = [one for one in item.get("ContentSequence", []) if one.ConceptNameCodeSequence[0].CodeValue == code]
    return found or [deep for one in item.get("ContentSequence", []) for deep in content(one, code)]


def test_the_structured_report_tells_each_segment_item_by_item(written):
    _, findings, folder = written
    report = pydicom.dcmread(folder / "report.dcm")
    template = report.ContentTemplateSequence[0]
    assert (template.MappingResource, template.TemplateIdentifier) == ("DCMR", "1500")
    groups = content(report, "125007")
    assert len(groups) == 2
    for group, name in zip(groups, ("core", "penumbra"), strict=True):
        segmentation = pydicom.dcmread(folder / f"seg-{name}.dcm")
        (identifier,), (uid,) = content(group, "112039"), content(group, "112040")
        assert identifier.TextValue == name
        assert segmentation.SegmentSequence[0].TrackingUID == uid.UID
        assert content(group, "121071")[0].ConceptCodeSequence[0].CodeValue == name
        (site,) = content(group, "363698007")
        assert site.ConceptCodeSequence[0].CodeValue == "12738006"
        assert site.ContentSequence[0].ConceptCodeSequence[0].CodeValue == "7771000"
        (referenced,) = content(group, "121191")
        assert referenced.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
        assert referenced.ReferencedSOPSequence[0].ReferencedSegmentNumber == 1
        assert content(group, "111001")[0].TextValue == "drawn"
        assert content(group, "111003")[0].TextValue == "1.2.0"
        (volume,) = content(group, "118565006")
        measured = volume.MeasuredValueSequence[0]
        assert float(measured.NumericValue) == pytest.approx(findings.volumes_ml[name], abs=1e-3)
        assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "ml"


def test_what_a_reader_changed_is_semiautomatic_and_the_rest_stays_automatic(tmp_path):
    series = head_series(tmp_path / "series", REGULAR)
    write_case(tmp_path / "case", series)
    correct(tmp_path / "case", more_core)
    folder = exported(tmp_path / "case", series, tmp_path / "out")
    types = {
        name: pydicom.dcmread(folder / f"seg-{name}.dcm").SegmentSequence[0].SegmentAlgorithmType
        for name in ("core", "penumbra")
    }
    assert types == {"core": "SEMIAUTOMATIC", "penumbra": "AUTOMATIC"}
    sources = {content(group, "112039")[0].TextValue: content(group, "source") for group in groups_of(folder)}
    assert {name: items[0].ConceptCodeSequence[0].CodeValue for name, items in sources.items()} == {
        "core": "edited",
        "penumbra": "automatic",
    }


def groups_of(folder: Path) -> list:
    return content(pydicom.dcmread(folder / "report.dcm"), "125007")


def test_a_segment_without_voxels_is_reported_with_no_volume_and_no_object(tmp_path):
    series = head_series(tmp_path / "series", REGULAR)
    write_case(tmp_path / "case", series)
    correct(tmp_path / "case", lambda labels: np.place(labels, labels == 1, 0))
    folder = exported(tmp_path / "case", series, tmp_path / "out")
    assert {file.name for file in folder.iterdir()} == {"seg-penumbra.dcm", "report.dcm"}
    core = next(group for group in groups_of(folder) if content(group, "112039")[0].TextValue == "core")
    assert float(content(core, "118565006")[0].MeasuredValueSequence[0].NumericValue) == 0


def test_the_patient_can_be_left_out(tmp_path):
    series = head_series(tmp_path / "series", REGULAR)
    write_case(tmp_path / "case", series)
    folder = exported(tmp_path / "case", series, tmp_path / "out", empty_patient=True)
    for file in folder.iterdir():
        made = pydicom.dcmread(file)
        assert (str(made.PatientName), made.PatientID, made.StudyDate, made.AccessionNumber) == ("", "", "", "")
        text = file.read_bytes()
        assert not any(word in text for word in (b"Doe", b"H-4711", b"20240229", b"A-12"))


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda root: head_series(root / "other", UNEVEN_TILTED), "at other positions in the patient"),
        (lambda root: fewer_slices(root), "it has 9 slices of 96×96 pixels, there are 8 of 96×96"),
        (lambda root: root / "case" / "ct.nrrd", "is not a DICOM series"),
        (lambda root: root / "nowhere", "does not exist"),
        (lambda root: root / "case", "cannot be the scan"),
    ],
    ids=["other place", "fewer slices", "a file", "missing", "no DICOM"],
)
def test_a_source_that_is_not_the_cases_scan_is_refused_in_a_sentence(tmp_path, break_it, sentence):
    write_case(tmp_path / "case", head_series(tmp_path / "series", REGULAR))
    with pytest.raises(CaseError, match=sentence):
        exported(tmp_path / "case", break_it(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def fewer_slices(root: Path) -> Path:
    folder = head_series(root / "fewer", REGULAR)
    next(folder.iterdir()).unlink()
    return folder


def test_without_a_source_dicom_says_what_it_needs(tmp_path):
    with pytest.raises(CaseError, match="--source"):
        Export(tmp_path, "dicom", tmp_path / "out")


def test_the_series_is_found_among_others_by_its_slices(tmp_path):
    everything = tmp_path / "export"
    series = head_series(everything / "ours", REGULAR)
    head_series(everything / "tilted", UNEVEN_TILTED, SeriesInstanceUID="1.2.826.0.1.3680043.10.1.8")
    findings = write_case(tmp_path / "case", series)
    folder = exported(tmp_path / "case", everything, tmp_path / "out")
    referenced = pydicom.dcmread(folder / "seg-core.dcm").ReferencedSeriesSequence[0].SeriesInstanceUID
    assert referenced == "1.2.826.0.1.3680043.10.1.7"
    assert len(points_of(folder / "seg-core.dcm")) == np.count_nonzero(findings.layers[0].labels == 1)


def test_a_tilted_phantom_keeps_its_frames_on_its_slices(tmp_path):
    write_phantom(tmp_path / "p", 3, spacing_mm=(3.6, 3.6, 10.0), tilt_deg=17.0, lesion="m1")
    findings = write_case_of_size(tmp_path, tmp_path / "p" / "image")
    folder = exported(tmp_path / "case", tmp_path / "p" / "image", tmp_path / "out")
    np.testing.assert_allclose(points_of(folder / "seg-core.dcm"), expected_points(findings, 1), atol=0.01)


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the real scans are not beside this checkout")
def test_a_real_tilted_scan_with_uneven_gaps_keeps_its_frames_on_its_slices(tmp_path):
    source = SHARED_DATA / "ct_head_ge_tilt"
    findings = write_case_of_size(tmp_path, source)
    folder = exported(tmp_path / "case", source, tmp_path / "out")
    np.testing.assert_allclose(points_of(folder / "seg-core.dcm"), expected_points(findings, 1), atol=0.01)
    sources = sources_by_uid(source)
    for frame in pydicom.dcmread(folder / "seg-core.dcm").PerFrameFunctionalGroupsSequence:
        reference = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert frame.PlanePositionSequence[0].ImagePositionPatient == sources[reference].ImagePositionPatient


def write_case_of_size(root: Path, source: Path):
    """A case with a block of core off the middle, whatever the size of the scan."""
    study = read_study(source)
    slices, rows, columns = study.ct.geometry.shape
    labels = np.zeros((slices, rows, columns), np.uint8)
    labels[3:7, rows // 3 : rows // 2, columns // 2 : columns // 2 + columns // 6] = 2
    labels[4:6, rows // 3 : rows // 2 - 2, columns // 2 : columns // 2 + columns // 8] = 1
    findings = found(study, labels)
    write(findings, root / "case", True)
    return findings


def test_dcmqi_reads_the_segment_of_a_regular_scan_and_the_report(tmp_path):
    pytest.importorskip("dcmqi", reason="dcmqi is not installed (it has wheels for few platforms)")
    series = head_series(tmp_path / "series", REGULAR)
    findings = write_case(tmp_path / "case", series)
    folder = exported(tmp_path / "case", series, tmp_path / "out")
    run_dcmqi("segimage2itkimage", "--inputDICOM", folder / "seg-core.dcm", "--outputDirectory", tmp_path, "-t", "nrrd")
    labels, _ = nrrd.read(str(next(tmp_path.glob("*.nrrd"))), index_order="C")
    core = findings.layers[0].labels == 1
    np.testing.assert_array_equal(labels[labels.any(axis=(1, 2))] > 0, core[core.any(axis=(1, 2))])
    run_dcmqi("tid1500reader", "--inputDICOM", folder / "report.dcm", "--outputMetadata", tmp_path / "sr.json")
    measurements = json.loads((tmp_path / "sr.json").read_text())["Measurements"]
    volumes = {one["TrackingIdentifier"]: float(one["measurementItems"][0]["value"]) for one in measurements}
    assert volumes == pytest.approx(findings.volumes_ml, abs=1e-3)


def run_dcmqi(tool: str, *arguments) -> None:
    beside = Path(sys.executable).parent / tool
    program = beside if beside.exists() else shutil.which(tool)
    ran = subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def enhanced_file(path: Path, order: list[int]) -> Path:
    """The regular head in one enhanced multi-frame file, its frames in this order."""
    hu = ellipsoid_head(REGULAR, noise_hu=3.0)
    identity = {"StudyInstanceUID": "1.2.3.4", "SeriesInstanceUID": "1.2.3.5", "FrameOfReferenceUID": "1.2.3.6"}
    image = ct_slice(hu[0], (0, 0, 0), SOPClassUID=EnhancedCTImageStorage, **identity)
    image.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(image, name)
    image.NumberOfFrames = len(order)
    image.PixelData = (hu[order].astype(np.int32) + 1024).astype(np.uint16).tobytes()
    shared = pydicom.Dataset()
    shared.PixelMeasuresSequence = [item(PixelSpacing=[2.0, 2.0], SliceThickness=8.0)]
    shared.PlaneOrientationSequence = [item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]
    shared.PixelValueTransformationSequence = [item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")]
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(ImagePositionPatient=list(REGULAR.positions_mm[index]))]) for index in order
    ]
    pydicom.dcmwrite(path, image)
    return path


def item(**attributes) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def test_a_multi_frame_source_is_referred_to_frame_by_frame(tmp_path):
    order = [3, 0, 5, 1, 8, 4, 2, 7, 6]
    source = enhanced_file(tmp_path / "enhanced.dcm", order)
    findings = write_case(tmp_path / "case", source)
    folder = exported(tmp_path / "case", source, tmp_path / "out")
    np.testing.assert_allclose(points_of(folder / "seg-core.dcm"), expected_points(findings, 1), atol=0.01)
    for frame in pydicom.dcmread(folder / "seg-core.dcm").PerFrameFunctionalGroupsSequence:
        number = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(np.array(position, float), REGULAR.positions_mm[order[number - 1]])


def test_a_perfusion_series_is_referred_to_by_one_image_a_slice(tmp_path):
    write_phantom(tmp_path / "p", 3, kind="ctp", spacing_mm=(3.6, 3.6, 10.0), lesion="m1")
    findings = write_case_of_size(tmp_path, tmp_path / "p" / "image")
    folder = exported(tmp_path / "case", tmp_path / "p" / "image", tmp_path / "out")
    np.testing.assert_allclose(points_of(folder / "seg-core.dcm"), expected_points(findings, 1), atol=0.01)
    slices = findings.study.ct.geometry.shape[0]
    segmentation = pydicom.dcmread(folder / "seg-core.dcm")
    assert len(segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence) <= slices
