"""A node that is killed again and again while two scanners send to it, and what must be true afterwards."""

import hashlib
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from nodes import Archive, NodeProcess, free_port, send_insisting, study, wait_for
from pydicom.dataset import Dataset

UID = "1.2.826.0.1.3680043.10.79"

FINISH_S = 900.0
"""Time that all studies may take after the last kill, in seconds."""

Moment = Callable[[NodeProcess, random.Random], None]
"""Waits for the time of a kill."""


def at_random(longest_s: float) -> Moment:
    """Any time after the start."""
    return lambda node, draws: time.sleep(draws.uniform(0, longest_s))


def while_study_is(state: str, longest_s: float) -> Moment:
    """Some time after a study is seen in a state."""

    def wait(node: NodeProcess, draws: random.Random) -> None:
        wait_for(lambda: node.states()[state])
        time.sleep(draws.uniform(0, longest_s))

    return wait


def run_and_kill(folder: Path, studies: int, moments: Iterable[Moment], seed: int) -> dict[str, list[Dataset]]:
    """Send studies from two scanners to a node that is killed at some moments; gives what arrived, by study.

    Args:
        folder: for everything.
        studies: how many are sent.
        moments: of the kills, each after the start that follows the one before.
        seed: of the random times.

    Raises:
        AssertionError: a study is lost, or not done, or an object arrived with two contents.
    """
    draws, port = random.Random(seed), free_port()
    uids = [f"{UID}.{number}" for number in range(1, studies + 1)]
    files = [study(folder / uid, uid) for uid in uids]
    node = NodeProcess(folder, {"archive": port})

    def scan(numbers: Iterable[int]) -> None:
        for number in numbers:
            send_insisting(node.port, files[number], FINISH_S)

    scanners = [threading.Thread(target=scan, args=(range(first, studies, 2),)) for first in (0, 1)]
    with Archive(port) as archive, node:
        for scanner in scanners:
            scanner.start()
        for moment in moments:
            moment(node, draws)
            node.kill()
            node.start()
        for scanner in scanners:
            scanner.join()
        wait_for(lambda: node.states() == {"done": studies}, FINISH_S)
        assert node.end() == 0
    return _arrived_once(archive, uids)


def _arrived_once(archive: Archive, uids: list[str]) -> dict[str, list[Dataset]]:
    """Objects by study, those that were sent again left out."""
    contents, objects = defaultdict(set), {}
    for made, content in zip(archive.received, archive.bytes, strict=True):
        contents[made.SOPInstanceUID].add(hashlib.sha256(content).hexdigest())
        objects[made.SOPInstanceUID] = made
    assert all(len(different) == 1 for different in contents.values()), "an object was sent with two contents"
    found = {uid: [made for made in objects.values() if made.StudyInstanceUID == uid] for uid in uids}
    assert sum(map(len, found.values())) == len(objects)
    return found


def content_of(objects: list[Dataset]) -> Counter:
    """What the objects of a study say, without UIDs and times: voxels of each segment, number of the others."""
    return Counter(
        (made.SegmentSequence[0].SegmentLabel, hashlib.sha256(made.PixelData).hexdigest())
        if made.Modality == "SEG"
        else (made.Modality, "")
        for made in objects
    )
