"""What holds for the tests of every distribution: services, markers, hypothesis."""

from __future__ import annotations

import os
import signal
from functools import cache

import django
import pytest
from flowcontrol_tests import brokers, browser, databases
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default", max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("default"), max_examples=200, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

#: Distributions of their own, whose tests tests/test_template.py runs where they are installed.
collect_ignore = ["tests/packs"]

#: Server of each marker that names one.
_SERVERS = {server.name: server for server in databases.SERVERS}


def pytest_report_header() -> list[str]:
    return [f"Django {django.__version__}, database: {databases.chosen().name}", *_services()]


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that runs this in the background has Ctrl-C ignored, in every process that the tests start as well.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    database = databases.chosen()
    if hasattr(config, "workerinput"):
        return
    required = os.environ.get("FLOWCONTROL_REQUIRE_SERVICES") == "1"
    for server in databases.SERVERS:
        reason = databases.unreachable(server) if required or server is database else ""
        if reason:
            raise pytest.UsageError(
                f"{server.name} does not answer ({reason}). Start it, set {server.variable} to where it is, or run "
                "the tests without it (FLOWCONTROL_REQUIRE_SERVICES=0, --database sqlite)."
            )
    for broker in brokers.BROKERS if required else ():
        if reason := brokers.unreachable(broker):
            raise pytest.UsageError(
                f"{broker.name} does not answer ({reason}). Start it, set {broker.variable} to where it is, or run the "
                "tests without it (FLOWCONTROL_REQUIRE_SERVICES=0)."
            )
    if required and not browser.chromium():
        raise pytest.UsageError(
            f"There is no Chromium. Install it (apt-get install chromium), set {browser.VARIABLE} to its path, or run "
            "the tests without it (FLOWCONTROL_REQUIRE_SERVICES=0)."
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    name = databases.chosen().name
    for item in items:
        wanted = [marker for marker in _SERVERS if item.get_closest_marker(marker)]
        if wanted and name not in wanted:
            item.add_marker(pytest.mark.skip(reason=f"needs --database {' or '.join(wanted)}"))
        if name != "sqlite" and _is_elsewhere(item):
            item.add_marker(
                pytest.mark.skip(reason="has nothing to do with this database; needs --database sqlite")
            )
        if os.environ.get("FLOWCONTROL_TEST_ONCE") == "0" and item.get_closest_marker("once"):
            item.add_marker(pytest.mark.skip(reason="has nothing to do with this Python and Django"))
        for broker in brokers.BROKERS:
            if item.get_closest_marker(broker.name) and _is_missing(broker):
                item.add_marker(pytest.mark.skip(reason=f"needs {broker.name}"))
        if item.get_closest_marker("browser") and not browser.chromium():
            item.add_marker(pytest.mark.skip(reason="needs a Chromium"))


def _is_elsewhere(item: pytest.Item) -> bool:
    """Whether the run on SQLite tells all about a test: it brings a database of its own, or may not ask any."""
    if any(item.get_closest_marker(marker) for marker in ("every_database", "faults", *_SERVERS)):
        return False
    if item.get_closest_marker("own_database") or item.get_closest_marker("once"):
        return True
    # pytest-django has everything else fail that asks a database.
    fixtures = set(getattr(item, "fixturenames", ()))
    return not item.get_closest_marker("django_db") and fixtures.isdisjoint({"db", "transactional_db"})


def pytest_runtest_setup(item: pytest.Item) -> None:
    if os.environ.get("COVERAGE_RUN") and item.get_closest_marker("timing"):
        pytest.skip("coverage would be measured, too")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _services():
        terminalreporter.write_line(line)


@cache
def _is_missing(broker: brokers.Broker) -> bool:
    return bool(brokers.unreachable(broker))


def _services() -> list[str]:
    reasons = {server.name: databases.unreachable(server) for server in databases.SERVERS}
    reasons |= {broker.name: brokers.unreachable(broker) for broker in brokers.BROKERS}
    return [
        *(
            f"{name}: not found, its tests are left out ({reason})" if reason else f"{name}: found"
            for name, reason in reasons.items()
        ),
        "chromium: found" if browser.chromium() else "chromium: not found, its tests are left out",
    ]
