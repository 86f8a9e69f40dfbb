"""Metrics about runs for Prometheus: pip install "flowcontrol-core[prometheus]", and

    FLOWCONTROL = {"PLUGINS": [..., "flowcontrol.contrib.prometheus"]}

``flowcontrol_runs_started_total{flow}``, ``flowcontrol_runs_finished_total{flow, status}`` and the histogram
``flowcontrol_run_duration_seconds{flow, status}``, from the first step of a run to its end, waits included. They are
in the registry of ``prometheus_client``, which a project serves as it serves its other metrics; a worker has them at
``/metrics`` of its ``--health-port``. Several processes on one machine share a folder: ``PROMETHEUS_MULTIPROC_DIR``.
"""

from __future__ import annotations

import os

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector
except ImportError as error:
    raise ImportError(
        'prometheus_client is missing. Run: pip install "flowcontrol-core[prometheus]"'
    ) from error

from .. import API_VERSION
from ..hookspecs import PluginInfo, RunInfo, hookimpl

__all__ = ["DURATION", "FINISHED", "STARTED", "exposition"]

#: From a hundredth of a second to a month: runs wait.
_BUCKETS = (0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400, 604_800, 2_592_000)

STARTED = Counter("flowcontrol_runs_started", "Runs that took their first step.", ["flow"])
FINISHED = Counter("flowcontrol_runs_finished", "Runs that ended.", ["flow", "status"])
DURATION = Histogram(
    "flowcontrol_run_duration_seconds",
    "From the first step of a run to its end, waits included.",
    ["flow", "status"],
    buckets=_BUCKETS,
)


@hookimpl
def flowcontrol_plugin_info() -> PluginInfo:
    return PluginInfo(api=API_VERSION, label="Prometheus metrics")


@hookimpl
def flowcontrol_run_started(run: RunInfo) -> None:
    STARTED.labels(run.flow).inc()


@hookimpl
def flowcontrol_run_finished(run: RunInfo) -> None:
    FINISHED.labels(run.flow, run.status).inc()
    if run.started_at is not None and run.ended_at is not None:
        DURATION.labels(run.flow, run.status).observe((run.ended_at - run.started_at).total_seconds())


def exposition() -> bytes:
    """The metrics of this process, or of all processes that share a folder, as Prometheus reads them."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
