"""Many studies in one go: found, run in several processes or on several machines, resumable, summed up in one table.

The names load their modules when they are first used, so that a process that only drives workers stays without torch.
"""

from importlib import import_module

_MODULES = {
    "SUMMARY_FILE": "batch.folder",
    "BatchProgress": "batch.run",
    "BatchResult": "batch.run",
    "BatchStudy": "batch.studies",
    "Status": "worker.processes",
    "on_dask": "batch.places",
    "on_this_machine": "batch.places",
    "run_batch": "batch.run",
    "studies_in": "batch.studies",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"StrokeSegLib.{_MODULES[name]}"), name)
