"""Tables and queryset words: facts only. What changes a run lives in ``flowcontrol.engine``."""

from .credential import Credential
from .flow import Flow, FlowVersion, RunLimit
from .records import StepRecord
from .run import FlowRun, HistoryChunk, RunStatus, TakenEvent
from .trigger import Event, Trigger
from .worker import Worker

__all__ = [
    "Credential",
    "Event",
    "Flow",
    "FlowRun",
    "FlowVersion",
    "HistoryChunk",
    "RunLimit",
    "RunStatus",
    "StepRecord",
    "TakenEvent",
    "Trigger",
    "Worker",
]
