"""Fixtures of these tests: servers that flows may call, credentials, and a step that notes what it can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flowcontrol.base import BaseAction, Effect
from flowcontrol.credentials import save_credential
from flowcontrol.registry import actions, register_action
from http_servers import OPEN, LocalServer

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.fixture
def reachable(settings: Any) -> Callable[..., None]:
    """This machine's servers may be called; further keys of FLOWCONTROL_HTTP go on top."""

    def say(**keys: Any) -> None:
        settings.FLOWCONTROL_HTTP = {**OPEN, **keys}

    say()
    return say


@pytest.fixture
def server(reachable: Callable[..., None]) -> Iterator[LocalServer]:
    with LocalServer() as one:
        yield one


@pytest.fixture
def credentials(settings: Any, db: None) -> Callable[..., None]:
    """``save_credential`` in a project that has a key for them."""
    settings.FLOWCONTROL = {**getattr(settings, "FLOWCONTROL", {}), "CREDENTIAL_KEYS": [KEY]}
    return save_credential


class Note(BaseAction):
    """Keeps the value of an expression, one after the other."""

    name = "noting.note"
    effect = Effect.PURE

    def run(self, context: Any) -> None:
        found = dict(context.scope.variables)
        context.state["noted"] = [*context.state.get("noted", []), found]


@pytest.fixture
def noting() -> Iterator[dict[str, str]]:
    """A step that keeps the variables it can read under ``noted``."""
    with actions.preserved():
        register_action(Note)
        yield {"id": "note", "action": "noting.note"}
