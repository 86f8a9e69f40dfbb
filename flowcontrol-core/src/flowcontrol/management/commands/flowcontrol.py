"""``manage.py flowcontrol``: finds the chosen subcommand, and turns what goes wrong into one clear error."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError

from ...exceptions import FlowcontrolError
from ..command_line import EPILOG, SUBCOMMANDS, Formatter, add_subcommands
from ..output import Console

# Nothing of the engine, of plugins or of models is imported here: ``flowcontrol plugins`` is how one finds out why
# these cannot be used. Each subcommand names its module, which is imported when it is chosen.

_PACKAGE = "flowcontrol.management.subcommands"


class Command(BaseCommand):
    help = "Work with flows and their runs, and see which plugins are in use."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = Formatter
        parser.epilog = EPILOG
        add_subcommands(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        subcommand = SUBCOMMANDS[options["subcommand"]]
        handler_path = subcommand.tasks.get(options.get("task", ""), subcommand.handler)
        module_name, _, function = handler_path.partition(":")
        handler = getattr(import_module(f"{_PACKAGE}.{module_name}"), function)
        console = Console(self.stdout, self.stderr, self.style, options["verbosity"])
        try:
            code = handler(console, argparse.Namespace(**options))
        except FlowcontrolError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(
                f"The database cannot be used: {str(error).strip()}. Does it run, and was manage.py migrate run?"
            ) from error
        if code:
            # The answer was given: as makemigrations --check does, only the exit code is left to say.
            raise SystemExit(code)
