"""The admin: flows, triggers, runs, events and credentials. It asks; ``documents`` and ``engine`` do."""

from .credentials import CredentialAdmin
from .events import EventAdmin
from .flows import FlowAdmin
from .runs import FlowRunAdmin
from .triggers import TriggerAdmin

__all__ = ["CredentialAdmin", "EventAdmin", "FlowAdmin", "FlowRunAdmin", "TriggerAdmin"]
