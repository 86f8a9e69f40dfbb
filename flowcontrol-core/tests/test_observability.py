"""Log lines as JSON, metrics and spans: with the libraries themselves, by way of the public hooks."""

from __future__ import annotations

import io
import json
import logging
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flowcontrol import plugins
from flowcontrol.engine.health import Health, HealthServer
from flowcontrol.logs import JsonFormatter
from flowcontrol.plugins.loader import isolated_plugins
from flowcontrol.signals import RunInfo
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("flowcontrol.test_observability")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger, stream
    logger.removeHandler(handler)


def test_a_log_line_is_one_json_object_with_run_flow_and_step(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, stream = log
    logger.info(
        "step “%s” took %d s",
        "é",
        3,
        extra={"step": "one", "flow": "orders", "run": 7, "at": NOON, "name_": {1, 2}},
    )
    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)

    assert list(told)[:7] == ["time", "level", "logger", "message", "run", "flow", "step"]
    assert datetime.fromisoformat(told.pop("time")).tzinfo is not None
    assert told == {
        "level": "INFO",
        "logger": "flowcontrol.test_observability",
        "message": "step “é” took 3 s",
        "run": 7,
        "flow": "orders",
        "step": "one",
        "at": str(NOON),
        "name_": "{1, 2}",
    }


def test_a_traceback_stays_on_the_line(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    try:
        raise ValueError("wrong\nin two lines")
    except ValueError:
        logger.exception("step failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: wrong\nin two lines" in json.loads(line)["exception"]
    assert "run" not in json.loads(line)


def ended(status: str = "completed", **facts: Any) -> RunInfo:
    return RunInfo(
        id=7, flow="orders", status=status, created_at=NOON, started_at=NOON + timedelta(seconds=1),
        ended_at=NOON + timedelta(seconds=31), **facts,
    )  # fmt: skip


def tell_of(run: RunInfo) -> None:
    plugins.notify("flowcontrol_run_started", run=run)
    plugins.notify("flowcontrol_run_finished", run=run)


def test_metrics_count_runs_and_measure_how_long_they_take() -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, {"flow": "orders", **labels}) or 0

    def values() -> list[float]:
        return [
            value("flowcontrol_runs_started_total"),
            value("flowcontrol_runs_finished_total", status="completed"),
            value("flowcontrol_runs_finished_total", status="failed"),
            value("flowcontrol_run_duration_seconds_sum", status="completed"),
            value("flowcontrol_run_duration_seconds_bucket", status="completed", le="15.0"),
            value("flowcontrol_run_duration_seconds_bucket", status="completed", le="60.0"),
        ]

    with isolated_plugins(entries=["flowcontrol.contrib.prometheus"]) as loaded:
        assert [report.reason for report in loaded.problems] == []
        before = values()
        tell_of(ended())
        tell_of(RunInfo(id=8, flow="orders", status="failed"))
        assert [after - b for after, b in zip(values(), before, strict=True)] == [2, 1, 1, 30, 0, 1]
        assert loaded.failures == {}


def test_a_worker_serves_the_metrics_beside_its_health() -> None:
    from flowcontrol.contrib import prometheus

    server = HealthServer(0, Health().told, prometheus.exposition)
    server.start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
            assert "# TYPE flowcontrol_runs_started_total counter" in answer.read().decode()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=10) as answer:
            assert json.load(answer)["is_well"] is True
    finally:
        server.close()


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter


def test_a_run_that_ended_is_a_span(spans: InMemorySpanExporter) -> None:
    with isolated_plugins(entries=["flowcontrol.contrib.opentelemetry"]) as loaded:
        assert [report.reason for report in loaded.problems] == []
        tell_of(ended("failed", reason="Step failed", queue="slow", steps=3, parent=5))
        assert loaded.failures == {}
    (span,) = spans.get_finished_spans()

    assert (span.name, span.parent) == ("flow orders", None)
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 30_000_000_000
    assert span.start_time == int(NOON.timestamp() + 1) * 1_000_000_000
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description == "Step failed"
    assert dict(span.attributes or {}) == {
        "flowcontrol.run": 7,
        "flowcontrol.flow": "orders",
        "flowcontrol.status": "failed",
        "flowcontrol.reason": "Step failed",
        "flowcontrol.queue": "slow",
        "flowcontrol.steps": 3,
        "flowcontrol.parent": 5,
    }


@pytest.mark.parametrize(
    ("name", "library"), [("prometheus", "prometheus_client"), ("opentelemetry", "opentelemetry")]
)
def test_without_its_library_the_plugin_says_what_to_install(
    name: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, f"flowcontrol.contrib.{name}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with isolated_plugins(entries=[f"flowcontrol.contrib.{name}"]) as loaded:
        (report,) = loaded.problems
    assert f'{library} is missing. Run: pip install "flowcontrol-core[{name}]"' in report.reason
