"""A database of the benchmark's own, with flowcontrol in this process; and what it takes to measure it."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.db import connection

BENCHMARKS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(BENCHMARKS), str(BENCHMARKS / "contenders")]

_SLOT = f"flowcontrol_scale_{os.getpid()}"
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def set_up(database: dict[str, Any]) -> None:
    """Configure Django on this database and make the tables."""
    settings.configure(
        SECRET_KEY="benchmark",  # noqa: S106  no secret
        USE_TZ=True,
        DATABASES={"default": {**database, "CONN_MAX_AGE": None}},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "flowcontrol", "bench_app"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        FLOWCONTROL={"PLUGINS": ["builtin"]},
    )
    django.setup()
    django.core.management.call_command("migrate", verbosity=0)


def fetch(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall()) if cursor.description else []


def value(sql: str, *parameters: Any) -> Any:
    ((found,),) = fetch(sql, *parameters)
    return found


def median_ms(work: Callable[[], object], times: int = 15) -> float:
    """Of so many calls, after one that is not counted."""
    work()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(1_000 * (time.perf_counter() - began))
    return statistics.median(taken)


@dataclass(frozen=True)
class Cost:
    """What something cost this process and the database, in all."""

    seconds: float
    #: Of this process, and of the process that serves it.
    python_seconds: float
    database_seconds: float
    #: Of the write-ahead log, without the images of whole pages: how many there are depends on how lately the server
    #: made a checkpoint.
    wal_bytes: int
    wal_image_bytes: int
    commits: int
    rows_inserted: int
    rows_updated: int
    #: Of these, as many did not touch an index.
    rows_updated_hot: int


def cost(work: Callable[[], object]) -> Cost:
    backend = value("SELECT pg_backend_pid()")
    # Temporary: it keeps the log from being removed before it is read, and is gone with this connection.
    fetch("SELECT pg_create_physical_replication_slot(%s, true, true)", _SLOT)
    place = value("SELECT pg_current_wal_insert_lsn()::text")
    before = _counters(backend)
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    after = _counters(backend)
    python, database, *rows = (end - start for start, end in zip(before, after, strict=True))
    log = _wal_since(place)
    fetch("SELECT pg_drop_replication_slot(%s)", _SLOT)
    return Cost(seconds, python, database, *log, *rows)


def _wal_since(place: str) -> tuple[int, int]:
    """Bytes of records and of images that are about this database: others of the server write to the same log."""
    fetch("CREATE EXTENSION IF NOT EXISTS pg_walinspect")
    # A commit that waits for the disk, so that all that came before can be read back.
    fetch("SELECT txid_current()")
    ((records, images),) = fetch(
        "SELECT COALESCE(sum(record_length - fpi_length), 0)::bigint, COALESCE(sum(fpi_length), 0)::bigint "
        "FROM pg_get_wal_records_info(%s, pg_current_wal_flush_lsn()) WHERE block_ref LIKE "
        "'%%/' || (SELECT oid FROM pg_database WHERE datname = current_database()) || '/%%'",
        place,
    )
    return records, images


def _counters(backend: int) -> tuple[Any, ...]:
    # What the backend counted reaches the views when it is asked to, or a second later.
    fetch("SELECT pg_stat_force_next_flush()")
    fetch("SELECT 1")
    commits = value("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    ((inserted, updated, hot),) = fetch(
        "SELECT sum(n_tup_ins)::bigint, sum(n_tup_upd)::bigint, sum(n_tup_hot_upd)::bigint "
        "FROM pg_stat_user_tables"
    )
    return time.process_time(), _cpu(backend), commits, inserted, updated, hot


def _cpu(pid: int) -> float:
    """Seconds of a processor that a process of this machine has used; 0 where it is on another one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS
