"""The cases of a batch on the workers of a Dask scheduler (docs.dask.org), on one machine or many.

The workers need StrokeSeg, its models, and the same paths to scans and results.
"""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from distributed import Client, Worker, WorkerPlugin, get_worker

from StrokeSegLib.documents.requests import Asked
from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.worker.processes import Outcome, WorkerProcesses

CONNECT_S = 15


class DaskProcesses(WorkerPlugin):
    """Worker processes of a Dask worker, one for each of its threads, so that no case can bring it down.

    A case may use as many cores as ``OMP_NUM_THREADS`` says there; Dask sets it to 1.
    """

    def setup(self, worker: Worker) -> None:
        self.processes = WorkerProcesses(threads=int(os.environ.get("OMP_NUM_THREADS", 1)))

    def teardown(self, worker: Worker) -> None:
        self.processes.end()


@contextmanager
def on_cluster(address: str, folder: Path) -> Iterator["Submit"]:  # noqa: F821 (places.Submit)
    """The workers of a scheduler; on leaving, their processes of this batch end.

    Args:
        address: address of the scheduler.
        folder: folder of the batch; resuming there replaces the processes left by the earlier run.

    Raises:
        StrokeSegError: no scheduler answers.
    """
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise StrokeSegError(f"No Dask scheduler answers at {address}. Start one or check the address.") from error
    name = f"strokeseg-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]}"
    with client:
        client.register_plugin(DaskProcesses(), name=name)
        executor = client.get_executor(pure=False)

        def submit(request: Asked) -> Future[Outcome]:
            return executor.submit(_work, name, request)

        try:
            yield submit
        finally:
            executor.shutdown(wait=False)
            client.unregister_worker_plugin(name)


def _work(plugin: str, request: Asked) -> Outcome:
    return get_worker().plugins[plugin].processes.work(request)
