"""Notifications on PostgreSQL: once for each commit that made something due, and never for one that did not happen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.test import override_settings
from flowcontrol.engine import notify

pytestmark = pytest.mark.django_db(transaction=True)


class Ear:
    """A connection that listens."""

    def __init__(self) -> None:
        self.connection: Any = psycopg.connect(**connection.get_connection_params(), autocommit=True)
        self.connection.execute(f"LISTEN {notify.CHANNEL}")

    def heard(self) -> int:
        return len(list(self.connection.notifies(timeout=0.2)))


@pytest.fixture
def ear(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ear]:
    notify._sent.clear()
    # Each counts, however soon it comes.
    monkeypatch.setattr(notify, "QUIET_SECONDS", 0.0)
    ear = Ear()
    yield ear
    ear.connection.close()


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.mark.postgresql
def test_each_commit_notifies_once(ear: Ear) -> None:
    with transaction.atomic():
        notify.send()
        with transaction.atomic():
            notify.send()
        notify.send()
        assert ear.heard() == 0, "nothing is committed yet"
    assert ear.heard() == 1
    notify.send()
    assert ear.heard() == 1


@pytest.mark.postgresql
def test_what_is_rolled_back_notifies_nobody(ear: Ear) -> None:
    with rolled_back():
        notify.send()
    assert ear.heard() == 0


@pytest.mark.postgresql
def test_a_rollback_to_a_savepoint_takes_no_other_notification_along(ear: Ear) -> None:
    with transaction.atomic():
        with rolled_back():
            notify.send()
        with transaction.atomic():
            notify.send()
    assert ear.heard() == 1
    with transaction.atomic():
        notify.send()
        with rolled_back():
            notify.send()
    assert ear.heard() == 1


@pytest.mark.postgresql
def test_one_that_is_in_a_savepoint_does_not_stand_for_one_outside_of_it(ear: Ear) -> None:
    with transaction.atomic():
        with rolled_back():
            with transaction.atomic():
                notify.send()
            notify.send()
        notify.send()
    assert ear.heard() == 1


@pytest.mark.postgresql
def test_a_process_notifies_once_in_a_while(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(notify, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(notify, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for _ in range(3):
        notify.send()
    assert ear.heard() == 1
    now[0] += 0.2
    notify.send()
    assert ear.heard() == 1


@pytest.mark.postgresql
@override_settings(FLOWCONTROL={"LISTEN_NOTIFY": False})
def test_the_setting_switches_it_off(ear: Ear) -> None:
    notify.send()
    assert ear.heard() == 0
    assert not notify.can_listen("default")


@pytest.mark.postgresql
def test_a_listener_hears_and_ends_at_once_when_it_is_closed(ear: Ear) -> None:
    rung = threading.Event()
    listener = notify.Listener("default", rung.set)
    listener.start()
    assert rung.wait(10), "once at its beginning"
    assert listener.is_listening
    rung.clear()
    notify.send()
    assert rung.wait(10)
    listener.close()
    assert not listener._thread.is_alive()


def test_elsewhere_nothing_is_sent() -> None:
    if connection.vendor == "postgresql":
        pytest.skip("this is PostgreSQL")
    with transaction.atomic():
        notify.send()
        assert connection.run_on_commit == []
