"""Fixtures of flowcontrol's conformance kit: ``run_flow``, ``clock``, ``crash_at`` and more."""

from __future__ import annotations

pytest_plugins = ["flowcontrol.testing.plugin"]
