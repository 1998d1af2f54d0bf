"""Many studies at once: found, run in several processes or on several machines, resumable, summarised in a table."""

from StrokeSegLib.batch.folder import SUMMARY_FILE
from StrokeSegLib.batch.places import on_dask, on_this_machine
from StrokeSegLib.batch.run import BatchProgress, BatchResult, run_batch
from StrokeSegLib.batch.studies import BatchStudy, studies_in
from StrokeSegLib.worker.processes import Status

__all__ = [
    "SUMMARY_FILE",
    "BatchProgress",
    "BatchResult",
    "BatchStudy",
    "Status",
    "on_dask",
    "on_this_machine",
    "run_batch",
    "studies_in",
]
