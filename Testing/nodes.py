"""A node in a process of its own, the scanners that send to it, and the archive that receives from it."""

import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pydicom
from cases import head_series
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification
from scans import centred_geometry

TITLE, SCANNER, ARCHIVE = "STROKESEG", "CT1", "ARCHIVE"

SMALL_HEAD = centred_geometry((9, 96, 96), (14.0, 2.0, 2.0))

FAST_MODEL = "ncct-aspects-atlas"
"""ASPECTS by the atlas, without a network."""

CT_CONTEXTS = ((CTImageStorage, ExplicitVRLittleEndian), (Verification, ExplicitVRLittleEndian))

PROGRAM = "import sys; from StrokeSegLib.cli import main; sys.exit(main())"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return tried.getsockname()[1]


def wait_for(condition: Callable[[], object], seconds: float = 240.0) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: it does not in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"nothing after {seconds:g} s"
        time.sleep(0.05)


class NodeProcess:
    """`strokeseg node` in a process.

    Args:
        folder: for its configuration, storage and log.
        destinations: port of each destination, by name.
        top, listen, tables: lines of the configuration: before the first table, in the table listen, further tables.
        peer_address: from which the scanner may send.
    """

    def __init__(
        self,
        folder: Path,
        destinations: dict[str, int] | None = None,
        top: str = f'quiet_s = 0.5\nmodels = ["{FAST_MODEL}"]',
        listen: str = "",
        tables: str = "",
        peer_address: str = "127.0.0.1",
    ):
        self.port, self.log = free_port(), folder / "node.log"
        self.storage, self.config = folder / "storage", folder / "node.toml"
        folder.mkdir(parents=True, exist_ok=True)
        destinations = destinations or {}
        targets = "".join(
            f'[[destinations]]\nname = "{name}"\nae_title = "{ARCHIVE}"\nhost = "127.0.0.1"\nport = {port}\n'
            for name, port in destinations.items()
        )
        self.config.write_text(
            f'storage = "storage"\ndevice = "cpu"\n{top}\n[listen]\nae_title = "{TITLE}"\nhost = "127.0.0.1"\n'
            f'port = {self.port}\n{listen}\n[[peers]]\nae_title = "{SCANNER}"\naddress = "{peer_address}"\n{targets}'
            f"[retries]\nfirst_s = 0.3\nlongest_s = 1\n{tables}",
            encoding="utf-8",
        )
        self._process: subprocess.Popen | None = None

    def start(self) -> "NodeProcess":
        """Start it and wait until it listens."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "node", "--config", str(self.config)],
                stderr=log,
                stdout=log,
                cwd=Path(__file__).resolve().parents[1],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        wait_for(self.is_listening)
        return self

    def is_listening(self) -> bool:
        """Whether something accepts connections on its port."""
        assert self._process.poll() is None, self.log.read_text(encoding="utf-8")
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """End it without warning."""
        self._process.kill()
        self._process.wait()

    def end(self) -> int:
        """End it as a service manager does; returns its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20)

    def __enter__(self) -> "NodeProcess":
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()

    def studies(self) -> list[dict]:
        """Rows of its queue."""
        database = sqlite3.connect(f"file:{self.storage / 'queue.sqlite'}?mode=ro", uri=True)
        database.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in database.execute("SELECT * FROM studies ORDER BY received_at")]
        except sqlite3.OperationalError:
            return []  # Its tables are being made.
        finally:
            database.close()

    def states(self) -> Counter:
        """How many studies are in which state."""
        return Counter(row["state"] for row in self.studies())

    def logged(self) -> list[dict]:
        """Lines of its log."""
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def results(self) -> list[Path]:
        """Folders of results, in the order of their studies' pseudonyms."""
        return sorted(self.storage.glob("studies/*/results-*"))


class Archive:
    """A Storage SCP that keeps what it receives in memory.

    Args:
        port: where it listens.
        tls: SSL context; None for a plain connection.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None):
        self._port, self._tls = port, tls
        self.status = 0x0000
        self.received: list[Dataset] = []
        self.bytes: list[bytes] = []

    def __enter__(self) -> "Archive":
        entity = AE(ARCHIVE)
        entity.supported_contexts = AllStoragePresentationContexts
        entity.add_supported_context(Verification)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = entity.start_server(
            ("127.0.0.1", self._port), block=False, evt_handlers=handlers, ssl_context=self._tls
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _store(self, event: evt.Event) -> int:
        made = event.dataset
        made.file_meta = event.file_meta
        self.received.append(made)
        self.bytes.append(event.encoded_dataset(include_meta=False))
        return self.status

    def by_modality(self) -> dict[str, list[Dataset]]:
        """What was received."""
        found: dict[str, list[Dataset]] = {}
        for made in self.received:
            found.setdefault(made.Modality, []).append(made)
        return found


@contextmanager
def associated(
    port: int, calling: str = SCANNER, called: str = TITLE, contexts: Sequence[tuple] = CT_CONTEXTS, tls=None
):
    """An association with a node, established or not.

    Args:
        port: of the node.
        calling, called: AE titles.
        contexts: SOP classes with transfer syntaxes.
        tls: SSL context and name of the server; None for a plain connection.
    """
    entity = AE(calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    for sop_class, syntax in contexts:
        entity.add_requested_context(sop_class, syntax)
    association = entity.associate("127.0.0.1", port, ae_title=called, tls_args=tls)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def send(port: int, files: Sequence[Path]) -> list[int | None]:
    """Send images in one association; gives the status of each, None where there was no answer."""
    statuses: list[int | None] = [None] * len(files)
    with associated(port) as association:
        for number, file in enumerate(files):
            if not association.is_established:
                break
            with suppress(RuntimeError):  # The connection ended meanwhile.
                statuses[number] = association.send_c_store(pydicom.dcmread(file)).get("Status")
    return statuses


def send_insisting(port: int, files: Sequence[Path], seconds: float = 60.0) -> None:
    """Send images until each was answered with success, as a scanner does while a node is restarted."""
    end, left = time.monotonic() + seconds, list(files)
    while left:
        assert time.monotonic() < end, f"{len(left)} images are still not accepted"
        left = [file for file, status in zip(left, send(port, left), strict=True) if status != 0]
        if left:
            time.sleep(0.2)


def study(folder: Path, uid: str, **attributes: str) -> list[Path]:
    """Files of a small head CT of its own study."""
    identity = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "FrameOfReferenceUID": f"{uid}.2"}
    head_series(folder, SMALL_HEAD, **identity, **attributes)
    return sorted(folder.glob("*.dcm"))
