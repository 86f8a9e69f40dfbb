"""Which database the tests use, and which servers this machine has.

``FLOWCONTROL_TEST_DATABASE`` chooses: ``sqlite`` (the default), ``postgresql`` or ``mariadb``. A server is expected on
this machine; ``FLOWCONTROL_TEST_POSTGRESQL_URL`` and ``FLOWCONTROL_TEST_MARIADB_URL`` say otherwise. The tests make a
database of their own there, whose name is the URL's with ``test_`` before it.
"""

from __future__ import annotations

import atexit
import getpass
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pymysql

__all__ = ["DATABASES", "SERVERS", "Database", "chosen", "unreachable"]


@dataclass(frozen=True)
class Database:
    name: str
    engine: str
    #: The environment variable with the URL of the server, and the URL without one; empty: no server.
    variable: str = ""
    url: str = ""
    options: Mapping[str, Any] | None = None
    probe: Callable[[dict[str, Any]], None] | None = None

    def settings(self) -> dict[str, Any]:
        """An entry of ``settings.DATABASES``."""
        if not self.variable:
            return _sqlite()
        url = urlsplit(os.environ.get(self.variable) or self.url)
        return {
            "ENGINE": self.engine,
            "HOST": url.hostname or "",
            "PORT": str(url.port or ""),
            "USER": unquote(url.username or ""),
            "PASSWORD": unquote(url.password or ""),
            "NAME": url.path.strip("/") or "flowcontrol",
            "OPTIONS": dict(self.options or {}),
        }


def _sqlite() -> dict[str, Any]:
    """A file, since several processes have to open it. Each pytest process has its own, and removes it."""
    folder = tempfile.mkdtemp(prefix="flowcontrol-tests-")
    atexit.register(_remove, folder, os.getpid())
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(Path(folder) / "default.sqlite3"),
        "TEST": {"NAME": str(Path(folder) / "test.sqlite3")},
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            # A test database need not outlive a power cut.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
        },
    }


def _remove(folder: str, made_by: int) -> None:
    # A test's child processes inherit what is registered here.
    if os.getpid() == made_by:
        shutil.rmtree(folder, ignore_errors=True)


def _probe_postgresql(settings: dict[str, Any]) -> None:
    psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"] or None,
        user=settings["USER"],
        password=settings["PASSWORD"] or None,
        dbname="postgres",
        connect_timeout=3,
    ).close()


def _probe_mariadb(settings: dict[str, Any]) -> None:
    pymysql.connect(
        host=settings["HOST"],
        port=int(settings["PORT"] or 3306),
        user=settings["USER"],
        password=settings["PASSWORD"],
        connect_timeout=3,
    ).close()


_SQLITE = Database("sqlite", "django.db.backends.sqlite3")
SERVERS = (
    Database(
        "postgresql",
        "django.db.backends.postgresql",
        "FLOWCONTROL_TEST_POSTGRESQL_URL",
        f"postgresql://{getpass.getuser()}@127.0.0.1:5432/flowcontrol",
        probe=_probe_postgresql,
    ),
    Database(
        "mariadb",
        "django.db.backends.mysql",
        "FLOWCONTROL_TEST_MARIADB_URL",
        "mysql://root@127.0.0.1:3306/flowcontrol",
        {"charset": "utf8mb4"},
        probe=_probe_mariadb,
    ),
)
DATABASES = {database.name: database for database in (_SQLITE, *SERVERS)}


def chosen() -> Database:
    name = os.environ.get("FLOWCONTROL_TEST_DATABASE") or "sqlite"
    try:
        return DATABASES[name]
    except KeyError:
        raise ValueError(
            f"FLOWCONTROL_TEST_DATABASE is {name!r}, which is no database of the tests: {', '.join(DATABASES)}."
        ) from None


def unreachable(server: Database) -> str:
    """Why the tests cannot use this server; empty when they can."""
    assert server.probe is not None
    try:
        server.probe(server.settings())
    except (psycopg.Error, pymysql.MySQLError, OSError, ValueError) as error:
        return str(error).strip().splitlines()[0]
    return ""


# Django asks for mysqlclient by this name, and for a version that PyMySQL does not count up to.
pymysql.version_info = (2, 2, 7, "final", 1)
pymysql.install_as_MySQLdb()
