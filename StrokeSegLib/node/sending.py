"""The sending side of a node: Storage SCU for results, and Verification SCU to try a destination."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.uid import UID
from pynetdicom import AE, _config
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification

from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.node.configuration import Configuration, Destination
from StrokeSegLib.node.receiving import client_context

STORED = {0x0000, 0xB000, 0xB006, 0xB007}
"""Statuses of C-STORE with which the object is stored (PS3.4 B.2.3); those above 0 are warnings."""

CONNECTION_S, ANSWER_S = 10.0, 60.0
"""How long a destination may take to be connected and to answer, in seconds."""


class SendingError(StrokeSegError):
    """A destination that has not stored everything; the message says why, without identity."""


def send(files: Sequence[Path], destination: Destination, configuration: Configuration) -> None:
    """Send DICOM files, each byte by byte as it is on the disk.

    Args:
        files: with file meta information.
        destination: which receives all of them, also after one was refused.
        configuration: the settings of the node.

    Raises:
        SendingError: one of them was not stored.
    """
    _config.STORE_SEND_CHUNKED_DATASET = True
    metas = [pydicom.filereader.read_file_meta_info(file) for file in files]
    contexts = {(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID) for meta in metas}
    problems = []
    with _associated(contexts, destination, configuration) as association:
        for file, meta in zip(files, metas, strict=True):
            name = UID(meta.MediaStorageSOPClassUID).name
            if not association.is_established:
                problems.append("The connection was lost")
                break
            try:
                status = association.send_c_store(file).get("Status")
            except (ValueError, RuntimeError):  # No presentation context, or the connection ended meanwhile.
                problems.append(f"{name} is not accepted")
                continue
            if status is None:
                problems.append(f"{name} was not answered")
            elif status not in STORED:
                problems.append(f"{name} was refused with status 0x{status:04X}")
    if problems:
        raise SendingError(f"“{destination.name}”: {'; '.join(dict.fromkeys(problems))}.")


def echo(destination: Destination, configuration: Configuration) -> None:
    """Ask a destination whether it is there (C-ECHO).

    Raises:
        SendingError: it does not answer.
    """
    with _associated({(Verification, "1.2.840.10008.1.2")}, destination, configuration) as association:
        status = association.send_c_echo().get("Status")
    if status != 0:
        raise SendingError(f"“{destination.name}” did not answer C-ECHO with success.")


@contextmanager
def _associated(
    contexts: set[tuple[str, str]], destination: Destination, configuration: Configuration
) -> Iterator[Association]:
    """An association that is released in the end.

    Args:
        contexts: SOP classes with transfer syntaxes.
        destination: with which.
        configuration: the settings of the node.

    Raises:
        SendingError: the destination cannot be reached or rejects the association.
        StrokeSegError: the node's certificates cannot be used.
    """
    entity = AE(configuration.listen.ae_title)
    entity.connection_timeout = CONNECTION_S
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = ANSWER_S
    for sop_class, transfer_syntax in sorted(contexts):
        entity.add_requested_context(sop_class, transfer_syntax)
    tls = (client_context(configuration.listen.tls), destination.host) if destination.tls else None
    association = entity.associate(destination.host, destination.port, ae_title=destination.ae_title, tls_args=tls)
    if not association.is_established:
        where = f"“{destination.name}” ({destination.ae_title} at {destination.host}, port {destination.port})"
        how = "rejected the association; check AE titles there" if association.is_rejected else "cannot be reached"
        raise SendingError(f"{where} {how}.")
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
