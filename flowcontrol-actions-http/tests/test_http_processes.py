"""Connections of a process: many requests at once, no run held up by another's, and nothing handed on by a fork."""

from __future__ import annotations

import os
import threading
import time

import pytest
from flowcontrol.documents import import_flow
from flowcontrol.engine import continue_flowruns, start_flow
from flowcontrol.models import FlowRun
from flowcontrol.signals import run_finished
from http_servers import reply

from flowcontrol_actions_http import pools, tls
from flowcontrol_actions_http.exchange import Bounds, Sending, exchange

pytest_plugins = ["http_world"]

BOUNDS = Bounds(connect=2.0, read=5.0, total=10.0, max_bytes=10_000)


def in_a_fork(function) -> str:
    """What the function gives in a child of this process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = function()
        except BaseException as error:  # noqa: BLE001  the parent has to hear of it
            told = f"{type(error).__name__}: {error}"
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        told = stream.read()
    os.waitpid(child, 0)
    return told


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_speaks_on_no_connection_of_its_parent(server):
    server.says("/", b"fine")
    exchange(Sending("GET", server.url()), BOUNDS)

    def ask() -> str:
        return exchange(Sending("GET", server.url()), BOUNDS).content.decode()

    assert in_a_fork(ask) == "fine"
    assert in_a_fork(ask) == "fine"
    exchange(Sending("GET", server.url()), BOUNDS)
    connections = [seen.connection for seen in server.seen]
    assert len(set(connections)) == 3
    assert connections[0] == connections[3], "the parent's connection is as it was"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_in_the_middle_of_requests_waits_for_no_lock_of_its_parent(server):
    server.says("/slow", b"", after=0.5)
    server.says("/", b"fine")
    threads = [
        threading.Thread(target=exchange, args=(Sending("GET", server.url("/slow")), BOUNDS))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    with pools._pools.lock:
        told = in_a_fork(lambda: exchange(Sending("GET", server.url()), BOUNDS).content.decode())
    for thread in threads:
        thread.join()
    assert told == "fine"


def test_there_is_one_pool_for_all_threads(reachable):
    found = []
    profile = tls.profile("http", "a.test")
    threads = [threading.Thread(target=lambda: found.append(pools.pool(profile))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert len({id(one) for one in found}) == 1


@pytest.mark.timing
@pytest.mark.django_db(transaction=True)
def test_fifty_requests_and_more_are_under_way_at_once_and_no_other_run_is_held_up(server):
    other_is_done, pause = threading.Event(), threading.Event()

    def answer(handler, seen):
        # Held up by these requests, the other run would not be done before this is over.
        other_is_done.wait(10)
        pause.wait(0.2)
        reply(handler, b'{"a": 1}', 200, {"Content-Type": "application/json"})

    server.answers["/"] = answer
    ask = {
        "id": "ask",
        "action": "http.request",
        "config": {"url": server.url(), "save": {"a": "response.body.a"}},
    }
    asking = import_flow({"flowcontrol": 1, "slug": "asks", "name": "Asks", "steps": [ask]})
    other = import_flow({"flowcontrol": 1, "slug": "other", "name": "Other", "steps": []})
    for _ in range(100):
        start_flow(asking)
    start_flow(other)

    def heard(run, **_):
        if run.flow == "other":
            other_is_done.set()

    run_finished.connect(heard)
    try:
        began = time.monotonic()
        continue_flowruns(threads=64)
        took = time.monotonic() - began
    finally:
        run_finished.disconnect(heard)
    runs = FlowRun.objects.filter(flow=asking)
    assert {run.status for run in runs} == {"completed"}
    assert all(run.state["a"] == 1 for run in runs)
    assert FlowRun.objects.get(flow=other).status == "completed"
    assert server.most_at_once >= 50
    assert took < 100 * 0.2 / 4, f"one after the other takes 20 s, and this took {took:.1f} s"
