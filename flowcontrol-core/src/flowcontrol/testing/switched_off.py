"""What becomes of a project when a pack is switched off that it used: two processes with one database.

``python -m flowcontrol.testing.switched_off use PACK SAMPLES CREDENTIALS`` makes flows and runs with the pack;
``… look`` is the same project without it, and prints, as JSON, what does not work there. Rule D7 starts both, with
``flowcontrol.testing.scratch`` as settings.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import django
from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import setup_test_environment
from django.urls import reverse

from .. import conf, documents, engine
from ..exceptions import FlowcontrolError
from ..vault import new_key

__all__ = ["main", "without"]


class _NotUsed(FlowcontrolError):
    """The pack could not even be used, so that nothing can be said of what comes after."""


def without(
    pack: str,
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    credentials: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """A sentence for each thing that does not work once the pack, having been used, is off the list.

    Raises ``FlowcontrolError`` when it cannot be used in a project that has nothing but it.
    """
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "project.sqlite3"
        used = _process(
            database, f"{pack},builtin*", "use", pack, json.dumps(samples), json.dumps(credentials)
        )
        if used.returncode:
            raise _NotUsed((used.stderr.strip().splitlines() or ["it ended without a word"])[-1])
        looked = _process(database, "builtin*", "look")
        if looked.returncode:
            return [f"Nothing starts any more: {(looked.stderr.strip().splitlines() or [''])[-1]}"]
        told: list[str] = json.loads(looked.stdout.splitlines()[-1])
        return told


def _process(database: Path, plugins: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOWCONTROL")}
    environment |= {
        conf.CREDENTIAL_KEYS_VARIABLE: os.environ.get(conf.CREDENTIAL_KEYS_VARIABLE) or new_key(),
        "DJANGO_SETTINGS_MODULE": "flowcontrol.testing.scratch",
        "FLOWCONTROL_TESTING_DATABASE": str(database),
        "FLOWCONTROL_TESTING_PLUGINS": plugins,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-m", __name__, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  our own


def main(arguments: Sequence[str]) -> int:
    django.setup()
    setup_test_environment(debug=False)
    if arguments[0] == "use":
        _use(arguments[1], json.loads(arguments[2]), json.loads(arguments[3]))
    else:
        sys.stdout.write(json.dumps(list(_look())) + "\n")
    return 0


def _use(
    pack: str,
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    credentials: Mapping[str, Mapping[str, Any]],
) -> None:
    call_command("migrate", verbosity=0)
    # Of models, which cannot be imported before Django is set up.
    rules = import_module("flowcontrol.testing.rules_of_credentials")
    with suppress(FlowcontrolError, rules.NotApplicable):
        rules.save_samples(rules.Subject(pack, credentials=credentials))
    apps.get_model("auth.User").objects.create_superuser("admin")
    steps = [(name, config) for name, configs in samples.items() for config in configs]
    for number, (name, config) in enumerate(steps):
        step = {"id": "it", "action": name, "config": config}
        # What a sample needs beside it is not here; rule A7 has it run where it is.
        with suppress(FlowcontrolError):
            flow = {"flowcontrol": 1, "slug": f"sample-{number}", "name": name, "steps": [step]}
            engine.start_flow(documents.import_flow(flow))
    engine.continue_flowruns()


def _look() -> Iterator[str]:
    yield from _tried("the system checks", lambda: call_command("check", stdout=io.StringIO()))
    yield from _tried("migrate", lambda: call_command("migrate", verbosity=0))
    client = Client(raise_request_exception=True)
    client.force_login(apps.get_model("auth.User").objects.get())
    for page in _pages():
        yield from _tried(f"the admin's page {page}", partial(_get, client, page))
    for label in ("flowcontrol.FlowRun", "flowcontrol.Flow"):
        yield from _tried(f"deleting {label}", partial(_delete, label))


def _pages() -> Iterator[str]:
    for model in ("flow", "flowrun"):
        yield reverse(f"admin:flowcontrol_{model}_changelist")
        for pk in apps.get_model("flowcontrol", model).objects.values_list("pk", flat=True):
            yield reverse(f"admin:flowcontrol_{model}_change", args=[pk])


def _get(client: Client, page: str) -> None:
    status = client.get(page).status_code
    if status != 200:
        raise _NotUsed(f"it answers {status}")


def _delete(label: str) -> None:
    with transaction.atomic():
        # One by one: a flow's own ``delete`` parts from its versions.
        for row in apps.get_model(label).objects.all():
            row.delete()
    connection.check_constraints()


def _tried(doing: str, do: Callable[[], object]) -> Iterator[str]:
    try:
        do()
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever does not work is what is looked for
        told = " ".join(str(error).split())
        yield f"Without it, {doing} ends in {type(error).__name__}: {told}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
