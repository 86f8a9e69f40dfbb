"""Log lines as JSON, one object a line: for whoever collects them.

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "flowcontrol.logs.JsonFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "loggers": {"flowcontrol": {"handlers": ["console"], "level": "INFO"}},
}
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

__all__ = ["JsonFormatter"]

#: What every record has; whatever else stands on one was given as ``extra``.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """Time (UTC), level, logger and message of a record; run, flow and step where they are known; and its extras.

    A traceback is in ``exception``. What JSON has no type for is written as text.
    """

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("run", "flow", "step"):
            if (value := getattr(record, name, None)) is not None:
                told[name] = value
        told.update((name, value) for name, value in vars(record).items() if name not in _STANDARD)
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            told["stack"] = self.formatStack(record.stack_info)
        return json.dumps(told, ensure_ascii=False, default=str)
