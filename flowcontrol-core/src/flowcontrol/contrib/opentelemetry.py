"""A span of OpenTelemetry for each run: pip install "flowcontrol-core[opentelemetry]", and

    FLOWCONTROL = {"PLUGINS": [..., "flowcontrol.contrib.opentelemetry"]}

The span is made when the run ends, with the dates of its first step and its end: in between, a run may have waited for
weeks and gone through many processes, and no span lives in a database. Where spans go is the project's own setting, a
``TracerProvider``; without one nothing is recorded.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

try:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Status, StatusCode
except ImportError as error:
    raise ImportError(
        'opentelemetry is missing. Run: pip install "flowcontrol-core[opentelemetry]"'
    ) from error

from .. import API_VERSION, __version__
from ..hookspecs import PluginInfo, RunInfo, hookimpl

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@hookimpl
def flowcontrol_plugin_info() -> PluginInfo:
    return PluginInfo(api=API_VERSION, label="OpenTelemetry spans")


@hookimpl
def flowcontrol_run_finished(run: RunInfo) -> None:
    end = _nanoseconds(run.ended_at) or time.time_ns()
    span = trace.get_tracer("flowcontrol", __version__).start_span(
        f"flow {run.flow}",
        # A trace of its own: what happens to be under way in this process has nothing to do with the run.
        context=Context(),
        start_time=_nanoseconds(run.started_at) or _nanoseconds(run.created_at) or end,
        attributes=_attributes(run),
    )
    if run.status == "failed":
        span.set_status(Status(StatusCode.ERROR, run.reason))
    span.end(end_time=end)


def _attributes(run: RunInfo) -> dict[str, str | int]:
    told: dict[str, str | int | None] = {
        "flowcontrol.run": run.id,
        "flowcontrol.flow": run.flow,
        "flowcontrol.status": run.status,
        "flowcontrol.reason": run.reason,
        "flowcontrol.queue": run.queue,
        "flowcontrol.steps": run.steps,
        "flowcontrol.parent": run.parent,
        "flowcontrol.object_model": run.object_model,
        "flowcontrol.object_pk": run.object_pk,
    }
    return {name: value for name, value in told.items() if value is not None and value != ""}


def _nanoseconds(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1) * 1_000
