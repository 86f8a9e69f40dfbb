"""The keys of ``settings.FLOWCONTROL_HTTP``: one definition each, from which checks and access come.

    from . import conf
    conf.get("TOTAL_SECONDS")

Values are read lazily and checked on first access; ``override_settings`` has them read again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
from django.conf import settings
from django.core.signals import setting_changed
from flowcontrol.exceptions import ConfigurationError

from .addresses import METADATA, Network, Policy

__all__ = [
    "NAME",
    "SETTINGS",
    "Certificate",
    "Setting",
    "find_unknown",
    "find_wrong",
    "get",
    "on_change",
    "policy",
]

#: The one name in a project's settings that belongs to this pack.
NAME = "FLOWCONTROL_HTTP"


class Setting(NamedTuple):
    """One key. ``clean`` returns the value to use, or raises ``ValueError`` with what it has to be."""

    name: str
    default: Any
    help: str
    clean: Callable[[Any], Any]


class Certificate(NamedTuple):
    """A client certificate with its key; both may be in one file."""

    file: str
    key: str | None = None


# -- kinds of values -------------------------------------------------------------------------------------------


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("has to be True or False")
    return value


def integer(minimum: int, maximum: int = 2**31) -> Callable[[Any], int]:
    def clean(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise ValueError(f"has to be a whole number from {minimum:,} to {maximum:,}")
        return value

    return clean


def seconds(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 < value <= 86_400:
        raise ValueError("has to be a number of seconds, more than 0 and at most 86,400")
    return float(value)


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("has to be text on one line, and not empty")
    return value


def texts(value: Any) -> tuple[str, ...]:
    # A text alone is a sequence of letters: the forgotten brackets are the usual mistake here.
    if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset):
        raise ValueError("has to be a list of text, in brackets")
    return tuple(text(item) for item in value)


def hosts(value: Any) -> tuple[str, ...]:
    return tuple(_host(item) for item in texts(value))


def _host(name: str) -> str:
    plain = name.lower().rstrip(".")
    bare = plain.removeprefix("*.")
    if not bare or any(sign in bare for sign in "*/@: ") or not bare.isascii():
        raise ValueError(
            f"has to be a list of hosts without scheme and port, of which {name!r} is none; *.example.org stands for "
            "all hosts below it, and a name with other than ASCII letters is written as xn--…"
        )
    return plain


def networks(value: Any) -> tuple[Network, ...]:
    found = []
    for item in texts(value):
        try:
            network = ip_network(item)
        except ValueError as error:
            raise ValueError(
                f'has to be a list of networks such as "10.1.0.0/16", but {item!r} is none: {error}'
            ) from error
        for forbidden in METADATA:
            if network.version == forbidden.version and network.subnet_of(forbidden):  # type: ignore[arg-type]
                raise ValueError(
                    f"cannot open {item}: {forbidden} is for metadata of machines, and never opened"
                )
        found.append(network)
    return tuple(found)


def ports(value: Any) -> frozenset[int]:
    if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset):
        raise ValueError("has to be a list of ports, in brackets")
    return frozenset(integer(1, 65_535)(item) for item in value)


def file(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | Path) or not Path(value).is_file():
        raise ValueError(f"has to be the path of a file that there is, or None, not {value!r}")
    return str(value)


def proxy(value: Any) -> str | None:
    if value is None:
        return None
    try:
        url = httpx2.URL(value)
        is_right = url.scheme in ("http", "https") and bool(url.host)
    except (httpx2.InvalidURL, TypeError):
        is_right = False
    if not is_right:
        # Not repeated: it may have a password in it.
        raise ValueError('has to be the URL of a proxy, "http://proxy.example.org:4750", or None')
    return str(value)


def certificates(value: Any) -> dict[str, Certificate]:
    if not isinstance(value, Mapping):
        raise ValueError(
            "has to be a mapping of hosts to files, or to pairs of a certificate's file and its key's"
        )
    return {_host(host): _certificate(given) for host, given in value.items()}


def _certificate(given: Any) -> Certificate:
    parts = [given] if isinstance(given, str | Path) else [*given] if isinstance(given, Sequence) else []
    files = [file(part) for part in parts]
    if len(files) not in (1, 2) or not files[0]:
        raise ValueError(f"needs a file, or a pair of files, and not {given!r}")
    return Certificate(files[0], files[1] if len(files) == 2 else None)


def base_url(value: Any) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value) if isinstance(value, str) else None
    is_right = (
        parts and parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
    )
    if not is_right:
        raise ValueError(
            'has to be the URL under which people reach this site, "https://example.org", or None'
        )
    return str(value).rstrip("/")


def lowered(value: Any) -> tuple[str, ...]:
    return tuple(name.lower() for name in texts(value))


# -- the settings ----------------------------------------------------------------------------------------------

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "GUARD",
        True,
        "Whether the address of every server is checked before anything is sent to it. False lets everybody who may "
        "edit flows reach whatever this machine reaches, its cloud's metadata included.",
        boolean,
    ),
    Setting(
        "NETWORKS",
        (),
        'Networks that are closed, and that flows may call all the same: ["10.1.0.0/16"]. Those of metadata services '
        "stay closed.",
        networks,
    ),
    Setting(
        "HOSTS",
        (),
        'Hosts that flows may call although their addresses are in closed networks: ["intranet.example.org", '
        '"*.internal.example.org"]. Whoever controls these names in the DNS says what is called. Metadata services stay '
        "closed.",
        hosts,
    ),
    Setting("PORTS", (80, 443), "Ports that flows may call.", ports),
    Setting(
        "PROXY",
        None,
        "The URL of a proxy that all requests take. Then it is the proxy that looks hosts up, and has to refuse what is "
        "internal; an egress proxy such as smokescreen does. Proxies named in the environment are ignored.",
        proxy,
    ),
    Setting(
        "CA_FILE",
        None,
        "A file with certificates (PEM) of authorities of your own, which are trusted beside those of the system.",
        file,
    ),
    Setting(
        "CLIENT_CERTIFICATES",
        {},
        "Certificates (PEM) by which servers know us: a mapping of a host to a file with certificate and key, or to a "
        "pair of files.",
        certificates,
    ),
    Setting(
        "UNVERIFIED_HOSTS",
        (),
        "Hosts for which a flow may switch the verification of certificates off.",
        hosts,
    ),
    Setting(
        "CONNECT_SECONDS",
        5.0,
        "How long a connection may take to be there, if the step does not say.",
        seconds,
    ),
    Setting("READ_SECONDS", 15.0, "How long a server may be silent, if the step does not say.", seconds),
    Setting(
        "TOTAL_SECONDS",
        30.0,
        "How long a request may take from the first look-up to the last byte of the answer, redirects included, if the "
        "step does not say.",
        seconds,
    ),
    Setting("MAX_TOTAL_SECONDS", 300.0, "The most that a step may say.", seconds),
    Setting(
        "MAX_RESPONSE_BYTES",
        1_000_000,
        "How large a response may be once it is unpacked. A step may take less.",
        integer(1, 1_000_000_000),
    ),
    Setting(
        "MAX_REQUEST_BYTES", 10_000_000, "How large the body of a request may be.", integer(1, 1_000_000_000)
    ),
    Setting(
        "MAX_PAGES", 1_000, "The most pages that http.for_each_page may be told to read.", integer(1, 100_000)
    ),
    Setting("USER_AGENT", "flowcontrol", "What requests say they come from, unless their headers do.", text),
    Setting(
        "BASE_URL",
        None,
        'The URL under which people reach this site, "https://example.org": the links that flows hand out begin with it.',
        base_url,
    ),
    Setting(
        "CALL_RETENTION_DAYS",
        30,
        "How many days the calls of webhooks are kept, and the links of runs that ended.",
        integer(1, 36_500),
    ),
    Setting(
        "REPLY_HEADERS",
        (),
        'Headers that http.respond may send beside the usual ones: ["X-Request-Id"].',
        lowered,
    ),
)
_BY_NAME = {one.name: one for one in SETTINGS}


def _given() -> Mapping[str, Any]:
    given = getattr(settings, NAME, {})
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{NAME} has to be a mapping, not a {type(given).__name__}.")
    return given


@cache
def get(name: str) -> Any:
    """The value of a key, cleaned. Raises ``ConfigurationError`` for one that cannot be used."""
    one = _BY_NAME[name]
    try:
        return one.clean(_given().get(name, one.default))
    except ValueError as error:
        raise ConfigurationError(f'{NAME}["{name}"] {error}.') from error


@cache
def policy() -> Policy:
    """Which addresses are open."""
    return Policy(get("GUARD"), get("NETWORKS"), get("HOSTS"), get("PORTS"))


def find_unknown() -> list[str]:
    return sorted(str(name) for name in set(_given()) - set(_BY_NAME))


def find_wrong() -> list[str]:
    """What is wrong with values, in sentences."""
    problems = []
    for one in SETTINGS:
        try:
            get(one.name)
        except ConfigurationError as error:
            problems.append(str(error))
    return problems


_listeners: list[Callable[[], None]] = []


def on_change(listener: Callable[[], None]) -> Callable[[], None]:
    """Have it called when ``override_settings`` changed something."""
    _listeners.append(listener)
    return listener


def _forget(*, setting: str, **_: Any) -> None:
    if setting == NAME:
        get.cache_clear()
        policy.cache_clear()
        for listener in _listeners:
            listener()


setting_changed.connect(_forget)
