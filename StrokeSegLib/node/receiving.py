"""The receiving side of a node: Verification and Storage SCP for CT images (PS3.4 annexes A and B)."""

import logging
import socket
import sqlite3
import ssl
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import (
    JPEG2000,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
)
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification
from pynetdicom.transport import ThreadedAssociationServer

from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.imaging.dicom_files import UnreadableFileError, read_file_header
from StrokeSegLib.imaging.dicom_headers import image_headers
from StrokeSegLib.imaging.header_values import FaultyHeaderError
from StrokeSegLib.node.configuration import Configuration, Tls
from StrokeSegLib.node.folders import NodeFolders, flush, pseudonym
from StrokeSegLib.node.studies_queue import StudiesQueue

CT_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)

TRANSFER_SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    JPEG2000,
)
"""All that `imaging.dicom_pixels` decodes."""

SUCCESS, OUT_OF_RESOURCES, NOT_OF_CLASS, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xA900, 0xC000
"""Statuses of C-STORE (PS3.4 B.2.3)."""

REJECTED_PERMANENT, BY_USER, CALLING_TITLE_UNKNOWN = 0x01, 0x01, 0x03
"""Answer to an association that is not wanted (PS3.8 9.3.4)."""

ABORTED_BEYOND = 2
"""An association is aborted that sends so many times the largest data set as one; a smaller excess gets a status."""

IDLE_S = 60.0
"""An association is closed on which nothing arrives for so long, in seconds."""

ITEM_BYTES = 8
"""Tag and length of an item."""

HANDSHAKE_S = 5.0
"""How long a peer may take to agree on TLS, in seconds."""

MEBIBYTE = 1 << 20

logger = logging.getLogger(__name__)


class InstanceError(Exception):
    """An instance that is refused.

    Args:
        status: the status of the C-STORE response.
        sentence: what is wrong, without identity.
    """

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


class Receiver:
    """Receives images from the allowed peers, and answers success when an image is on the disk and in the queue.

    Args:
        configuration: the settings of the node.
        folders: where images are stored.
        queue: where studies are recorded.
    """

    def __init__(self, configuration: Configuration, folders: NodeFolders, queue: StudiesQueue):
        self._configuration, self._folders, self._queue = configuration, folders, queue
        self._largest = configuration.listen.largest_data_set_mb * MEBIBYTE
        self._arrived: dict[object, int] = {}
        self._server: ThreadedAssociationServer | None = None
        self._counting = threading.Lock()

    def start(self) -> None:
        """Listen in threads of their own.

        Raises:
            StrokeSegError: the port is in use, or a certificate cannot be used.
        """
        listen = self._configuration.listen
        _receive_into_files(self._folders.incoming)
        entity = AE(listen.ae_title)
        entity.require_called_aet = True
        entity.maximum_associations = listen.largest_associations
        entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = IDLE_S
        entity.add_supported_context(Verification)
        for sop_class in CT_CLASSES:
            entity.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
        handlers = [
            (evt.EVT_REQUESTED, self._check_address),
            (evt.EVT_DATA_RECV, self._count),
            (evt.EVT_CONN_CLOSE, self._forget),
            (evt.EVT_REJECTED, _log_rejection),
            (evt.EVT_C_STORE, self._store),
        ]
        try:
            self._server = entity.start_server(
                (listen.host, listen.port),
                block=False,
                evt_handlers=handlers,
                ssl_context=server_context(listen.tls) if listen.tls else None,
            )
        except OSError as error:
            raise StrokeSegError(
                f"The node cannot listen on {listen.host}, port {listen.port} ({error.strerror or error}). "
                "Stop the program that uses the port, or change listen.host or listen.port."
            ) from error

    def stop(self) -> None:
        """Close all associations and stop to listen."""
        if self._server is not None:
            self._server.shutdown()

    def _check_address(self, event: evt.Event) -> None:
        """Reject who is not an allowed peer at that peer's address; pynetdicom checks the called AE title."""
        address, title = event.assoc.requestor.address, event.assoc.requestor.primitive.calling_ae_title
        if not any(peer.is_at(address) and peer.ae_title == title for peer in self._configuration.peers):
            logger.warning("Association rejected: “%s” at %s is not an allowed peer.", title, address)
            event.assoc.acse.send_reject(REJECTED_PERMANENT, BY_USER, CALLING_TITLE_UNKNOWN)
            event.assoc.kill()  # Waits until the answer is sent.

    def _count(self, event: evt.Event) -> None:
        """Abort an association whose data set is far too large, before it fills the disk."""
        with self._counting:
            arrived = self._arrived[event.assoc] = self._arrived.get(event.assoc, 0) + len(event.data)
        if arrived > self._largest * ABORTED_BEYOND and event.assoc.is_established:
            logger.warning("Association aborted: a data set is larger than %d MiB.", self._largest // MEBIBYTE)
            event.assoc.abort(block=False)

    def _forget(self, event: evt.Event) -> None:
        with self._counting:
            self._arrived.pop(event.assoc, None)

    def _store(self, event: evt.Event) -> int:
        with self._counting:
            self._arrived[event.assoc] = 0
        try:
            self._accept(event)
        except InstanceError as error:
            logger.warning("Image refused from %s: %s", event.assoc.requestor.ae_title, error)
            return error.status
        except (OSError, sqlite3.Error) as error:
            logger.error("Image refused: the storage cannot be written (%s).", type(error).__name__)
            return OUT_OF_RESOURCES
        except Exception:
            logger.exception("Image refused: an internal error.")
            return CANNOT_UNDERSTAND
        return SUCCESS

    def _accept(self, event: evt.Event) -> None:
        """Store an image, unless it is stored already.

        Raises:
            InstanceError: it is refused.
            OSError, sqlite3.Error: it cannot be written.
        """
        file = event.dataset_path
        if file.stat().st_size > self._largest:
            raise InstanceError(OUT_OF_RESOURCES, f"It is larger than {self._largest // MEBIBYTE} MiB.")
        if self._folders.free_gb() < self._configuration.limits.free_disk_gb:
            raise InstanceError(OUT_OF_RESOURCES, "The disk is full; make room on it.")
        study_uid, image_uid = checked_uids(
            file, event.request.AffectedSOPClassUID, event.request.AffectedSOPInstanceUID
        )
        study, image = pseudonym(study_uid), pseudonym(image_uid)
        # SOP Instance UIDs are unique, so that an image that is sent again is the one that is there.
        if self._queue.knows(study, image):
            return
        flush(file)
        with self._queue.transaction():
            if self._queue.receive(study, image, time.time()):
                self._folders.store(file, study, image)


def checked_uids(file: Path, sop_class: str, instance_uid: str) -> tuple[str, str]:
    """Study Instance UID and SOP Instance UID of a received file that is a whole CT image.

    Args:
        file: DICOM file.
        sop_class, instance_uid: SOP Class UID and SOP Instance UID that the sender named.

    Raises:
        InstanceError: the file is damaged, truncated, or not what the sender named.
    """
    try:
        header = read_file_header(file)
        images = [] if header is None else list(image_headers(file, header))
    except (UnreadableFileError, FaultyHeaderError) as error:
        raise InstanceError(CANNOT_UNDERSTAND, f"The data set is malformed: {error}.") from error
    if not images:
        raise InstanceError(CANNOT_UNDERSTAND, "The data set is malformed: it contains no image.")
    image = images[0]
    if header.pixels_bytes is None:
        is_whole = _has_encoded_pixels(file, header.syntax == DeflatedExplicitVRLittleEndian)
    else:
        is_whole = image.pixels.bytes_missing == 0
    if not is_whole:
        raise InstanceError(CANNOT_UNDERSTAND, "The data set is truncated: pixels are missing.")
    if not (image.study_uid and image.series_uid and image.instance_uid):
        raise InstanceError(CANNOT_UNDERSTAND, "The data set lacks a study, series or SOP Instance UID.")
    if (image.sop_class, image.instance_uid) != (sop_class, instance_uid):
        raise InstanceError(NOT_OF_CLASS, "The data set is not the image that the request names.")
    return image.study_uid, image.instance_uid


def _has_encoded_pixels(file: Path, is_deflated: bool) -> bool:
    """Whether compressed or deflated pixels are there up to their end."""
    try:
        pixels = pydicom.dcmread(file, specific_tags=["PixelData"]).PixelData
    except Exception:  # pydicom raises nearly anything on damaged fragments.
        return False
    return is_deflated or _ends_with_a_fragment(pixels)


def _ends_with_a_fragment(pixels: bytes) -> bool:
    """Whether the items of encapsulated pixels (PS3.5 A.4) have the lengths that they state."""
    end = 0
    while end + ITEM_BYTES <= len(pixels):
        end += ITEM_BYTES + int.from_bytes(pixels[end + 4 : end + ITEM_BYTES], "little")
    return end == len(pixels) > ITEM_BYTES


class _ServerContext(ssl.SSLContext):
    """TLS whose handshake has a time limit, as it keeps all others from being accepted."""

    def wrap_socket(self, sock: socket.socket, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        sock.settimeout(HANDSHAKE_S)
        wrapped = super().wrap_socket(sock, *arguments, **options)
        wrapped.settimeout(None)
        return wrapped


def server_context(tls: Tls) -> ssl.SSLContext:
    """TLS that asks peers for a certificate.

    Raises:
        StrokeSegError: a file is missing or is not a certificate.
    """
    context = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _with_certificates(context, tls)


def client_context(tls: Tls) -> ssl.SSLContext:
    """TLS that shows the node's certificate and checks the destination's.

    Raises:
        StrokeSegError: a file is missing or is not a certificate.
    """
    return _with_certificates(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls)


def _with_certificates(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    try:
        context.load_verify_locations(tls.authorities)
        context.load_cert_chain(tls.certificate, tls.key)
    except OSError as error:
        raise StrokeSegError(
            f"The certificates of listen.tls cannot be used ({error.strerror or error}); check the three files."
        ) from error
    return context


def _receive_into_files(folder: Path) -> None:
    """Let pynetdicom write data sets to files in a folder while they arrive, instead of keeping them in memory."""
    _config.STORE_RECV_CHUNKED_DATASET = True
    tempfile.tempdir = str(folder)


def _log_rejection(event: evt.Event) -> None:
    request = event.assoc.requestor.primitive
    logger.warning("Association rejected: “%s” called “%s”.", request.calling_ae_title, request.called_ae_title)
