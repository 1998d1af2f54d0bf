"""With certificates, a node receives from those alone that the authorities signed, and sends encrypted."""

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from nodes import Archive, NodeProcess, associated, free_port
from test_node_check import checked

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes certificates, is missing")


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def certificates(folder: Path, authority: str, name: str) -> None:
    """Make `name.pem` and `name.key`, signed by an authority that is made as well if it does not exist."""
    if not (folder / f"{authority}.pem").exists():
        new = ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{authority}.key", "-subj", f"/CN={authority}"]
        openssl(folder, "req", "-x509", *new, "-out", f"{authority}.pem", "-days", "1")
    (folder / "names").write_text("subjectAltName = IP:127.0.0.1")
    openssl(
        folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-subj", f"/CN={name}", "-out", "r"
    )
    signer = ["-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial"]
    openssl(folder, "x509", "-req", "-in", "r", *signer, "-extfile", "names", "-days", "1", "-out", f"{name}.pem")


def context(folder: Path, purpose: ssl.Purpose, name: str | None) -> ssl.SSLContext:
    made = ssl.create_default_context(purpose, cafile=str(folder / "ours.pem"))
    if name:
        made.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Certificates of the node, of a peer, and of a stranger that another authority signed."""
    made = tmp_path_factory.mktemp("certificates")
    for authority, name in (("ours", "node"), ("ours", "peer"), ("theirs", "stranger")):
        certificates(made, authority, name)
    return made


def test_only_a_peer_with_a_certificate_of_the_authorities_gets_through(folder):
    tls = '[listen.tls]\ncertificate = "node.pem"\nkey = "node.key"\nauthorities = "ours.pem"'
    with NodeProcess(folder, listen=tls) as node:
        for name, is_let_in in (("peer", True), ("stranger", False), (None, False)):
            client = context(folder, ssl.Purpose.SERVER_AUTH, name)
            with associated(node.port, tls=(client, "127.0.0.1")) as association:
                assert association.is_established is is_let_in
        with associated(node.port) as association:
            assert not association.is_established
        with socket.create_connection(("127.0.0.1", node.port)):  # Says nothing, and keeps nobody else away.
            client = context(folder, ssl.Purpose.SERVER_AUTH, "peer")
            with associated(node.port, tls=(client, "127.0.0.1")) as association:
                assert association.is_established


def test_a_destination_with_tls_is_reached(folder):
    port = free_port()
    server = context(folder, ssl.Purpose.CLIENT_AUTH, "peer")
    server.verify_mode = ssl.CERT_REQUIRED
    tls = '[listen.tls]\ncertificate = "node.pem"\nkey = "node.key"\nauthorities = "ours.pem"'
    node = NodeProcess(folder, {"archive": port}, listen=tls)
    node.config.write_text(node.config.read_text().replace(f"port = {port}", f"port = {port}\ntls = true"))
    with Archive(port, tls=server):
        code, lines = checked(node)
    assert (code, lines["destination"][:2], lines["certificates"][:2]) == (0, "ok", "ok")
    (folder / "node.key").rename(folder / "lost.key")
    code, lines = checked(node)
    (folder / "lost.key").rename(folder / "node.key")
    assert code == 2
    assert "listen.tls cannot be used" in lines["certificates"]
