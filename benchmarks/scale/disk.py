"""How many commits the disk of the database takes, one by one and side by side: the bound of all that is written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg


def commits_per_second(
    where: dict[str, Any], connections: Sequence[int], seconds: float, tell: Callable[[str], None]
) -> dict[int, float]:
    found = {}
    for count in connections:
        found[count] = _measure(where, count, seconds)
        tell(f"{count:>3} connections: {found[count]:>8,.0f} commits/s")
    return found


def _measure(where: dict[str, Any], count: int, seconds: float) -> float:
    with _connect(where) as connection:
        connection.execute("DROP TABLE IF EXISTS commits")
        connection.execute("CREATE TABLE commits (id int PRIMARY KEY, n int)")
        connection.execute("INSERT INTO commits SELECT i, 0 FROM generate_series(1, %s) i", [count])
    done = [0] * count
    threads = [
        threading.Thread(target=_commit, args=[where, number, seconds, done]) for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / seconds


def _commit(where: dict[str, Any], number: int, seconds: float, done: list[int]) -> None:
    with _connect(where) as connection:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            connection.execute("UPDATE commits SET n = n + 1 WHERE id = %s", [number + 1])
            done[number] += 1


def _connect(where: dict[str, Any]) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=where["HOST"],
        port=where["PORT"],
        user=where["USER"],
        password=where["PASSWORD"] or None,
        dbname=where["NAME"],
        autocommit=True,
    )
