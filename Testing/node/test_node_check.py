"""Before the first scan, a node says what it lacks."""

import json
import logging
import subprocess
import sys

import pytest
from nodes import FAST_MODEL, PROGRAM, Archive, NodeProcess, free_port

from StrokeSegLib.node.json_logs import JsonFormatter


def checked(node: NodeProcess) -> tuple[int, dict[str, str]]:
    """Exit code of `node check`, and its lines by what was checked."""
    command = [sys.executable, "-c", PROGRAM, "node", "check", "--config", str(node.config)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr == ""
    return done.returncode, {line[8:].partition(":")[0]: line for line in done.stdout.splitlines()}


def test_a_node_that_has_everything_passes(tmp_path):
    port = free_port()
    with Archive(port):
        code, lines = checked(NodeProcess(tmp_path, {"archive": port}))
    assert code == 0
    assert list(lines) == ["storage", "port", "destination", "models", "device"]
    assert all(line.startswith("ok ") for line in lines.values())
    assert "“archive” answers" in lines["destination"]
    assert FAST_MODEL in lines["models"]


def test_everything_that_is_missing_is_told_at_once(tmp_path):
    top, tables = 'models = ["no-such-model"]', "[limits]\nfree_disk_gb = 1e9\n"
    with NodeProcess(tmp_path / "other") as other:
        node = NodeProcess(tmp_path, {"archive": free_port()}, top=top, tables=tables)
        node.config.write_text(
            node.config.read_text().replace(str(node.port), str(other.port)).replace('"cpu"', '"cuda:77"')
        )
        code, lines = checked(node)
    assert code == 2
    assert all(line.startswith("FAILED ") for line in lines.values())
    for name, sentence in {
        "storage": "below limits.free_disk_gb",
        "port": "Stop the program that uses it",
        "destination": "cannot be reached",
        "models": "no-such-model",
        "device": "cuda:77",
    }.items():
        assert sentence in lines[name]


def test_a_second_node_on_the_same_storage_is_refused(tmp_path):
    with NodeProcess(tmp_path) as node:
        command = [sys.executable, "-c", PROGRAM, "node", "--config", str(node.config)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 2
        assert "Another node uses" in done.stderr


@pytest.mark.parametrize("missing", ["pynetdicom", "pydantic"])
def test_without_the_extra_the_command_says_how_to_install_it(tmp_path, missing):
    program = f"import sys; sys.modules['{missing}'] = None; {PROGRAM.partition(';')[2]}"
    done = subprocess.run([sys.executable, "-c", program, "node", "--config", "x"], capture_output=True, text=True)
    assert done.returncode == 2
    assert missing in done.stderr
    assert "pip install 'strokeseg[node]'" in done.stderr


def test_an_exception_is_logged_by_its_type_and_place_but_not_by_its_text():
    try:
        raise ValueError("DOE^JANE")
    except ValueError:
        record = logging.LogRecord("node", logging.ERROR, __file__, 1, "An error.", (), sys.exc_info())
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["message"], line["exception"]) == ("error", "An error.", "ValueError")
    assert "test_node_check.py" in line["traceback"][0]
    assert "DOE" not in str(line)
