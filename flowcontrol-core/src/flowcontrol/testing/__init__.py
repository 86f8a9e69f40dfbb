"""For the tests of packs and of projects: run flows under a clock of one's own, and hold a pack to the rules.

Needs the extra: ``pip install "flowcontrol-core[testing]"``. Nothing of it is active until it is asked for::

    # conftest.py
    pytest_plugins = ["flowcontrol.testing.plugin"]

    # test_conformance.py
    from flowcontrol.testing import PackConformance

    class TestAcme(PackConformance):
        pack = "acme"
        samples = {"acme.send": [{"to": "ada@example.org"}]}

Without a line of code: ``python -m flowcontrol.testing acme``.
"""

from typing import TYPE_CHECKING

from ..lazy import exports

if TYPE_CHECKING:
    from .conformance import PackConformance
    from .examination import Result, examine
    from .rules import RULES, NotApplicable, Rule, Subject
    from .running import Crash, FlowResult, crash_at, isolated_plugins, run_flow
    from .scheduling import SchedulerConformance
    from .virtual_time import VirtualTime
else:
    __getattr__ = exports(
        __name__,
        {
            "conformance": ["PackConformance"],
            "examination": ["Result", "examine"],
            "rules": ["RULES", "NotApplicable", "Rule", "Subject"],
            "scheduling": ["SchedulerConformance"],
            "running": ["Crash", "FlowResult", "crash_at", "isolated_plugins", "run_flow"],
            "virtual_time": ["VirtualTime"],
        },
    )

__all__ = [
    "RULES",
    "Crash",
    "FlowResult",
    "NotApplicable",
    "PackConformance",
    "Result",
    "Rule",
    "SchedulerConformance",
    "Subject",
    "VirtualTime",
    "crash_at",
    "examine",
    "isolated_plugins",
    "run_flow",
]
