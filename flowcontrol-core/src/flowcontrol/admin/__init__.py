"""The admin: flows, triggers, runs and events. It asks; ``documents`` and ``engine`` do."""

from .events import EventAdmin
from .flows import FlowAdmin
from .runs import FlowRunAdmin
from .triggers import TriggerAdmin

__all__ = ["EventAdmin", "FlowAdmin", "FlowRunAdmin", "TriggerAdmin"]
