"""Settings of the workers that the tests start: those of the tests, on the test's database."""

from __future__ import annotations

import json
import os

from flowcontrol_tests.settings import *  # noqa: F403

DATABASES = {"default": json.loads(os.environ["TASKS_TEST_DATABASE"])}
FLOWCONTROL = json.loads(os.environ["TASKS_TEST_FLOWCONTROL"])
