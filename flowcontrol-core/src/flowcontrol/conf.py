"""The keys of ``settings.FLOWCONTROL``: one definition each, from which checks, access and docs come.

    from flowcontrol import conf
    conf.settings.LEASE_SECONDS        # or conf.get("LEASE_SECONDS")

Values are read lazily, checked on first access and kept until ``override_settings`` changes them.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from .exceptions import ConfigurationError
from .suggestions import did_you_mean

__all__ = [
    "CREDENTIAL_KEYS_VARIABLE",
    "NAME",
    "SETTINGS",
    "Setting",
    "Settings",
    "credential_keys",
    "find_unknown",
    "find_wrong",
    "get",
    "settings",
]

#: The one name in a project's settings that belongs to flowcontrol.
NAME = "FLOWCONTROL"

#: Takes the place of ``CREDENTIAL_KEYS``, for whoever keeps secrets out of settings; separated by commas.
CREDENTIAL_KEYS_VARIABLE = "FLOWCONTROL_CREDENTIAL_KEYS"


class Setting(NamedTuple):
    """One key: its default, the kind of value it takes (in words), what it does, and in which unit it counts.

    ``clean`` returns the value to use or raises ``ValueError`` with what the value has to be.
    """

    name: str
    default: Any
    kind: str
    help: str
    clean: Callable[[Any], Any]
    unit: str = ""
    #: Whether no message may repeat the value.
    is_secret: bool = False


def _integer(minimum: int) -> tuple[str, Callable[[Any], Any]]:
    kind = f"whole number, {minimum} or more"

    def clean(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise ValueError(f"has to be a {kind}")
        return value

    return kind, clean


def _optional(kind: tuple[str, Callable[[Any], Any]]) -> tuple[str, Callable[[Any], Any]]:
    words, clean_value = f"{kind[0]}, or None", kind[1]

    def clean(value: Any) -> Any:
        try:
            return None if value is None else clean_value(value)
        except ValueError as error:
            raise ValueError(f"{error}, or None") from error

    return words, clean


def _boolean() -> tuple[str, Callable[[Any], Any]]:
    kind = "True or False"

    def clean(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"has to be {kind}")
        return value

    return kind, clean


def _choice(*choices: str) -> tuple[str, Callable[[Any], Any]]:
    kind = "one of " + ", ".join(f'"{choice}"' for choice in choices)

    def clean(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"has to be {kind}")
        return str(value)

    return kind, clean


def _text() -> tuple[str, Callable[[Any], Any]]:
    kind = "text"

    def clean(value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError("has to be text, and not empty")
        return value

    return kind, clean


def _texts() -> tuple[str, Callable[[Any], Any]]:
    kind = "list of text"

    def clean(value: Any) -> tuple[str, ...]:
        # A text alone is a sequence of letters: the forgotten brackets are the usual mistake here.
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(f"has to be a {kind}, in brackets")
        for item in value:
            if not isinstance(item, str) or not item.strip():
                raise ValueError(f"has to be a {kind}, but {item!r} is none")
        return tuple(value)

    return kind, clean


def _keys() -> tuple[str, Callable[[Any], Any]]:
    kind = "list of keys as `manage.py flowcontrol credentials new-key` makes them"

    def clean(value: Any) -> tuple[str, ...]:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(f"has to be a {kind}, in brackets")
        for number, item in enumerate(value, 1):
            if not _is_key(item):
                raise ValueError(f"has to be a {kind}, and number {number} is none")
        return tuple(value)

    return kind, clean


def _is_key(text: object) -> bool:
    """Whether this is a key of Fernet's: 32 bytes in base64. Without it, which would be imported for this alone."""
    try:
        return isinstance(text, str) and len(base64.b64decode(text.encode(), b"-_", validate=True)) == 32
    except ValueError:
        return False


def _texts_by_name() -> tuple[str, Callable[[Any], Any]]:
    kind = 'mapping of "app.model" to a list of text'
    clean_texts = _texts()[1]

    def clean(value: Any) -> dict[str, tuple[str, ...]]:
        if not isinstance(value, Mapping):
            raise ValueError(f"has to be a {kind}")
        cleaned = {}
        for key, item in value.items():
            if not isinstance(key, str) or key.count(".") != 1:
                raise ValueError(f'has to be a {kind}, but {key!r} is no "app.model"')
            try:
                cleaned[key.lower()] = clean_texts(item)
            except ValueError as error:
                raise ValueError(f"has to be a {kind}; the value of {key!r} {error}") from error
        return cleaned

    return kind, clean


def _options_by_name() -> tuple[str, Callable[[Any], Any]]:
    kind = "mapping of a scheduler's name to a mapping of its options"

    def clean(value: Any) -> dict[str, dict[str, Any]]:
        if not isinstance(value, Mapping):
            raise ValueError(f"has to be a {kind}")
        for name, options in value.items():
            if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
                raise ValueError(f"has to be a {kind}, but that of {name!r} is {options!r}")
        return {str(name): dict(options) for name, options in value.items()}

    return kind, clean


def _define(
    name: str, default: Any, kind: tuple[str, Callable[[Any], Any]], text: str, unit: str = ""
) -> Setting:
    return Setting(name=name, default=default, kind=kind[0], help=text, clean=kind[1], unit=unit)


#: Every key there is, in the order of the documentation.
SETTINGS: tuple[Setting, ...] = (
    _define(
        "PLUGINS",
        ("*",),
        _texts(),
        "The plugins of this project, in order: names (required), patterns such as `acme-*` (whatever is "
        "there), removals such as `-acme-legacy`, or the dotted path of a hook module of the project's own. "
        "The environment variable `FLOWCONTROL_PLUGINS` (separated by commas) replaces the list.",
    ),
    _define(
        "PLUGIN_ERRORS",
        "auto",
        _choice("auto", "raise", "isolate"),
        "What a plugin that cannot be used does to the process: `raise` stops it, `isolate` goes on without "
        "the plugin, `auto` stops `migrate`, `makemigrations`, `runserver` and tests and isolates elsewhere.",
    ),
    _define(
        "SCHEDULER",
        "polling",
        _text(),
        "Name of the scheduler that sees to it that due runs are executed: `polling`, `inline` (at once, for tests and "
        "scripts), or one of a plugin.",
    ),
    _define(
        "SCHEDULERS",
        {},
        _options_by_name(),
        'Options of schedulers, by name: `{"polling": {"threads": 8}}`. Only those of the one in use are looked at.',
    ),
    _define(
        "LEASE_SECONDS",
        60,
        _integer(1),
        "How long a worker owns a run that it claimed, unless it renews the claim. After a worker dies, its "
        "runs go on this much later.",
        "seconds",
    ),
    _define(
        "MAX_CRASHES",
        3,
        _integer(1),
        "How often workers may vanish in one and the same step before the run fails.",
        "crashes",
    ),
    _define(
        "BLOCKED_RECHECK_SECONDS",
        60,
        _integer(1),
        "How often a run that waits for a missing action looks whether its plugin is back.",
        "seconds",
    ),
    _define(
        "MAX_STEPS",
        100_000,
        _integer(1),
        "How many steps a run may take in all, loops included, before it fails: the end of an endless loop.",
        "steps",
    ),
    _define(
        "TIME_SLICE_STEPS",
        5_000,
        _integer(1),
        "How many steps a run takes in a row before other due runs get their turn.",
        "steps",
    ),
    _define(
        "MAX_ANCESTORS",
        16,
        _integer(0),
        "How deep runs may start one another: a run with this many ancestors cannot start a further one.",
        "runs",
    ),
    _define("MAX_CHILDREN", 1_000, _integer(0), "How many runs one run may start.", "runs"),
    _define(
        "MIN_WAIT_SECONDS",
        1,
        _integer(0),
        "The shortest wait: what an action asks to be shorter is made this long.",
        "seconds",
    ),
    _define(
        "EXPRESSION_MAX_LENGTH",
        2_000,
        _integer(1),
        "The longest expression that a flow may contain.",
        "characters",
    ),
    _define(
        "EXPRESSION_DENIED_NAMES",
        (
            "*password*",
            "*passwd*",
            "*passphrase*",
            "*secret*",
            "*token*",
            "*credential*",
            "*api_key*",
            "*apikey*",
            "*private_key*",
            "*access_key*",
            "*session_key*",
            "*session_data*",
            "*signing_key*",
            "*encryption_key*",
        ),
        _texts(),
        "Fields that no expression can read: patterns compared with the field's name, in upper and lower "
        "case alike. A list of your own replaces this one.",
    ),
    _define(
        "EXPRESSION_PROPERTIES",
        {},
        _texts_by_name(),
        "Properties and methods without arguments that expressions may read, by model: "
        '`{"shop.order": ["total"]}`. Without an entry, only fields and relations can be read.',
    ),
    _define(
        "STATE_WARN_BYTES",
        262_144,
        _integer(1),
        "The size from which on a warning is logged when a run's state is written.",
        "bytes",
    ),
    _define(
        "STATE_MAX_BYTES",
        2_097_152,
        _integer(1),
        "The largest state that a run may have; the step that makes it larger fails.",
        "bytes",
    ),
    _define(
        "STEP_TIMEOUT_SECONDS",
        3_600,
        _integer(1),
        "Time limit of a call of an action that touches the world, in a worker's thread, unless the step or the action "
        "has one of its own.",
        "seconds",
    ),
    _define("BATCH_SIZE", 100, _integer(1), "How many runs a worker claims at a time.", "runs"),
    _define(
        "EVENT_RETENTION_DAYS",
        30,
        _integer(0),
        "How long events are kept, whether a run waits for them or not: let it be longer than the longest time "
        "between an event and the run that looks for it. Workers and `tick` delete older ones.",
        "days",
    ),
    _define(
        "RUN_RETENTION_DAYS",
        None,
        _optional(_integer(0)),
        "How long an ended run is kept, with its history, before a worker deletes it; None: for ever. "
        "`manage.py flowcontrol prune` does it by hand.",
        "days",
    ),
    _define(
        "LISTEN_NOTIFY",
        True,
        _boolean(),
        "Whether workers on PostgreSQL are woken by notifications. Switch it off behind a pooler that shares "
        "connections by transaction, such as PgBouncer; workers then look for due runs again and again.",
    ),
    _define(
        "WORKER_HEARTBEAT_SECONDS",
        10,
        _integer(1),
        "How often a worker says that it is there, for `manage.py flowcontrol stats`. One that said nothing for "
        "three times as long counts as dead.",
        "seconds",
    ),
    _define(
        "HEALTH_SECONDS",
        60,
        _integer(1),
        "A worker whose loop made no round for so long tells its health check that it is not well. Have it be "
        "more than the longest step takes.",
        "seconds",
    ),
    _define(
        "CREDENTIAL_KEYS",
        (),
        _keys(),
        "Keys under which the secrets of credentials are encrypted: the first encrypts, all decrypt. The environment "
        f"variable `{CREDENTIAL_KEYS_VARIABLE}` (separated by commas) replaces the list.",
    )._replace(is_secret=True),
    _define(
        "CREDENTIAL_VARIABLES",
        ("FLOWCONTROL_SECRET_*",),
        _texts(),
        "Environment variables from which credentials may take secrets: patterns. Whoever may add credentials can "
        "send what is in them somewhere.",
    ),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}


class Settings:
    """Attribute access to the checked values. For type checkers the annotations repeat ``SETTINGS``."""

    PLUGINS: tuple[str, ...]
    PLUGIN_ERRORS: str
    SCHEDULER: str
    SCHEDULERS: Mapping[str, Mapping[str, Any]]
    LEASE_SECONDS: int
    MAX_CRASHES: int
    BLOCKED_RECHECK_SECONDS: int
    MAX_STEPS: int
    TIME_SLICE_STEPS: int
    MAX_ANCESTORS: int
    MAX_CHILDREN: int
    MIN_WAIT_SECONDS: int
    EXPRESSION_MAX_LENGTH: int
    EXPRESSION_DENIED_NAMES: tuple[str, ...]
    EXPRESSION_PROPERTIES: Mapping[str, tuple[str, ...]]
    STATE_WARN_BYTES: int
    STATE_MAX_BYTES: int
    STEP_TIMEOUT_SECONDS: int
    BATCH_SIZE: int
    EVENT_RETENTION_DAYS: int
    RUN_RETENTION_DAYS: int | None
    LISTEN_NOTIFY: bool
    WORKER_HEARTBEAT_SECONDS: int
    HEALTH_SECONDS: int
    CREDENTIAL_KEYS: tuple[str, ...]
    CREDENTIAL_VARIABLES: tuple[str, ...]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return get(name)


settings = Settings()

#: Checked values; emptied when the Django setting changes.
_cleaned: dict[str, Any] = {}


def get(name: str) -> Any:
    """The value of a key, checked: lists come as tuples.

    Raises ``ConfigurationError`` naming the key, the value and what it has to be.
    """
    try:
        return _cleaned[name]
    except KeyError:
        pass
    definition = _BY_NAME.get(name)
    if definition is None:
        raise ConfigurationError(_unknown(name))
    written = _written()
    if name in written:
        try:
            value = definition.clean(written[name])
        except ValueError as error:
            raise ConfigurationError(_wrong(definition, written[name], error)) from error
    else:
        value = definition.default
    _cleaned[name] = value
    return value


def credential_keys() -> tuple[str, ...]:
    """The keys that secrets are encrypted under: those of the environment, or else those of the settings.

    Raises ``ConfigurationError``, which repeats none of them.
    """
    written = os.environ.get(CREDENTIAL_KEYS_VARIABLE)
    if written is None:
        keys: tuple[str, ...] = get("CREDENTIAL_KEYS")
        return keys
    found = tuple(key.strip() for key in written.split(",") if key.strip())
    try:
        cleaned: tuple[str, ...] = _BY_NAME["CREDENTIAL_KEYS"].clean(found)
    except ValueError as error:
        raise ConfigurationError(f"The environment variable {CREDENTIAL_KEYS_VARIABLE} {error}.") from None
    return cleaned


def find_unknown() -> list[str]:
    """A sentence for each key in ``settings.FLOWCONTROL`` that means nothing."""
    try:
        written = _written()
    except ConfigurationError:
        return []
    return [_unknown(key) for key in written if key not in _BY_NAME]


def find_wrong() -> list[str]:
    """A sentence for each value in ``settings.FLOWCONTROL`` that cannot be used."""
    try:
        written = _written()
    except ConfigurationError as error:
        return [str(error)]
    sentences = []
    try:
        credential_keys()
    except ConfigurationError as error:
        # Of the settings it is told below.
        sentences = [str(error)] if CREDENTIAL_KEYS_VARIABLE in os.environ else []
    for definition in SETTINGS:
        if definition.name not in written:
            continue
        try:
            definition.clean(written[definition.name])
        except ValueError as error:
            sentences.append(_wrong(definition, written[definition.name], error))
    return sentences


def _written() -> Mapping[str, Any]:
    """What stands in the project's settings, unchecked."""
    written = getattr(django_settings, NAME, {})
    if not isinstance(written, Mapping):
        raise ConfigurationError(
            f"settings.{NAME} is {written!r}, but has to be a dictionary such as "
            f'{{"SCHEDULER": "polling"}}. Write one, or delete the setting: every key has a default.'
        )
    return written


def _unknown(key: object) -> str:
    suggestion = did_you_mean(str(key), _BY_NAME) or f"The keys are: {', '.join(sorted(_BY_NAME))}."
    return f"settings.{NAME} has no key {key!r}. {suggestion}"


def _wrong(definition: Setting, value: object, error: ValueError) -> str:
    if definition.is_secret:
        return f'settings.{NAME}["{definition.name}"] {error}. Its value is not shown here.'
    return (
        f'settings.{NAME}["{definition.name}"] is {value!r}, but {error}. '
        f"Change it, or delete the key to have the default, {definition.default!r}."
    )


def _forget(*, setting: str, **_: Any) -> None:
    if setting == NAME:
        _cleaned.clear()


setting_changed.connect(_forget, dispatch_uid="flowcontrol.conf")
