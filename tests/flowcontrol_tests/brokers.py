"""Which message brokers this machine has. ``FLOWCONTROL_TEST_RABBITMQ_URL`` and ``…_REDIS_URL`` say where they are."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["BROKERS", "Broker", "unreachable"]


@dataclass(frozen=True)
class Broker:
    name: str
    variable: str
    default: str

    @property
    def url(self) -> str:
        return os.environ.get(self.variable) or self.default


BROKERS = (
    Broker("rabbitmq", "FLOWCONTROL_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
    Broker("redis", "FLOWCONTROL_TEST_REDIS_URL", "redis://127.0.0.1:6379/0"),
)


def unreachable(broker: Broker) -> str:
    """Why the tests cannot use this broker; empty when they can."""
    url = urlsplit(broker.url)
    try:
        socket.create_connection((url.hostname or "127.0.0.1", url.port or 0), timeout=3).close()
    except OSError as error:
        return str(error)
    return ""
