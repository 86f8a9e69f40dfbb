"""``python -m flowcontrol.testing NAME``: holds an installed pack to the rules, without a line of code.

In a project (DJANGO_SETTINGS_MODULE) with its settings, on a test database of its own; elsewhere with an SQLite
database in memory. Exit codes: 0 all rules hold; 1 one that is a must does not; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import django
from django.test.utils import setup_databases, setup_test_environment, teardown_databases

from ..exceptions import FlowcontrolError

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m flowcontrol.testing", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("name", metavar="NAME", help="Name of the plugin, or of its distribution.")
    parser.add_argument(
        "--samples",
        metavar="JSON",
        default="{}",
        help='{"acme.send": [{"to": "ada"}]}; those not given are taken from flows in the README.',
    )
    parser.add_argument(
        "--rules", metavar="ID", nargs="+", default=[], help="Only these rules: --rules A2 P3"
    )
    parser.add_argument(
        "--credentials", metavar="JSON", default="{}", help='{"acme.token": {"token": "a sample"}}'
    )
    parser.add_argument("--json", dest="as_json", action="store_true", help="Write JSON.")
    options = parser.parse_args(arguments)
    try:
        samples, credentials = json.loads(options.samples), json.loads(options.credentials)
    except ValueError as error:
        parser.error(f"--samples and --credentials are JSON: {error}")
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        os.environ["DJANGO_SETTINGS_MODULE"] = "flowcontrol.testing.scratch"
        os.environ.setdefault("FLOWCONTROL_TESTING_PLUGINS", f"{options.name},builtin*")
    if find_spec("time_machine") is None:
        parser.error('It needs the extra: pip install "flowcontrol-core[testing]".')
    django.setup()
    setup_test_environment(debug=False)
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        told: int = import_module("flowcontrol.testing.telling").tell(
            options.name, samples, credentials, options.rules, as_json=options.as_json
        )
        return told
    except FlowcontrolError as error:
        parser.error(str(error))
    finally:
        teardown_databases(databases, verbosity=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
