"""The engine: the only writer of runs. These names are its public face; the modules below are ours to change."""

from typing import TYPE_CHECKING

from ..lazy import exports

if TYPE_CHECKING:
    from .awaiting import end_event
    from .clock import Clock
    from .due import Route, Summary, continue_flowruns, count_due, execute_run, routes, seconds_until_due
    from .duties import tidy
    from .operations import Changed, cancel_runs, pause_runs, restart_run, resume_runs
    from .presence import Presence, differing_workers
    from .starting import Refused, Started, start_flow
    from .triggers import Fired, fire_trigger, send_event
else:
    __getattr__ = exports(
        __name__,
        {
            "awaiting": ["end_event"],
            "clock": ["Clock"],
            "due": [
                "Route",
                "Summary",
                "continue_flowruns",
                "count_due",
                "execute_run",
                "routes",
                "seconds_until_due",
            ],
            "duties": ["tidy"],
            "operations": ["Changed", "cancel_runs", "pause_runs", "restart_run", "resume_runs"],
            "presence": ["Presence", "differing_workers"],
            "starting": ["Refused", "Started", "start_flow"],
            "triggers": ["Fired", "fire_trigger", "send_event"],
        },
    )

__all__ = [
    "Changed",
    "Clock",
    "Fired",
    "Presence",
    "Refused",
    "Route",
    "Started",
    "Summary",
    "cancel_runs",
    "continue_flowruns",
    "count_due",
    "differing_workers",
    "end_event",
    "execute_run",
    "fire_trigger",
    "pause_runs",
    "restart_run",
    "resume_runs",
    "routes",
    "seconds_until_due",
    "send_event",
    "start_flow",
    "tidy",
]
