"""A scan is sent to a node, and its results arrive in the archive."""

import json
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from cases import head_series
from nodes import FAST_MODEL, SMALL_HEAD, Archive, NodeProcess, free_port, send, study, wait_for
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from StrokeSegLib.case import Case, segment_case
from StrokeSegLib.findings import Findings
from StrokeSegLib.findings.correction import mask

UID = "1.2.826.0.1.3680043.10.77"

NAME, PATIENT_ID = "SECRET^PERSON", "ID-90210"


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """The files that were sent, the node that is done with them, and the archive."""
    root = tmp_path_factory.mktemp("node")
    files, port = study(root / "scan", UID, PatientName=NAME, PatientID=PATIENT_ID), free_port()
    with Archive(port) as archive, NodeProcess(root, {"archive": port}) as node:
        assert send(node.port, files) == [0] * len(files)
        wait_for(lambda: node.states()["done"] or node.states()["failed"])
        yield files, node, archive


def segmented(folder: Path, output: Path) -> Findings:
    """What `segment` finds in the same files."""
    case = Case(input=folder, output=output, models=(FAST_MODEL,), device="cpu")
    return segment_case(case, lambda fraction, stage: None)


def voxels_of(segmentation: Dataset, files: list[Path]) -> np.ndarray:
    """A SEG by highdicom ``(slice, row, column)``, from foot to head."""
    slices = sorted((hd.imread(file) for file in files), key=lambda one: one.ImagePositionPatient[2])
    read = hd.seg.Segmentation.from_dataset(segmentation).get_pixels_by_source_instance(
        [one.SOPInstanceUID for one in slices],
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    return read[..., 0] > 0


def test_seg_sr_pdf_and_pictures_arrive_once_in_the_study_of_the_scan(sent):
    _, node, archive = sent
    (row,) = node.studies()
    assert (row["state"], row["sentence"], row["images"]) == ("done", "", SMALL_HEAD.shape[0])
    received = archive.by_modality()
    assert {"SEG", "SR", "DOC", "OT"} == set(received)
    assert len(received["SR"]) == len(received["DOC"]) == 1
    assert received["DOC"][0].SOPClassUID == EncapsulatedPDFStorage
    assert received["DOC"][0].EncapsulatedDocument.startswith(b"%PDF")
    assert {made.StudyInstanceUID for made in archive.received} == {UID}
    assert {made.PatientID for made in archive.received} == {PATIENT_ID}
    uids = [made.SOPInstanceUID for made in archive.received]
    assert len(set(uids)) == len(uids)


def test_each_seg_has_the_voxels_that_segment_gives(sent, tmp_path):
    files, _, archive = sent
    findings = segmented(files[0].parent, tmp_path / "case")
    expected = {name: mask(findings.layers, name) for name in findings.volumes_ml}
    segmentations = archive.by_modality()["SEG"]
    assert len(segmentations) == sum(voxels.any() for voxels in expected.values()) > 0
    for segmentation in segmentations:
        name = segmentation.SegmentSequence[0].SegmentLabel
        np.testing.assert_array_equal(voxels_of(segmentation, files), expected[name])


def test_the_archive_receives_the_bytes_that_are_kept(sent):
    _, node, archive = sent
    (results,) = node.results()
    kept = [file.read_bytes() for file in results.rglob("objects/**/*.dcm")]
    assert len(kept) == len(archive.bytes)
    for content in archive.bytes:
        assert any(file.endswith(content) for file in kept)


def test_an_image_that_is_sent_again_changes_nothing(sent):
    files, node, archive = sent
    before, count = node.studies(), len(archive.received)
    assert send(node.port, files[:2]) == [0, 0]
    assert node.studies() == before
    assert len(archive.received) == count


def test_neither_logs_nor_names_nor_the_queue_say_who_the_patient_is(sent):
    _, node, _ = sent
    for line in node.logged():
        assert {"time", "level", "message"} <= set(line)
    said = node.log.read_text() + "".join(str(path) for path in node.storage.rglob("*")) + json.dumps(node.studies())
    for identity in ("SECRET", "PERSON", PATIENT_ID, UID):
        assert identity not in said


def test_a_late_image_reopens_the_study_and_a_study_without_head_is_recorded_with_the_reason(tmp_path):
    files = study(tmp_path / "scan", UID)
    with NodeProcess(tmp_path) as node:
        send(node.port, files[:1])
        wait_for(lambda: node.states()["failed"])
        (row,) = node.studies()
        assert row["images"] == 1
        assert row["sentence"]
        send(node.port, files[1:])
        wait_for(lambda: node.states()["done"])
        (row,) = node.studies()
        assert (row["images"], row["sentence"]) == (len(files), "")
        assert node.end() == 0


def test_a_study_that_fulfils_no_rule_is_done_without_results_and_says_why(tmp_path):
    port = free_port()
    rule = '[[rules]]\ndescription = "perfusion"\nmethods = ["ctp-threshold"]\n'
    with Archive(port) as archive, NodeProcess(tmp_path, {"archive": port}, tables=rule) as node:
        send(node.port, study(tmp_path / "scan", UID))
        wait_for(lambda: node.states()["done"])
        assert "No series of the study fulfils a rule" in node.studies()[0]["sentence"]
        assert node.results() == archive.received == []


def test_results_wait_for_a_destination_that_is_down_and_go_to_each_once(tmp_path):
    up, down = free_port(), free_port()
    with Archive(up) as first, NodeProcess(tmp_path, {"first": up, "second": down}) as node:
        send(node.port, study(tmp_path / "scan", UID))
        wait_for(lambda: any(row["state"] == "sending" and row["failures"] > 1 for row in node.studies()))
        (row,) = node.studies()
        assert "“second”" in row["sentence"]
        assert "cannot be reached" in row["sentence"]
        with Archive(down) as second:
            wait_for(lambda: node.states()["done"])
        assert sorted(first.bytes) == sorted(second.bytes)
        assert len(first.bytes) == len(set(first.bytes)) > 3
        assert node.studies()[0]["sentence"] == ""


def test_a_destination_that_refuses_is_told_by_its_status(tmp_path):
    port = free_port()
    with Archive(port, status=0xA700), NodeProcess(tmp_path, {"archive": port}) as node:
        send(node.port, study(tmp_path / "scan", UID))
        wait_for(lambda: any(row["failures"] for row in node.studies()))
        assert "refused with status 0xA700" in node.studies()[0]["sentence"]


def test_two_rules_give_two_segmentations_of_one_study(tmp_path):
    rules = (
        '[[rules]]\ndescription = "thin"\nslices = [9, 9]\nmethods = ["ncct-aspects"]\n'
        '[[rules]]\ndescription = "thick"\nmethods = ["ncct-aspects"]\n'
    )
    thin = study(tmp_path / "thin", UID, SeriesDescription="Head thin")
    thick = head_series(
        tmp_path / "thick",
        SMALL_HEAD,
        StudyInstanceUID=UID,
        SeriesInstanceUID=f"{UID}.8",
        FrameOfReferenceUID=f"{UID}.9",
        SeriesDescription="Head thick",
    )
    with NodeProcess(tmp_path, tables=rules) as node:
        send(node.port, [*thin, *sorted(thick.iterdir())])
        wait_for(lambda: node.states()["done"])
        (results,) = node.results()
        assert len(list(results.glob("*/objects"))) == 2
