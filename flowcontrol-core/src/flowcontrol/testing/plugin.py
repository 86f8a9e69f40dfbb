"""Fixtures for pytest. Opt in: ``pytest_plugins = ["flowcontrol.testing.plugin"]`` in the conftest.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import pytest

from . import running
from .running import FlowResult
from .virtual_time import VirtualTime

__all__ = ["clock", "crash_at", "isolated_plugins", "run_flow"]


@pytest.fixture
def clock() -> Iterator[VirtualTime]:
    """A clock that stands until it is moved: Python's time and flowcontrol's go by it during the test."""
    with VirtualTime() as clock:
        yield clock


@pytest.fixture
def run_flow(db: None, clock: VirtualTime) -> Callable[..., FlowResult]:
    """``flowcontrol.testing.run_flow`` with the test's database and clock."""
    return partial(running.run_flow, clock=clock)


@pytest.fixture
def crash_at() -> Callable[..., AbstractContextManager[None]]:
    """``flowcontrol.testing.crash_at``."""
    return running.crash_at


@pytest.fixture
def isolated_plugins() -> Callable[..., AbstractContextManager[Any]]:
    """``flowcontrol.testing.isolated_plugins``: inside, exactly these plugins are in use."""
    return running.isolated_plugins
