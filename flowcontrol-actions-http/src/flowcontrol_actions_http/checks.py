"""System checks of this pack's settings."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution

from . import conf

__all__ = ["check_base_url", "check_settings"]


def check_settings(**_: Any) -> list[CheckMessage]:
    """Values that cannot be used."""
    return [Error(sentence, id="flowcontrol_http.E001") for sentence in conf.find_wrong()]


def check_base_url(**_: Any) -> list[CheckMessage]:
    """With ``--deploy``: that links can be made."""
    if "BASE_URL" in getattr(settings, conf.NAME, {}):
        return []
    return [
        Caution(
            "No step http.wait_for_callback can make a link: nobody said under which URL this site is reached.",
            hint=f'Set {conf.NAME} = {{"BASE_URL": "https://example.org"}}; None, if no flow hands out links.',
            id="flowcontrol_http.W001",
        )
    ]
