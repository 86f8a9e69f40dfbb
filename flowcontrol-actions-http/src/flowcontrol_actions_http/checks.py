"""System checks of what the project says in FLOWCONTROL_HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution
from flowcontrol.exceptions import ConfigurationError

from . import conf

__all__ = ["TAG", "check_base_url", "check_guard", "check_settings"]

TAG = "flowcontrol"


def check_settings(**_: Any) -> list[CheckMessage]:
    """That every key exists, and has a value that can be used."""
    try:
        unknown = conf.find_unknown()
    except ConfigurationError as error:
        return [Error(str(error), id="flowcontrol_actions_http.E001")]
    known = ", ".join(one.name for one in conf.SETTINGS)
    return [
        *(Error(problem, id="flowcontrol_actions_http.E001") for problem in conf.find_wrong()),
        *(
            Caution(
                f'{conf.NAME}["{name}"] does not exist.',
                hint=f"There are: {known}.",
                id="flowcontrol_actions_http.W001",
            )
            for name in unknown
        ),
    ]


def check_guard(**_: Any) -> list[CheckMessage]:
    """That the guard is on where others can reach this machine."""
    try:
        is_on = conf.get("GUARD")
    except ConfigurationError:
        return []
    if is_on:
        return []
    return [
        Caution(
            f'{conf.NAME}["GUARD"] is off: flows can send requests to whatever this machine reaches, its cloud\'s '
            "metadata and its own network included.",
            hint='Switch it on, and open what flows need with "NETWORKS" and "HOSTS".',
            id="flowcontrol_actions_http.W002",
        )
    ]


def check_base_url(**_: Any) -> list[CheckMessage]:
    """That links can be made, or that somebody said that none are."""
    given = getattr(settings, conf.NAME, {})
    if not isinstance(given, Mapping) or "BASE_URL" in given:
        return []
    return [
        Caution(
            "No step http.wait_for_callback can make a link: nobody said under which URL this site is reached.",
            hint=f'Set {conf.NAME} = {{"BASE_URL": "https://example.org"}}; None, if no flow hands out links.',
            id="flowcontrol_actions_http.W003",
        )
    ]
