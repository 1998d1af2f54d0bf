"""Logs of a node: one JSON object a line, without identity of patients."""

import json
import logging
import traceback
import warnings
from datetime import datetime, timezone

TALKATIVE = ("pynetdicom", "pydicom", "highdicom")
"""Libraries whose messages may contain what is in a data set."""


class JsonFormatter(logging.Formatter):
    """A record as JSON; of an exception the type and the lines of code, not its text, which may contain identity."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        content = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if hasattr(record, "study"):
            content["study"] = record.study
        if record.exc_info and record.exc_info[0] is not None:
            kind, _, trace = record.exc_info
            content["exception"] = kind.__name__
            content["traceback"] = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(trace)]
        return json.dumps(content, ensure_ascii=False)


def log_as_json() -> None:
    """Let the process write its log as JSON."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonFormatter())


def silence_libraries() -> None:
    """Let nothing be said by libraries that handle data sets."""
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.simplefilter("ignore")
