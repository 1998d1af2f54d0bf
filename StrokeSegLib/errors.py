"""Errors that a user can cause; the front doors print their one sentence without a traceback (exit code 2)."""


class StrokeSegError(Exception):
    """Something that the user can change; the message says what is wrong and what to do."""


class ImageError(StrokeSegError):
    """A scan that cannot be read, or is not what the method needs."""


class BundleError(StrokeSegError):
    """A model bundle that is damaged, incomplete, unsafe or made for something else."""


class DeviceError(StrokeSegError):
    """The requested compute device is not available."""


class OutputError(StrokeSegError):
    """Results that cannot be written where they were asked for."""


class DataError(StrokeSegError):
    """A training data set or recipe that cannot be used as it is."""


class CaseError(StrokeSegError):
    """A case folder that is incomplete or damaged, or a correction or scan that does not belong to it."""


class Cancelled(StrokeSegError):
    """The user stopped the run; nothing was written."""
