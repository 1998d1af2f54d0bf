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

from StrokeSegLib.case import segment_case
from StrokeSegLib.documents.requests import Case
from StrokeSegLib.findings import Findings
from StrokeSegLib.findings.correction import mask

UID = "1.2.826.0.1.3680043.10.77"

NAME, PATIENT_ID = "SECRET^PERSON", "ID-90210"


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """The files that were sent, the node that is done with them, and the archives: the second was down for a while."""
    root = tmp_path_factory.mktemp("node")
    files = study(root / "scan", UID, PatientName=NAME, PatientID=PATIENT_ID)
    up, down = free_port(), free_port()
    with Archive(up) as first, NodeProcess(root, {"first": up, "second": down}) as node:
        assert send(node.port, files) == [0] * len(files)
        wait_for(lambda: any(row["failures"] > 1 for row in node.studies()))
        (row,) = node.studies()
        assert row["state"] == "sending"
        assert "“second”" in row["sentence"]
        assert "cannot be reached" in row["sentence"]
        with Archive(down) as second:
            wait_for(lambda: node.states()["done"])
            yield files, node, first, second


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
    _, node, archive, _ = sent
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
    files, _, archive, _ = sent
    findings = segmented(files[0].parent, tmp_path / "case")
    expected = {name: mask(findings.layers, name) for name in findings.volumes_ml}
    segmentations = archive.by_modality()["SEG"]
    assert len(segmentations) == sum(voxels.any() for voxels in expected.values()) > 0
    for segmentation in segmentations:
        name = segmentation.SegmentSequence[0].SegmentLabel
        np.testing.assert_array_equal(voxels_of(segmentation, files), expected[name])


def test_the_archive_receives_the_bytes_that_are_kept(sent):
    _, node, archive, _ = sent
    (results,) = node.results()
    kept = [file.read_bytes() for file in results.rglob("objects/**/*.dcm")]
    assert len(kept) == len(archive.bytes)
    for content in archive.bytes:
        assert any(file.endswith(content) for file in kept)


def test_an_image_that_is_sent_again_changes_nothing(sent):
    files, node, archive, _ = sent
    before, count = node.studies(), len(archive.received)
    assert send(node.port, files[:2]) == [0, 0]
    assert node.studies() == before
    assert len(archive.received) == count


def test_neither_logs_nor_names_nor_the_queue_say_who_the_patient_is(sent):
    _, node, _, _ = sent
    for line in node.logged():
        assert {"time", "level", "message"} <= set(line)
    said = node.log.read_text() + "".join(str(path) for path in node.storage.rglob("*")) + json.dumps(node.studies())
    for identity in ("SECRET", "PERSON", PATIENT_ID, UID):
        assert identity not in said


def test_a_destination_that_was_down_receives_the_same_once(sent):
    _, _, first, second = sent
    assert sorted(first.bytes) == sorted(second.bytes)
    assert len(first.bytes) == len(set(first.bytes)) > 3


def test_a_late_image_reopens_a_study_that_was_refused_with_a_sentence(sent, tmp_path):
    _, node, archive, _ = sent
    uid = f"{UID}.1"
    files = study(tmp_path, uid)
    send(node.port, files[:1])
    wait_for(lambda: node.states()["failed"])
    (failed,) = (row for row in node.studies() if row["state"] == "failed")
    assert failed["images"] == 1
    assert failed["sentence"].endswith(".")
    send(node.port, files[1:])
    wait_for(lambda: node.states() == {"done": 2})
    (done,) = (row for row in node.studies() if row["study"] == failed["study"])
    assert (done["images"], done["sentence"]) == (len(files), "")
    assert any(made.StudyInstanceUID == uid for made in archive.received)


def test_a_destination_that_refuses_is_told_by_its_status(sent, tmp_path):
    _, node, archive, _ = sent
    archive.status = 0xA700
    send(node.port, study(tmp_path, f"{UID}.2"))
    wait_for(lambda: any("refused with status 0xA700" in row["sentence"] for row in node.studies()))
    archive.status = 0x0000
    wait_for(lambda: node.states() == {"done": 3})
    assert node.end() == 0


def test_each_rule_gives_a_segmentation_and_a_study_that_fulfils_none_says_so(tmp_path):
    rules = (
        '[[rules]]\ndescription = "thin"\nslices = [9, 9]\nmethods = ["ncct-aspects"]\n'
        '[[rules]]\ndescription = "thick"\nmethods = ["ncct-aspects"]\n'
    )
    series = {"SeriesInstanceUID": f"{UID}.8", "FrameOfReferenceUID": f"{UID}.9", "StudyInstanceUID": UID}
    thin = study(tmp_path / "thin", UID, SeriesDescription="Head thin")
    thick = head_series(tmp_path / "thick", SMALL_HEAD, SeriesDescription="Head thick", **series)
    other = study(tmp_path / "other", f"{UID}.3", SeriesDescription="Neck")
    with NodeProcess(tmp_path, tables=rules) as node:
        send(node.port, [*other, *thin, *sorted(thick.iterdir())])
        wait_for(lambda: node.states() == {"done": 2})
        assert [row["sentence"][:37] for row in node.studies()] == ["No series of the study fulfils a rule", ""]
        (results,) = node.results()
        assert len(list(results.glob("*/objects"))) == 2


def test_finished_studies_beyond_the_limits_are_removed_and_unsent_ones_kept(tmp_path):
    """A study is refused at once, and another has results that nobody takes; both are older than the limit."""
    tables = "[limits]\nage_days = 1e-6\n"
    refused, unsent = study(tmp_path / "a", f"{UID}.4")[:1], study(tmp_path / "b", f"{UID}.5")
    with NodeProcess(tmp_path, {"nowhere": free_port()}, tables=tables) as node:
        send(node.port, refused)
        send(node.port, unsent)
        wait_for(lambda: node.states() == {"failed": 1, "sending": 1})
        node.kill()
        node.start()  # It looks for what can be removed at its start.
        wait_for(lambda: node.states() == {"sending": 1})
        wait_for(lambda: len(list((node.storage / "studies").iterdir())) == 1)
        assert len(node.results()) == 1
