"""The pack's scheduler, held to the contract for schedulers."""

from flowcontrol.engine import continue_flowruns
from flowcontrol.testing import SchedulerConformance


class TestRelay(SchedulerConformance):
    scheduler = "relay"
    many = 200

    def tick(self):
        continue_flowruns()
