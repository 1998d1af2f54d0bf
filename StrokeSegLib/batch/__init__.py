"""Many studies in one go: found, run in several processes or on several machines, resumable, summed up in one table."""

from StrokeSegLib.batch.run import run_batch
from StrokeSegLib.batch.studies import BatchStudy, studies_in

__all__ = ["BatchStudy", "run_batch", "studies_in"]
