"""The same message many times at once, over a real server: one run for each id (R20)."""

from __future__ import annotations

import http.client
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connections
from flowcontrol.engine import continue_flowruns, triggers
from flowcontrol.models import Event, FlowRun
from webhook_world import Message, endpoint, listening, message, project, url_of

from flowcontrol_actions_http.models import Call

__all__ = ["project"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.every_database,
    pytest.mark.usefixtures("project"),
]

#: How many at once. The other size: FLOWCONTROL_FULL_SIZE=1.
POSTS = 1_000 if os.environ.get("FLOWCONTROL_FULL_SIZE") == "1" else 200
THREADS = 16


@pytest.fixture
def address(live_server: Any) -> Iterator[str]:
    yield urlsplit(live_server.url).netloc


def sent(address: str, path: str, one: Message) -> tuple[int, bytes]:
    """The answer to a message. Django's server queues ten connections, and resets those beyond: senders try again."""
    for _ in range(100):
        with suppress(ConnectionResetError):
            return _sent(address, path, one)
    pytest.fail("the server takes no connections")


def _sent(address: str, path: str, one: Message) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request("POST", path, one.body, one.headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def at_once(count: int, work: Callable[[int], tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    barrier = threading.Barrier(THREADS)

    def begin(number: int) -> tuple[int, bytes]:
        if number < THREADS:
            barrier.wait(30)
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(count)))


def test_a_message_that_comes_many_times_at_once_starts_one_run_and_each_time_is_told_which(
    address: str,
) -> None:
    listening()
    one = endpoint(calls_per_minute=100_000)
    signed = message("standard", {"amount": 5})
    answers = at_once(POSTS, lambda _: sent(address, url_of(one), signed))
    run = FlowRun.objects.get()
    expected = b'{"event": %d, "runs": [%d]}' % (Event.objects.get().pk, run.pk)
    assert Counter(answers) == {(202, expected): POSTS}
    assert Counter(Call.objects.values_list("outcome", flat=True)) == {"accepted": 1, "repeated": POSTS - 1}


def test_many_messages_at_once_each_of_them_twice_start_one_run_each(address: str) -> None:
    listening()
    one = endpoint(calls_per_minute=100_000)
    ids = [f"msg_{number // 2}" for number in range(POSTS)]
    answers = at_once(POSTS, lambda number: sent(address, url_of(one), message("standard", id_=ids[number])))
    assert {status for status, _ in answers} == {202}
    assert Counter(run.state["id"] for run in FlowRun.objects.all()) == dict.fromkeys(ids, 1)


def test_without_the_key_a_replay_would_start_a_run_each_time(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hole, with the guard off: what the two tests above would not see is not there."""
    monkeypatch.setattr(triggers, "digest", lambda key: os.urandom(32).hex())
    listening()
    one = endpoint(calls_per_minute=100_000)
    signed = message("standard")
    at_once(THREADS, lambda _: sent(address, url_of(one), signed))
    assert FlowRun.objects.count() == THREADS


def test_a_link_that_is_used_many_times_at_once_answers_once(address: str, run_flow: Any) -> None:
    config = {"choices": [str(number) for number in range(20)], "save_as": "answer"}
    result = run_flow({"id": "ask", "action": "http.wait_for_callback", "config": config}, status="waiting")
    path = f"/{result.state['callback_url'].split('/', 3)[3]}"

    def answer(number: int) -> tuple[int, bytes]:
        body = b'{"choice": "%d"}' % (number % 20)
        return sent(address, path, Message(body, {"Content-Type": "application/json"}))

    answers = at_once(THREADS, answer)
    assert Counter(status for status, _ in answers) == {200: 1, 409: THREADS - 1}
    assert Event.objects.filter(name__startswith="http.callback").count() == 1
    continue_flowruns()
    (winner,) = [number for number, (status, _) in enumerate(answers) if status == 200]
    assert result.go_on().state["answer"]["choice"] == str(winner % 20)


def test_a_caller_that_waits_is_answered_by_a_worker_that_works_meanwhile(address: str) -> None:
    listening({"id": "answer", "action": "http.respond", "config": {"json": {"id": "id"}}})
    one = endpoint(wait_seconds=20)
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.02):
            continue_flowruns()
        connections.close_all()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        answers = [sent(address, url_of(one), message("standard", id_=f"m{number}")) for number in range(3)]
    finally:
        stop.set()
        worker.join(30)
    assert answers == [(200, b'{"id": "m%d"}' % number) for number in range(3)]
