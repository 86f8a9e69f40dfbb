"""The built-in pack is held to what every pack is held to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flowcontrol.documents import import_flow
from flowcontrol.registry import register_trigger, triggers
from flowcontrol.testing import PackConformance


class TestBuiltin(PackConformance):
    pack = "builtin"
    samples = {
        "builtin.if": [{"condition": "1 < 2"}],
        "builtin.while": [{"condition": "False"}],
        "builtin.for": [{"end": "3"}, {"start": 3, "end": 0, "step": -1, "variable": "i"}],
        "builtin.stop": [{}, {"condition": "False"}],
        "builtin.set_state": [{"state": {"a": [1, {"b": None}]}}],
        "builtin.update_state": [{"state": {"a": "1|add:2"}, "evaluate": True}],
        "builtin.start_flow": [{"flow": "other"}],
        "builtin.call_flow": [{"flow": "other"}],
        "builtin.delay": [{"seconds": 60}, {"weekday": "monday", "time": "09:00"}],
        "builtin.wait_for_trigger": [{"trigger": "shop.paid", "match_object": False}],
    }
    expected_failures = {"P5": "the project has no public address yet"}

    @pytest.fixture(autouse=True)
    def _preserved(self) -> Iterator[None]:
        with triggers.preserved():
            register_trigger("shop.paid")
            yield

    def prepare(self) -> None:
        import_flow({"flowcontrol": 1, "slug": "other", "name": "Other", "steps": []})
