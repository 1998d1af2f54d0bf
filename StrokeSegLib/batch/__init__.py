"""Many studies in one go: found, run in several processes or on several machines, resumable, summed up in one table.

The names load their modules when they are first used, so that a process that only drives workers stays without torch.
"""

from importlib import import_module

_MODULES = {
    "SUMMARY_FILE": "folder",
    "BatchProgress": "run",
    "BatchResult": "run",
    "BatchStudy": "studies",
    "Status": "processes",
    "on_dask": "places",
    "on_this_machine": "places",
    "run_batch": "run",
    "studies_in": "studies",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
