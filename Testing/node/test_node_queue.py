"""The queue of a node: states, what becomes of late images, and what is kept over the end of a process."""

import os
import signal
import subprocess
import sys

import pytest

from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.node.studies_queue import State, StudiesQueue


@pytest.fixture
def queue(tmp_path):
    opened = StudiesQueue(tmp_path / "queue.sqlite")
    yield opened
    opened.close()


def running(queue, study="a", now=10.0):
    """A study of one image that runs."""
    queue.receive(study, "1", now - 10)
    queue.complete(now, quiet_s=5)
    return queue.start_next(now)


def test_a_study_is_complete_after_the_quiet_time(queue):
    queue.receive("a", "1", 0)
    queue.receive("a", "2", 8)
    queue.complete(12, quiet_s=5)
    assert queue.find("a").state is State.RECEIVED
    queue.complete(13, quiet_s=5)
    assert queue.find("a").state is State.WAITING
    assert queue.images("a") == ["1", "2"]


def test_each_study_is_started_once_in_the_order_of_arrival(queue):
    queue.receive("b", "1", 0)
    queue.complete(6, quiet_s=5)
    queue.receive("a", "1", 1)
    queue.complete(7, quiet_s=5)
    assert [queue.start_next(8).study, queue.start_next(8).study] == ["b", "a"]
    assert queue.start_next(8) is None


def test_an_image_that_arrives_during_the_run_makes_its_outcome_void(queue):
    study = running(queue)
    assert queue.receive("a", "2", 11)
    assert not queue.ran(study, "", 12)
    assert not queue.finish(study, State.FAILED, "refused", 12, 0)
    assert not queue.repeat(study, "died", 12)
    found = queue.find("a")
    assert (found.state, found.images, found.sentence) == (State.RECEIVED, 2, "")


def test_an_image_that_arrives_again_reopens_nothing(queue):
    study = running(queue)
    assert not queue.receive("a", "1", 11)
    assert queue.ran(study, "", 12)


def test_a_late_image_reopens_a_finished_study_which_is_delivered_anew(queue):
    study = running(queue)
    queue.ran(study, "", 11)
    (sending,) = queue.due_to_send(11)
    queue.delivered(sending, "archive")
    queue.finish(sending, State.DONE, "", 12, 5)
    queue.receive("a", "2", 13)
    reopened = queue.find("a")
    assert (reopened.state, reopened.finished_at) == (State.RECEIVED, None)
    assert queue.deliveries(reopened) == set()
    assert queue.deliveries(sending) == {"archive"}


def test_a_run_that_died_waits_and_counts_its_failures(queue):
    study = running(queue)
    queue.repeat(study, "died", 20)
    assert queue.start_next(19) is None
    again = queue.start_next(20)
    assert (again.failures, again.sentence) == (1, "")
    queue.ran(again, "", 21)
    assert queue.find("a").failures == 0


def test_a_transfer_that_failed_waits(queue):
    queue.ran(running(queue), "", 11)
    (study,) = queue.due_to_send(11)
    queue.repeat(study, "unreachable", 30)
    assert queue.due_to_send(29) == []
    assert queue.due_to_send(30)[0].failures == 1


def test_what_ran_when_the_process_ended_waits_again(tmp_path):
    queue = StudiesQueue(tmp_path / "queue.sqlite")
    running(queue)
    queue.close()
    queue = StudiesQueue(tmp_path / "queue.sqlite")
    queue.recover()
    assert queue.start_next(11).study == "a"
    queue.close()


def test_only_finished_studies_are_forgotten_done_ones_first(queue):
    for study, state, now in (("f", State.FAILED, 20), ("new", State.DONE, 40), ("old", State.DONE, 30)):
        queue.finish(running(queue, study, now), state, "", now, 7)
    queue.receive("open", "1", 50)
    finished = queue.finished()
    assert [(study.study, size) for study, size in finished] == [("old", 7), ("new", 7), ("f", 7)]
    queue.receive("old", "2", 51)
    assert [queue.forget(study) for study, _ in finished] == [False, True, True]
    assert {study.study for study in queue.all()} == {"old", "open"}
    assert queue.receive("new", "1", 52)


def test_a_transaction_that_fails_leaves_nothing(queue):
    def receive_on_a_full_disk():
        with queue.transaction():
            queue.receive("a", "1", 0)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        receive_on_a_full_disk()
    assert queue.find("a") is None
    assert not queue.knows("a", "1")


def test_what_was_told_to_be_recorded_survives_a_kill(tmp_path):
    program = (
        "import sys; from pathlib import Path; from StrokeSegLib.node.studies_queue import StudiesQueue\n"
        "queue = StudiesQueue(Path(sys.argv[1]))\n"
        "for number in range(10**6):\n"
        "    queue.receive('a', str(number), 0)\n"
        "    print(number, flush=True)\n"
    )
    file = tmp_path / "queue.sqlite"
    process = subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE, text=True)
    told = [process.stdout.readline().strip() for _ in range(50)]
    os.kill(process.pid, signal.SIGKILL)
    told += process.stdout.read().split()
    process.wait()
    queue = StudiesQueue(file)
    assert set(told) <= set(queue.images("a"))
    assert queue.find("a").images == len(queue.images("a"))
    queue.close()


@pytest.mark.parametrize("content", [b"no database at all" * 100, None])
def test_a_file_that_cannot_be_used_is_told(tmp_path, content):
    file = tmp_path / "queue.sqlite"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(StrokeSegError, match="cannot be used as a queue"):
        StudiesQueue(file)
