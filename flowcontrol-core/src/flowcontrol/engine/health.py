"""Whether this worker is well, for whoever watches over it: a file that it touches, or a port that answers."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .. import conf

__all__ = ["Health", "HealthServer"]

logger = logging.getLogger("flowcontrol.engine")

#: Whether all is well, and the facts.
Told = Callable[[], tuple[bool, Mapping[str, Any]]]

#: A file is touched no more often than this.
_TOUCH_SECONDS = 1.0


class Health:
    """When the worker's loop made its last round, and where that is told."""

    def __init__(self, path: Path | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.monotonic = monotonic
        self.last_round = monotonic()
        self.is_stopping = False
        self._touched: float | None = None

    def beat(self) -> None:
        """The loop made a round, or a run took a step."""
        self.last_round = self.monotonic()
        if self.path is None or (
            self._touched is not None and self.last_round - self._touched < _TOUCH_SECONDS
        ):
            return
        self._touched = self.last_round
        try:
            self.path.touch()
        except OSError as error:
            # Whoever watches the file will see that it is old; the work goes on.
            logger.error("health file not touched: %s", error)

    def remove(self) -> None:
        """The worker stopped, as it should: no file, nothing to watch."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def told(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether all is well, and the facts."""
        age = self.monotonic() - self.last_round
        is_well = age <= conf.get("HEALTH_SECONDS")
        return is_well, {
            "is_well": is_well,
            "last_round_seconds": round(age, 3),
            "is_stopping": self.is_stopping,
        }


class HealthServer:
    """Answers on a port: 200 while all is well and 503 otherwise, with the facts as JSON; ``metrics`` at /metrics."""

    def __init__(self, port: int, told: Told, metrics: Callable[[], bytes] | None = None) -> None:
        # On all addresses: whoever asks is rarely on this machine, and there is nothing to keep from anybody.
        self._server = ThreadingHTTPServer(("", port), _handler(told, metrics))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="flowcontrol-health", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(told: Told, metrics: Callable[[], bytes] | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            if self.path == "/metrics" and metrics is not None:
                self.answer(200, "text/plain; version=0.0.4; charset=utf-8", metrics())
                return
            is_well, facts = told()
            self.answer(200 if is_well else 503, "application/json", json.dumps(facts).encode())

        def answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815  the base class calls it so

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as in the base class
            logger.debug(format, *args)

    return Handler
