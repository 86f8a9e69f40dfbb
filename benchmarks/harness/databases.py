"""Databases of the benchmarks' own, made for one contender and dropped afterwards."""

from __future__ import annotations

import getpass
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import psycopg


class Databases:
    """On one kind of database; a context manager, so that nothing is left behind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.made: dict[str, dict[str, Any]] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="flowcontrol-bench-"))
        default = f"postgresql://{getpass.getuser()}@127.0.0.1:5432/postgres"
        self.url = os.environ.get("FLOWCONTROL_BENCH_POSTGRESQL_URL") or default

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for entry in self.made.values():
            if self.kind == "postgresql":
                self._execute(f'DROP DATABASE IF EXISTS "{entry["NAME"]}" WITH (FORCE)')
        shutil.rmtree(self.folder, ignore_errors=True)

    def entry(self, name: str) -> tuple[dict[str, Any], bool]:
        """An entry of ``settings.DATABASES`` for the database of this name, and whether it is new."""
        if name in self.made:
            return self.made[name], False
        self.made[name] = self._postgresql(name) if self.kind == "postgresql" else self._sqlite(name)
        return self.made[name], True

    def server(self) -> str:
        """What it is, in words."""
        if self.kind == "sqlite":
            return "SQLite, write-ahead log, synchronous FULL"
        with psycopg.connect(self.url) as connection:
            wanted = ("server_version", "fsync", "synchronous_commit", "shared_buffers")
            shown = [(name, connection.execute(f"SHOW {name}").fetchone()) for name in wanted]
        return "PostgreSQL " + ", ".join(f"{name} {row[0] if row else '?'}" for name, row in shown)

    def _postgresql(self, name: str) -> dict[str, Any]:
        database = f"flowcontrol_bench_{name}_{os.getpid()}"
        self._execute(f'DROP DATABASE IF EXISTS "{database}"')
        self._execute(f'CREATE DATABASE "{database}"')
        url = urlsplit(self.url)
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": url.hostname or "",
            "PORT": str(url.port or 5432),
            "USER": unquote(url.username or ""),
            "PASSWORD": unquote(url.password or ""),
            "NAME": database,
            # What docs/operations.md advises, for the peer as well; driver and DBOS have it without being told.
            "OPTIONS": {"server_side_binding": True, "prepare_threshold": 5},
        }

    def _sqlite(self, name: str) -> dict[str, Any]:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(self.folder / f"{name}.sqlite3"),
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 30,
                "init_command": "PRAGMA journal_mode=WAL",
            },
        }

    def _execute(self, sql: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql)
