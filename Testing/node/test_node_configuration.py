"""The configuration of a node says what is wrong with it, and what to write instead."""

from pathlib import Path
from typing import get_args

import pytest

from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.methods import METHODS
from StrokeSegLib.node.configuration import Method, Retries, read_configuration

SMALLEST = """
storage = "node"
[listen]
ae_title = "STROKESEG"
[[peers]]
ae_title = "CT1"
address = "192.168.1.0/24"
"""


def read(folder: Path, text: str):
    file = folder / "node.toml"
    file.write_text(text, encoding="utf-8")
    return read_configuration(file)


def problem(folder: Path, text: str) -> str:
    with pytest.raises(StrokeSegError) as raised:
        read(folder, text)
    return str(raised.value)


def test_a_storage_a_title_and_a_peer_are_enough(tmp_path):
    configuration = read(tmp_path, SMALLEST)
    assert configuration.storage == tmp_path / "node"
    assert configuration.listen.port == 11112
    assert configuration.peers[0].is_at("192.168.1.77")
    assert not configuration.peers[0].is_at("192.168.2.77")
    assert configuration.destinations == configuration.rules == ()


def test_everything_can_be_said(tmp_path):
    configuration = read(
        tmp_path,
        SMALLEST.replace('"STROKESEG"', '"STROKESEG"\n[listen.tls]\ncertificate="a"\nkey="b"\nauthorities="/c"')
        + """
[[destinations]]
name = "archive"
ae_title = "ARCHIVE"
host = "localhost"
tls = true
[[rules]]
description = "head|brain"
contrast = false
slices = [16, 64]
methods = ["ncct-infarct"]
[limits]
free_disk_gb = 1
[retries]
first_s = 1
""",
    )
    assert configuration.listen.tls.certificate == tmp_path / "a"
    assert configuration.listen.tls.authorities == Path("/c")
    assert configuration.destinations[0].port == 104
    assert configuration.rules[0].methods == ("ncct-infarct",)
    assert configuration.rules[0].slices == (16, 64)
    assert configuration.limits.free_disk_gb == 1


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        (('ae_title = "STROKESEG"', ""), ["“listen.ae_title” is missing", 'ae_title = "STROKESEG"']),
        (("[listen]", "[listen]\nport = 70000"), ["“listen.port”", "65535", "port = 11112"]),
        (("[listen]", '[listen]\nport = "104"'), ["“listen.port”", "valid integer"]),
        (("[listen]", "[listen]\ntitle = 1"), ["Unknown key “listen.title”", "largest_associations"]),
        (('"192.168.1.0/24"', '"ct1.hospital"'), ["“peers.1.address”", "IPv4", 'address = "192.168.1.20"']),
        (('"CT1"', '"LONGER THAN SIXTEEN"'), ["“peers.1.ae_title”", "16 ASCII characters", 'ae_title = "CT1"']),
        (('storage = "node"', "storage = 5"), ["“storage”", "string with a path"]),
        (("[[peers]]", '[[rules]]\nmethods=["ncct"]\n[[peers]]'), ["“rules.1.methods.1”", "'ncct-infarct'"]),
        (("[[peers]]", '[[rules]]\ndescription="("\n[[peers]]'), ["“rules.1.description”", "regular expression"]),
        (("[[peers]]", "[[rules]]\nslices=[5, 2]\n[[peers]]"), ["“rules.1.slices”", "slices = [16, 400]"]),
        (("storage", "storage ="), ["not valid TOML", "line 2"]),
        (
            ("[[peers]]", '[[destinations]]\nname="a"\nae_title="A"\nhost="h"\ntls=true\n[[peers]]'),
            ["has no certificate", "[listen.tls]"],
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_key_and_an_example(tmp_path, change, sentences):
    told = problem(tmp_path, SMALLEST.replace(*change))
    assert "node.toml" in told
    assert "after validation" not in told
    for sentence in sentences:
        assert sentence in told


def test_a_node_without_peers_is_refused(tmp_path):
    assert "No peer may send" in problem(tmp_path, SMALLEST.split("[[peers]]")[0])


def test_two_destinations_of_one_name_are_refused(tmp_path):
    destination = '[[destinations]]\nname="a"\nae_title="A"\nhost="h"\n'
    assert "same name" in problem(tmp_path, SMALLEST + 2 * destination)


def test_rules_know_every_method():
    assert set(get_args(Method)) == set(METHODS)


def test_the_delay_doubles_up_to_the_longest():
    retries = Retries(first_s=10, longest_s=60)
    assert [retries.delay_s(failures) for failures in (1, 2, 3, 4, 5000)] == [10, 20, 40, 60, 60]
