"""The demonstration: a shop with four bikes, six flows, a worker and the admin, from nothing within a minute.

``python3 dev.py demo`` stays until Ctrl-C, for looking around. ``python3 dev.py demo --once`` leaves nothing
running, and exits with 0 only when all runs came to their expected ends.
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import sys
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import django

HERE = Path(__file__).resolve().parent


def main() -> int:
    options = parse()
    broker = ""
    if options.scheduler == "celery":
        broker = options.broker or found_broker()
        if not broker:
            print(NO_BROKER, file=sys.stderr)
            return 1
    # For this process and for the web server and the worker, which are to share the key.
    os.environ |= {
        "REPAIRSHOP_SCHEDULER": options.scheduler,
        "REPAIRSHOP_BROKER": broker,
        "DJANGO_SETTINGS_MODULE": "repairshop.settings",
        "REPAIRSHOP_FOLDER": str(options.folder),
        "REPAIRSHOP_SECRET_KEY": secrets.token_urlsafe(40),
        "REPAIRSHOP_LOG": "INFO",
    }
    django.setup()
    # Not at the top: its imports need Django to be set up.
    show = import_module("demonstration.show").show
    return int(show(options))


#: Where brokers are on a developer's machine.
BROKERS = ("redis://127.0.0.1:6379/0", "amqp://guest:guest@127.0.0.1:5672//")
NO_BROKER = f"""\
Celery needs a message broker, and there is none at {" or ".join(BROKERS)}. Start one:

    docker run --rm -p 6379:6379 redis          or          docker run --rm -p 5672:5672 rabbitmq
    apt install redis-server                    or          brew install redis && redis-server

or say where it is: python3 dev.py demo --scheduler celery --broker redis://HOST:6379/0"""


def found_broker() -> str:
    """The URL of a broker that answers on this machine; empty when none does."""
    for url in BROKERS:
        where = urlsplit(url)
        try:
            socket.create_connection((where.hostname or "", where.port or 0), timeout=2).close()
        except OSError:
            continue
        return url
    return ""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description="flowcontrol at work in a bicycle repair shop.")
    parser.add_argument(
        "--once",
        action="store_true",
        help="Stop when all is done. Exit code 0: each run came to its expected end.",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=8000,
        help="Port of the web server; a free one when it is taken. Default: 8000.",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=HERE.parent / "demo",
        help="Where the database goes, anew; default: demo.",
    )
    parser.add_argument(
        "--flows", type=Path, default=HERE / "flows", help="Folder of the flows; default: example/flows."
    )
    parser.add_argument(
        "--scheduler",
        choices=["polling", "celery"],
        default="polling",
        help="Who executes due runs: a worker that asks the database, or Celery. Default: polling.",
    )
    parser.add_argument(
        "--broker",
        metavar="URL",
        default="",
        help="Celery's broker; default: Redis or RabbitMQ, whichever is found on this machine.",
    )
    options = parser.parse_args()
    options.folder, options.flows = options.folder.resolve(), options.flows.resolve()
    if not list(options.flows.glob("*.yaml")):
        parser.error(f"there are no flows (*.yaml) in {options.flows}")
    return options


if __name__ == "__main__":
    sys.exit(main())
