"""The keys of the format in one table: for validation, JSON Schema and the order of keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..base import Retry

__all__ = [
    "DOCUMENT",
    "EXCEPTION_PATTERN",
    "FORMAT",
    "ID_PATTERN",
    "LIMITS",
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_ID_LENGTH",
    "MAX_NESTING",
    "MAX_STEPS",
    "RETRY",
    "STEP",
    "TRIGGER",
    "Key",
]

#: Version of the format that this code reads and writes.
FORMAT = 1
#: Steps in one flow, steps inside each other, and how deep the JSON of a document may nest in all.
MAX_STEPS = 10_000
MAX_DEPTH = 64
MAX_NESTING = 300
#: A document as compact JSON.
MAX_BYTES = 2_097_152

MAX_ID_LENGTH = 64
ID_PATTERN = "^[a-z][a-z0-9_]*$"
#: A class by its name, or with its module before it.
EXCEPTION_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"
_NAME_PATTERN = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$"


@dataclass(frozen=True)
class Key:
    """A key of a mapping in a document. ``schema`` is its fragment of JSON Schema, of which validation reads
    the keywords type, const, enum, pattern, minLength, maxLength, minimum, exclusiveMinimum and maximum; ``hint``
    says what is expected.

    A key that is not required may be null, which means absent; ``default`` is what absent means.
    """

    name: str
    hint: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    is_required: bool = False
    default: Any = ""


_COUNT = {"type": "integer", "minimum": 0}
_YEAR_IN_SECONDS = 31_536_000
_WEEK_IN_SECONDS = 604_800

DOCUMENT: tuple[Key, ...] = (
    Key("flowcontrol", f"Version of the format: {FORMAT}.", {"const": FORMAT}, is_required=True),
    Key(
        "slug",
        "Short unique name of the flow: letters, digits, - and _, at most 100.",
        {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$", "maxLength": 100},
        is_required=True,
    ),
    Key(
        "name",
        "What people call the flow: text of 1 to 200 characters.",
        {"type": "string", "minLength": 1, "maxLength": 200},
        is_required=True,
    ),
    Key("description", "Text for people."),
    Key("object", "Model that a run is about, as app.model.", {"type": "string", "maxLength": 150}),
    Key("condition", "Expression; a run is discarded when it stops being true."),
    Key("active", "Whether the flow starts new runs: true or false.", {"type": "boolean"}, default=True),
    Key("limits", "How many runs there may be: a mapping.", {"type": "object"}, default={}),
    Key(
        "queue",
        "Name of the queue that its runs wait in: letters, digits, - and _, at most 50.",
        {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$", "maxLength": 50},
        default="default",
    ),
    Key(
        "priority",
        "Runs of a flow with a higher one are executed first: a whole number from -100 to 100.",
        {"type": "integer", "minimum": -100, "maximum": 100},
        default=0,
    ),
    Key(
        "history",
        "What of a run's history is kept: full, errors (only steps that failed) or none.",
        {"enum": ["full", "errors", "none"]},
        default="full",
    ),
    Key("triggers", "What starts runs: a list of mappings.", {"type": "array"}, default=[]),
    Key(
        "steps",
        "The steps of the flow: a list of mappings, each with an action.",
        {"type": "array"},
        is_required=True,
    ),
)

LIMITS: tuple[Key, ...] = (
    Key("concurrent", "Live runs of the flow; 0 is no limit.", _COUNT, default=0),
    Key("per_object", "Runs ever started about one object; 0 is no limit.", _COUNT, default=0),
    Key("concurrent_per_object", "Live runs about one object; 0 is no limit.", _COUNT, default=0),
    Key(
        "when_reached",
        "What a further start does: skip, queue or restart.",
        {"enum": ["skip", "queue", "restart"]},
        default="skip",
    ),
)

TRIGGER: tuple[Key, ...] = (
    Key(
        "on",
        "Name of a trigger type.",
        {"type": "string", "minLength": 1, "maxLength": 200},
        is_required=True,
    ),
    Key("condition", "Expression; nothing happens unless it is true."),
    Key("active", "Whether the trigger is switched on: true or false.", {"type": "boolean"}, default=True),
    Key(
        "active_since",
        "Events before this time are ignored; with its time zone, such as 2026-01-31T09:00:00Z.",
        default=None,
    ),
    Key(
        "does",
        "start a run, or restart the live ones of the object.",
        {"enum": ["start", "restart"]},
        default="start",
    ),
    Key(
        "step",
        "Id of the step at which to restart.",
        {"type": "string", "maxLength": MAX_ID_LENGTH},
    ),
)

RETRY: tuple[Key, ...] = (
    Key(
        "attempts",
        "How often the step is tried in all, the first try included: a whole number from 1 to 200.",
        {"type": "integer", "minimum": 1, "maximum": 200},
        is_required=True,
    ),
    Key(
        "delay",
        "Seconds from the first failure to the second try: from 0 to 31536000.",
        {"type": "number", "minimum": 0, "maximum": _YEAR_IN_SECONDS},
        default=Retry.delay,
    ),
    Key(
        "backoff",
        "How many times longer each further wait is than the one before: from 1 to 10.",
        {"type": "number", "minimum": 1, "maximum": 10},
        default=Retry.backoff,
    ),
    Key(
        "max_delay",
        "Seconds that no wait between tries exceeds: from 0 to 31536000.",
        {"type": "number", "minimum": 0, "maximum": _YEAR_IN_SECONDS},
        default=Retry.max_delay,
    ),
    Key(
        "jitter",
        "Part of each wait by which chance makes it longer or shorter: from 0 to 1.",
        {"type": "number", "minimum": 0, "maximum": 1},
        default=Retry.jitter,
    ),
    Key(
        "on",
        "Names of the exception classes after which it is tried again: a list; all, when left out.",
        {"type": "array", "items": {"type": "string", "pattern": EXCEPTION_PATTERN}},
        default=[],
    ),
)

STEP: tuple[Key, ...] = (
    Key(
        "id",
        f"Unique in the flow: a lower-case letter, then such letters, digits and _, at most {MAX_ID_LENGTH}; "
        "made up when left out.",
        {"type": "string", "pattern": ID_PATTERN, "maxLength": MAX_ID_LENGTH},
        default=None,
    ),
    Key(
        "action",
        "Full name of an action, such as builtin.delay.",
        {"type": "string", "pattern": _NAME_PATTERN},
        is_required=True,
    ),
    Key("name", "What people call the step: at most 200 characters.", {"type": "string", "maxLength": 200}),
    Key("note", "Text for people."),
    Key("enabled", "false to pass over the step and all inside it.", {"type": "boolean"}, default=True),
    Key("config", "Configuration of the action: a mapping.", {"type": "object"}, default={}),
    Key(
        "config_version",
        "Version of the action's configuration that config is written for; 1 when left out.",
        {"type": "integer", "minimum": 1},
        default=1,
    ),
    Key(
        "retry",
        "How the step is tried again when it fails: a mapping, such as {attempts: 3}.",
        {"type": "object"},
        default=None,
    ),
    Key(
        "timeout",
        "Seconds after which a call of the step has failed: more than 0, at most 604800.",
        {"type": "number", "exclusiveMinimum": 0, "maximum": _WEEK_IN_SECONDS},
        default=None,
    ),
    Key("steps", "The steps inside this one: a list of mappings.", {"type": "array"}, default=[]),
    Key(
        "branches",
        "Further steps inside: a mapping from names of branches to lists.",
        {"type": "object"},
        default={},
    ),
)
