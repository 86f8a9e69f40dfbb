"""A database for one scenario alone, and a PostgreSQL server of its own where one has to be stopped."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pymysql
from flowcontrol_tests.databases import DATABASES

__all__ = ["PrivateServer", "database", "private_server"]

Settings = dict[str, Any]


@contextmanager
def database(kind: str, server: Settings | None = None) -> Iterator[Settings]:
    """An empty database, as an entry of ``settings.DATABASES``; dropped afterwards."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="flowcontrol-faults-") as folder:
            yield {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(Path(folder) / "faults.sqlite3"),
                "OPTIONS": {
                    "timeout": 30,
                    "transaction_mode": "IMMEDIATE",
                    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
                },
            }
        return
    settings = {**(server or DATABASES[kind].settings())}
    settings["NAME"] = f"flowcontrol_faults_{os.getpid()}_{random.randrange(10**6)}"
    _administer(kind, settings, f"CREATE DATABASE {settings['NAME']}")
    try:
        yield settings
    finally:
        forced = " WITH (FORCE)" if kind == "postgresql" else ""
        _administer(kind, settings, f"DROP DATABASE IF EXISTS {settings['NAME']}{forced}")


def _administer(kind: str, settings: Settings, sql: str) -> None:
    login = {"host": settings["HOST"], "user": settings["USER"], "password": settings["PASSWORD"]}
    if kind == "postgresql":
        with psycopg.connect(
            **login, port=settings["PORT"] or None, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(sql)
        return
    maria = pymysql.connect(**login, port=int(settings["PORT"] or 3306), autocommit=True)
    try:
        maria.cursor().execute(sql)
    finally:
        maria.close()


@dataclass
class PrivateServer:
    """A PostgreSQL server that nobody else uses, so that it may be stopped the hard way."""

    folder: Path
    port: int
    program: str

    def settings(self) -> Settings:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "USER": "postgres",
            "PASSWORD": "",
            "NAME": "postgres",
        }

    def control(self, *arguments: str) -> None:
        command = [self.program, "-D", str(self.folder / "data"), "-w", "-s", *arguments]
        subprocess.run(_as_postgres(command), check=True, cwd="/", stdout=subprocess.DEVNULL)

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -h 127.0.0.1"
        self.control("start", "-l", str(self.folder / "log"), "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        self.control("stop", "-m", mode)


@contextmanager
def private_server() -> Iterator[PrivateServer | str]:
    """Such a server, running; or why there can be none here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    program = str(found[-1]) if found else shutil.which("pg_ctl")
    if program is None:
        yield "no pg_ctl"
        return
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        yield "no runuser, and PostgreSQL does not run as root"
        return
    folder = Path(tempfile.mkdtemp(prefix="flowcontrol-faults-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    server = PrivateServer(folder, _free_port(), program)
    initdb = str(Path(program).resolve().with_name("initdb"))
    command = [initdb, "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "--no-sync"]
    subprocess.run(_as_postgres(command), check=True, cwd="/", stdout=subprocess.DEVNULL)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _as_postgres(command: list[str]) -> list[str]:
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
