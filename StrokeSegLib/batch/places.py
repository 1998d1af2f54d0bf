"""Where the cases of a batch run: in processes on this machine, or wherever a Dask scheduler has workers.

Both give a function that takes a case and returns a future of its outcome, so that a batch is one and the same.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from StrokeSegLib.documents.requests import Asked
from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.worker.processes import Outcome, WorkerProcesses

Submit = Callable[[Asked], "Future[Outcome]"]


@contextmanager
def on_this_machine(workers: int) -> Iterator[Submit]:
    """Worker processes here, which share the processor's cores; on leaving all end, whatever they do."""
    processes = WorkerProcesses(threads=max(1, _cores() // workers))
    pool = ThreadPoolExecutor(workers)
    try:
        yield lambda request: pool.submit(processes.work, request)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        processes.end()
        pool.shutdown(wait=True)


def on_dask(address: str, folder: Path) -> AbstractContextManager[Submit]:
    """The workers of a Dask scheduler.

    Args:
        address: address of the scheduler.
        folder: folder of the batch, under a path valid on all machines.

    Raises:
        StrokeSegError: Dask is not installed, or no scheduler answers.
    """
    try:
        from StrokeSegLib.batch.cluster import on_cluster
    except ImportError as error:
        raise StrokeSegError("--scheduler needs Dask. Install it with: pip install 'strokeseg[batch]'.") from error
    return on_cluster(address, folder)


def _cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
