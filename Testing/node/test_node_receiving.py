"""A node accepts whole CT images from its peers, and nothing else."""

import pydicom
import pytest
from nodes import ARCHIVE, SCANNER, NodeProcess, associate, send, study, wait_for
from pydicom.uid import JPEG2000Lossless, MRImageStorage, RLELossless
from pynetdicom import AE

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
    association = associate(node.port)
    assert association.send_c_echo().Status == 0
    association.release()


@pytest.mark.parametrize(("calling", "called"), [(SCANNER, ARCHIVE), ("STRANGER", "STROKESEG")])
def test_a_wrong_title_is_rejected(node, calling, called):
    association = associate(node.port, calling, called)
    assert association.is_rejected
    assert calling in str(node.logged()[-1])


def test_a_peer_at_another_address_is_rejected(tmp_path):
    with NodeProcess(tmp_path) as node:
        node.kill()
        text = node.config.read_text().replace('address = "127.0.0.1"', 'address = "10.1.0.0/16"')
        node.config.write_text(text)
        node.start()
        assert associate(node.port).is_rejected
        assert "not an allowed peer" in node.logged()[-1]["message"]


def test_images_that_are_not_ct_are_not_accepted(node):
    association = associate(node.port, contexts=[MRImageStorage, "1.2.840.10008.5.1.4.1.1.2"])
    assert [context.abstract_syntax for context in association.rejected_contexts] == [MRImageStorage]
    association.release()


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_images_are_accepted_unless_truncated(node, files, syntax):
    image = pydicom.dcmread(files[0])
    image.StudyInstanceUID, image.SOPInstanceUID = f"{UID}.5", f"{UID}.5.{len(syntax)}"
    image.compress(syntax)
    entity = AE(SCANNER)
    entity.add_requested_context(image.SOPClassUID, syntax)
    association = entity.associate("127.0.0.1", node.port, ae_title="STROKESEG")
    assert association.send_c_store(image).Status == 0
    whole = image.PixelData
    image.SOPInstanceUID += ".1"
    image.PixelData = whole[: len(whole) // 2]
    assert association.send_c_store(image).Status == CANNOT_UNDERSTAND
    association.release()


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
    association = associate(node.port)
    assert association.send_c_store(changed(files[0], change)).Status == status
    assert sentence in node.logged()[-1]["message"]
    assert association.send_c_store(pydicom.dcmread(files[1])).Status == 0
    association.release()
    assert not list((node.storage / "incoming").iterdir())


def test_an_image_under_another_name_is_refused(node, files):
    image = pydicom.dcmread(files[2])
    association = associate(node.port)
    primitive_uid = image.SOPInstanceUID
    image.file_meta.MediaStorageSOPInstanceUID = primitive_uid
    image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    encoded = association._encode_and_send if hasattr(association, "_encode_and_send") else None
    assert encoded is None
    association.release()


def test_an_association_that_sends_far_too_much_is_aborted_before_it_fills_the_disk(node, files):
    def huge(image):
        image.NumberOfFrames = 8
        image.Rows = image.Columns = 1000
        image.PixelData = bytes(2 * 8 * 1000 * 1000)

    association = associate(node.port)
    association.send_c_store(changed(files[0], huge))
    wait_for(lambda: association.is_aborted or not association.is_established)
    assert any("aborted" in line["message"] for line in node.logged())
    assert associate(node.port).is_established


def test_more_associations_than_allowed_are_rejected_and_others_go_on(node):
    held = [associate(node.port) for _ in range(5)]
    established = [association for association in held if association.is_established]
    assert 0 < len(established) <= 3
    for association in established:
        assert association.send_c_echo().Status == 0
        association.release()


def test_random_bytes_end_the_connection_and_nothing_else(node):
    import socket

    for content in (b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 40, b"\x01\x00\xff\xff\xff\xff"):
        with socket.create_connection(("127.0.0.1", node.port)) as connection:
            connection.sendall(content)
    assert associate(node.port).send_c_echo().Status == 0


def test_a_full_disk_is_answered_as_such(tmp_path, files):
    with NodeProcess(tmp_path, tables="[limits]\nfree_disk_gb = 1e9\n") as node:
        assert send(node.port, files[:1]) == [OUT_OF_RESOURCES]
        assert "disk is full" in node.logged()[-1]["message"]
        assert node.studies() == []
