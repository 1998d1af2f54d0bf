"""A node accepts whole CT images from its peers, and nothing else."""

import io
import socket
from contextlib import ExitStack

import numpy as np
import pydicom
import pytest
from nodes import ARCHIVE, CT_CONTEXTS, SCANNER, NodeProcess, associated, send, study, wait_for
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless, MRImageStorage, RLELossless
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

UID = "1.2.826.0.1.3680043.10.78"

CANNOT_UNDERSTAND, NOT_OF_CLASS, OUT_OF_RESOURCES = 0xC000, 0xA900, 0xA700


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return study(tmp_path_factory.mktemp("scan"), UID)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A node that receives and never finds a study complete."""
    top = "quiet_s = 1000"
    listen = "largest_associations = 3\nlargest_data_set_mb = 1"
    with NodeProcess(tmp_path_factory.mktemp("node"), top=top, listen=listen) as started:
        yield started


def test_a_peer_is_answered(node):
    with associated(node.port) as association:
        assert association.send_c_echo().Status == 0


@pytest.mark.parametrize(("calling", "called"), [(SCANNER, ARCHIVE), ("STRANGER", "STROKESEG")])
def test_a_wrong_title_is_rejected(node, calling, called):
    with associated(node.port, calling, called) as association:
        assert association.is_rejected
    wait_for(lambda: calling in node.logged()[-1]["message"])


def test_a_peer_at_another_address_is_rejected(tmp_path):
    with NodeProcess(tmp_path, peer_address="10.1.0.0/16") as node:
        with associated(node.port) as association:
            assert association.is_rejected
        assert "not an allowed peer" in node.logged()[-1]["message"]


def test_images_that_are_not_ct_are_not_accepted(node):
    contexts = [(MRImageStorage, ExplicitVRLittleEndian), *CT_CONTEXTS]
    with associated(node.port, contexts=contexts) as association:
        assert [context.abstract_syntax for context in association.rejected_contexts] == [MRImageStorage]


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_images_are_accepted_unless_truncated(node, files, syntax):
    image = pydicom.dcmread(files[0])
    image.compress(syntax)
    image.StudyInstanceUID, image.SOPInstanceUID = f"{UID}.5", f"{syntax}.5"
    with associated(node.port, contexts=[(CTImageStorage, syntax)]) as association:
        assert association.send_c_store(image).Status == 0
        whole = image.PixelData
        image.SOPInstanceUID += ".1"
        image.PixelData = whole[: len(whole) // 4 * 2]
        assert association.send_c_store(image).Status == CANNOT_UNDERSTAND


def changed(file, change):
    """An image that a broken sender made."""
    image = pydicom.dcmread(file)
    image.StudyInstanceUID, image.SOPInstanceUID = f"{UID}.6", f"{UID}.6.1"
    change(image)
    return image


def cut(image):
    image.PixelData = image.PixelData[:-200]


def without_size(image):
    del image.Rows


def without_study(image):
    image.StudyInstanceUID = ""


def without_pixels(image):
    del image.PixelData


def too_large(image):
    image.Rows = image.Columns = 800
    image.PixelData = bytes(2 * 800 * 800)


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        (cut, CANNOT_UNDERSTAND, "truncated"),
        (without_pixels, CANNOT_UNDERSTAND, "truncated"),
        (without_size, CANNOT_UNDERSTAND, "malformed"),
        (without_study, CANNOT_UNDERSTAND, "lacks a study"),
        (too_large, OUT_OF_RESOURCES, "larger than 1 MiB"),
    ],
)
def test_a_broken_image_is_refused_with_a_status_and_a_sentence(node, files, change, status, sentence):
    with associated(node.port) as association:
        assert association.send_c_store(changed(files[0], change)).Status == status
        assert sentence in node.logged()[-1]["message"]
        assert association.send_c_store(pydicom.dcmread(files[1])).Status == 0
    assert not list((node.storage / "incoming").iterdir())


def send_bytes(association, content: bytes, uid: str) -> int:
    """Send what pydicom would not write; gives the status."""
    request = C_STORE()
    request.MessageID, request.Priority, request.DataSet = 1, 2, io.BytesIO(content)
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CTImageStorage, uid
    context = next(one for one in association.accepted_contexts if one.abstract_syntax == CTImageStorage)
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, context.context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return answer.Status


def test_garbage_and_images_under_another_name_are_refused(node, files):
    header_size = len(files[0].read_bytes()) - len(pydicom.dcmread(files[0]).PixelData)
    encoded = encode(pydicom.dcmread(files[0]), is_implicit_vr=False, is_little_endian=True)
    noise = np.random.default_rng(0).bytes(4000)
    with associated(node.port) as association:
        assert send_bytes(association, encoded, f"{UID}.7") == NOT_OF_CLASS
        for content in (noise, encoded[: header_size // 3], encoded[:300] + noise):
            assert send_bytes(association, content, f"{UID}.7") == CANNOT_UNDERSTAND
        assert association.send_c_echo().Status == 0


def test_an_association_that_sends_far_too_much_is_aborted_before_it_fills_the_disk(node, files):
    def huge(image):
        image.NumberOfFrames = 8
        image.Rows = image.Columns = 1000
        image.PixelData = bytes(2 * 8 * 1000 * 1000)

    with associated(node.port) as association:
        assert "Status" not in association.send_c_store(changed(files[0], huge))
        wait_for(lambda: not association.is_established)
    assert any("aborted" in line["message"] for line in node.logged())
    assert send(node.port, files[3:4]) == [0]


def test_more_associations_than_allowed_are_rejected_and_others_go_on(node):
    with ExitStack() as held:
        associations = [held.enter_context(associated(node.port)) for _ in range(5)]
        established = [association for association in associations if association.is_established]
        assert 0 < len(established) <= 3  # An earlier one may still be closing.
        for association in established:
            assert association.send_c_echo().Status == 0


def test_random_bytes_end_the_connection_and_nothing_else(node, files):
    for content in (b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 40, b"\x01\x00\xff\xff\xff\xff"):
        with socket.create_connection(("127.0.0.1", node.port)) as connection:
            connection.sendall(content)
    wait_for(lambda: send(node.port, files[4:5]) == [0])


def test_a_full_disk_is_answered_as_such(tmp_path, files):
    with NodeProcess(tmp_path, tables="[limits]\nfree_disk_gb = 1e9\n") as node:
        assert send(node.port, files[:1]) == [OUT_OF_RESOURCES]
        assert "disk is full" in node.logged()[-1]["message"]
        assert node.studies() == []
