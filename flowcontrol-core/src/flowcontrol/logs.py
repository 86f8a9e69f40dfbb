"""Log lines as JSON, one object a line: for whoever collects them; and secrets, which are in no log.

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
import traceback
from datetime import UTC, datetime
from typing import Any

from . import masking

__all__ = ["JsonFormatter", "mask_secrets"]

#: What every record has; whatever else stands on one was given as ``extra``.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """Time (UTC), level, logger and message of a record; run, flow and step where they are known; and its extras.

    A traceback is in ``exception``. What JSON has no type for is written as text. Secrets of credentials are masked.
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
        if record.exc_text or record.exc_info:
            told["exception"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]
        if record.stack_info:
            told["stack"] = self.formatStack(record.stack_info)
        return masking.known.mask(json.dumps(told, ensure_ascii=False, default=str))


class _MaskingFactory:
    """Makes log records as the factory before it does, without the secrets that this process handed out."""

    def __init__(self, make: Any) -> None:
        self.make = make

    def __call__(self, *arguments: Any, **named: Any) -> logging.LogRecord:
        record: logging.LogRecord = self.make(*arguments, **named)
        if masking.known:
            _mask_message(record)
            _mask_traceback(record)
        return record


def mask_secrets() -> None:
    """From now on no log record of this process has in it what ``masking.known`` knows. Again changes nothing.

    Of all loggers: a library for HTTP writes addresses, and in those there may be a key.
    """
    make = logging.getLogRecordFactory()
    if not isinstance(make, _MaskingFactory):
        logging.setLogRecordFactory(_MaskingFactory(make))


def _mask_message(record: logging.LogRecord) -> None:
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001  arguments that do not fit; logging would print them all
        text = f"{record.msg!s} {record.args!r}"
    masked = masking.known.mask(text)
    if masked != text:
        record.msg, record.args = masked, None


def _mask_traceback(record: logging.LogRecord) -> None:
    if record.exc_info and isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        text = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
        masked = masking.known.mask(text)
        if masked != text:
            # Without the exception, which whoever handles the record would write out once more.
            record.exc_info, record.exc_text = None, masked
