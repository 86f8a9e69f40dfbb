"""What can be typed after ``manage.py flowcontrol``: every subcommand, its arguments, and the keys of its JSON.

Declarations only: nothing of the engine is imported, so that help and ``flowcontrol plugins`` always work.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser, DjangoHelpFormatter

__all__ = ["EPILOG", "STATUSES", "SUBCOMMANDS", "Formatter", "Subcommand", "add_subcommands"]

#: As in ``models.RunStatus``, which cannot be imported here; a test compares.
STATUSES = (
    "pending", "running", "waiting", "paused", "blocked",
    "completed", "stopped", "failed", "cancelled", "discarded",
)  # fmt: skip

EPILOG = """\
exit codes:
  0  done
  1  a negative answer: refused, not found, problems or differences found
  2  wrong usage, or a file that cannot be read
"""


class Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Django's order of options, with epilogs left as they are written."""


@dataclass(frozen=True)
class Subcommand:
    """``handler`` is ``module:function`` below ``subcommands``: (console, options) -> exit code.

    ``keys`` are those of each object that ``--json`` writes; they are told in the help, and none is ever removed.
    """

    handler: str
    help: str
    add_arguments: Callable[[CommandParser], None] = lambda parser: None
    keys: tuple[str, ...] = ()
    #: Exit codes beside those that are alike for all.
    codes: Mapping[int, str] | None = None
    json_help: str = ""
    #: By the value of the argument ``task``: handlers in place of ``handler``.
    tasks: Mapping[str, str] = field(default_factory=dict)


def add_subcommands(parser: CommandParser) -> None:
    """Declare all subcommands on the parser of the command."""
    subparsers = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True, title="commands")
    for name, subcommand in SUBCOMMANDS.items():
        child = subparsers.add_parser(
            name,
            help=subcommand.help,
            description=subcommand.help,
            epilog=_epilog(subcommand),
            formatter_class=Formatter,
        )
        subcommand.add_arguments(child)
        if subcommand.keys:
            child.add_argument("--json", dest="as_json", action="store_true", help="Write JSON.")
        _add_common(child)


def _epilog(subcommand: Subcommand) -> str:
    parts = []
    if subcommand.keys:
        what = subcommand.json_help or "a list of objects"
        parts.append(f"--json writes {what} with the keys:\n  {', '.join(subcommand.keys)}\n")
    if subcommand.codes:
        lines = [f"  {code}  {meaning}" for code, meaning in subcommand.codes.items()]
        parts.append("\n".join(["exit codes:", *lines, ""]))
    return "\n".join(parts)


def _add_common(child: CommandParser) -> None:
    # Django's own options are known before the subcommand only, and everybody writes them last.
    absent: dict[str, Any] = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
    child.add_argument("-v", "--verbosity", type=int, choices=[0, 1, 2, 3], **absent)
    child.add_argument("--settings", **absent)
    child.add_argument("--pythonpath", **absent)
    for flag in ("--traceback", "--no-color", "--force-color"):
        child.add_argument(flag, action="store_true", **absent)


# -- arguments ---------------------------------------------------------------------------------------------------


def json_object(text: str) -> dict[str, Any]:
    """The value of ``--state``."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f'{text!r} is no JSON object; write one such as {{"name": "Ada"}}')
    return value


def object_reference(text: str) -> tuple[str, str]:
    """The value of ``--object``: ("app.model", key)."""
    model, colon, key = text.partition(":")
    if not colon or not key or model.count(".") != 1 or not all(model.split(".")):
        raise argparse.ArgumentTypeError(f"{text!r} is no object; write app.model:key, such as auth.user:1")
    return model, key


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def port(text: str) -> int:
    value = int(text)
    if not 0 <= value < 65_536:
        raise argparse.ArgumentTypeError(f"{text} is no port: 1 to 65535")
    return value


def names(text: str) -> tuple[str, ...]:
    """The value of ``--queues``."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def seconds(text: str) -> float:
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return value


def _files(parser: CommandParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="YAML or JSON; - reads standard input.")


def _import(parser: CommandParser) -> None:
    _files(parser)
    parser.add_argument("--draft", action="store_true", help="Store as draft only, without publishing.")


def _export(parser: CommandParser) -> None:
    parser.add_argument("slugs", nargs="*", metavar="SLUG", help="Flows to export; all when none is given.")


def _diff(parser: CommandParser) -> None:
    parser.add_argument("file", metavar="FILE", help="YAML or JSON; - reads standard input.")


def _start(parser: CommandParser) -> None:
    parser.add_argument("slug", metavar="SLUG", help="Flow to start.")
    parser.add_argument(
        "--object", type=object_reference, metavar="APP.MODEL:KEY", help="What the run is about: auth.user:1."
    )
    parser.add_argument("--state", type=json_object, metavar="JSON", help="First data of the run, an object.")
    parser.add_argument("--key", help="A second start with the same key makes no second run.")
    parser.add_argument("--wait", action="store_true", help="Execute the run here until it ends or waits.")


def _runs(parser: CommandParser) -> None:
    parser.add_argument("--flow", metavar="SLUG", help="Only runs of this flow.")
    parser.add_argument(
        "--status", choices=STATUSES, action="append", help="Only in this status; may be repeated."
    )
    parser.add_argument("--limit", type=positive, default=20, help="How many, the latest first; default: 20.")


def _run(parser: CommandParser) -> None:
    parser.add_argument("id", type=positive, metavar="ID", help="Number of the run.")


def _ids(parser: CommandParser) -> None:
    parser.add_argument("ids", type=positive, nargs="+", metavar="ID", help="Number of a run.")


def _cancel(parser: CommandParser) -> None:
    _ids(parser)
    parser.add_argument("--reason", default="", help="Kept with the run.")


def _restart(parser: CommandParser) -> None:
    _ids(parser)
    parser.add_argument(
        "--step", metavar="STEP", help="Id of the step to restart at; default: from the start."
    )
    parser.add_argument("--state", type=json_object, metavar="JSON", help="In place of the state there is.")


def _worker(parser: CommandParser) -> None:
    parser.add_argument(
        "--processes",
        type=positive,
        default=1,
        metavar="N",
        help="How many worker processes; one that dies is started again. Default: 1.",
    )
    parser.add_argument(
        "--batch",
        type=positive,
        metavar="N",
        help='How many runs are claimed at a time; default: FLOWCONTROL["BATCH_SIZE"].',
    )
    parser.add_argument(
        "--threads",
        type=whole,
        metavar="N",
        help="How many calls of external actions may overlap in a process; 0, the default: one after the other.",
    )
    parser.add_argument(
        "--queues",
        type=names,
        metavar="NAMES",
        help="Only runs of flows in these queues, separated by commas; default: all.",
    )
    parser.add_argument(
        "--poll-seconds",
        type=seconds,
        metavar="SECONDS",
        help="How long to wait at most before looking for due runs again, where nobody notifies; default: 1.",
    )
    parser.add_argument(
        "--grace",
        type=seconds,
        default=30.0,
        metavar="SECONDS",
        help="How long the step at hand may take after a signal, before the process ends all the same; default: 30.",
    )
    parser.add_argument(
        "--health-file", type=Path, metavar="PATH", help="A file to touch as long as the worker is well."
    )
    parser.add_argument(
        "--health-port",
        type=port,
        default=0,
        metavar="PORT",
        help="A port that answers HTTP: 200 while the worker is well, 503 otherwise.",
    )


def ended_statuses(text: str) -> tuple[str, ...]:
    """The value of ``--status`` of ``prune``."""
    for name in names(text):
        if name not in STATUSES[5:]:
            raise argparse.ArgumentTypeError(
                f"{name!r} is no status of an ended run: {', '.join(STATUSES[5:])}"
            )
    return names(text)


def _prune(parser: CommandParser) -> None:
    parser.add_argument(
        "--older-than",
        type=whole,
        metavar="DAYS",
        help='Runs that ended so long ago; default: FLOWCONTROL["RUN_RETENTION_DAYS"].',
    )
    parser.add_argument(
        "--status",
        type=ended_statuses,
        metavar="STATUSES",
        help="Only runs that ended so, separated by commas; default: all that ended.",
    )
    parser.add_argument("--flow", metavar="SLUG", help="Only runs of this flow.")
    parser.add_argument(
        "--history-only", action="store_true", help="Keep the runs, and delete the records of their steps."
    )
    parser.add_argument("--dry-run", action="store_true", help="Tell how many there are, and delete nothing.")


_PLUGIN_TASKS = {
    "show": "plugin_details:show",
    "doctor": "plugin_details:doctor",
    "freeze": "plugins:freeze",
    "purge": "purging:purge",
}


def _plugins(parser: CommandParser) -> None:
    parser.add_argument(
        "task",
        nargs="?",
        default="list",
        choices=("list", *_PLUGIN_TASKS),
        metavar="TASK",
        help="list (the default); show NAME: all about one, and which flows use it; doctor: what is wrong with them, "
        "actions included; freeze: the list and the requirements that bring exactly this set; purge NAME: remove what "
        "one has in the database, before pip uninstall.",
    )
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="For show and purge.")
    parser.add_argument("--constraints", action="store_true", help="freeze: only the requirements.")
    parser.add_argument(
        "--plan", action="store_true", help="purge: tell what would be removed, and do nothing."
    )
    parser.add_argument("--noinput", action="store_true", help="purge: do not ask.")


_CREDENTIAL_TASKS = {
    "check": "credentials:check",
    "rotate": "credentials:rotate",
    "new-key": "credentials:new_key",
}


def _credentials(parser: CommandParser) -> None:
    parser.add_argument(
        "task",
        nargs="?",
        default="list",
        choices=("list", *_CREDENTIAL_TASKS),
        metavar="TASK",
        help="list (the default); check: can this process use them; rotate: encrypt all anew under the first key; "
        "new-key: make a key, and change nothing.",
    )
    parser.add_argument(
        "name", nargs="?", default="", metavar="NAME", help="For list and check: only this one."
    )


def _docs(parser: CommandParser) -> None:
    parser.add_argument("name", metavar="PACK", help="Name of a plugin, or of its distribution.")


def _new_action(parser: CommandParser) -> None:
    parser.add_argument(
        "name", metavar="NAME", help="Name of the action: charge, or with its app: shop.charge."
    )
    parser.add_argument(
        "--app", default="", metavar="LABEL", help="Label of the app of the project that gets it."
    )


_CHANGED = ("done", "refused")

SUBCOMMANDS: dict[str, Subcommand] = {
    "plugins": Subcommand(
        "plugins:plugins",
        "List plugins: which are in use and, of the others, why not; or show, check, pin or remove them.",
        _plugins,
        keys=(
            "name", "state", "distribution", "version", "source", "problem", "phase", "reason", "hint", "label",
            "description", "api", "app", "urls", "actions", "triggers", "filters", "schedulers", "credential_kinds",
            "hooks", "warnings", "import_ms",
        ),
        json_help='{"entries", "is_from_environment", "malformed", "plugins"}, of which "plugins" is a list of objects',
        tasks=_PLUGIN_TASKS,
        codes={0: "all plugins on the list are in use; done", 1: "one is not; errors found; nothing removed"},
    ),
    "actions": Subcommand(
        "actions:actions",
        "List the actions that flows can use.",
        keys=("name", "label", "description", "provider", "path", "effect", "branches", "config", "problem"),
        codes={0: "all can be used", 1: "one cannot"},
    ),
    "docs": Subcommand(
        "docs:docs",
        "Write the reference of a plugin, in Markdown: its actions with their fields, triggers, filters, schedulers.",
        _docs,
        codes={0: "written", 1: "it is not installed, or not in use"},
    ),
    "new-action": Subcommand(
        "new_action:new_action",
        "Write an action into the module flow_actions of an app of the project, and a test of it that passes.",
        _new_action,
        codes={0: "written", 1: "refused, and nothing written"},
    ),
    "credentials": Subcommand(
        "credentials:listing",
        "List credentials, with who uses them and never with their secrets; check them, or their keys.",
        _credentials,
        keys=("name", "kind", "hosts", "source", "variables", "changed_at", "used_by"),
        json_help="a list of objects (check: name, problem; rotate: name, is_changed, problem; new-key: key alone)",
        tasks=_CREDENTIAL_TASKS,
        codes={0: "told; done", 1: "one cannot be used; one could not be encrypted anew"},
    ),
    "schema": Subcommand("documents:schema", "Write the JSON Schema of flow documents."),
    "validate": Subcommand(
        "documents:validate",
        "Check flow documents, and store nothing.",
        _files,
        keys=("file", "slug", "is_valid", "problems"),
        codes={0: "no errors (there may be warnings)", 1: "errors found", 2: "a file cannot be read"},
    ),
    "import": Subcommand(
        "documents:import_",
        "Store flow documents and publish them: all of them, or none when one has an error.",
        _import,
        keys=("slug", "version", "is_new", "is_changed", "is_published"),
        codes={0: "stored", 1: "errors found, nothing stored", 2: "a file cannot be read"},
    ),
    "export": Subcommand(
        "documents:export",
        "Write flows as YAML, separated by ---.",
        _export,
        keys=("flowcontrol", "slug", "name", "steps"),
        json_help="a list of documents; at least",
        codes={0: "written", 1: "there is no such flow"},
    ),
    "diff": Subcommand(
        "documents:diff",
        "Tell what importing a file would change.",
        _diff,
        keys=("slug", "is_stored", "changes"),
        codes={0: "nothing", 1: "something", 2: "the file cannot be read"},
    ),
    "flows": Subcommand(
        "flows:flows",
        "List flows.",
        keys=("slug", "name", "is_active", "version", "object", "triggers", "live_runs"),
    ),
    "start": Subcommand(
        "start:start",
        "Start a run of a flow; a worker executes it, or --wait does.",
        _start,
        keys=("id", "flow", "status", "is_new", "refused", "detail"),
        json_help="an object",
        codes={
            0: "started; with --wait: completed, stopped, or waiting",
            1: "refused; with --wait: failed, discarded, cancelled, blocked or paused",
        },
    ),
    "runs": Subcommand(
        "runs:runs",
        "List runs, the latest first.",
        _runs,
        keys=(
            "id", "flow", "version", "status", "step", "standing", "reason", "object_model", "object_id", "key",
            "parent", "created_at", "started_at", "ended_at", "due_at",
        ),
    ),
    "run": Subcommand(
        "runs:run",
        "Tell all about a run: where it stands, its steps, its state, and what went wrong.",
        _run,
        keys=(
            "id", "flow", "version", "status", "step", "standing", "reason", "object_model", "object_id", "key",
            "parent", "created_at", "started_at", "ended_at", "due_at", "wait_until", "wait_event", "restart_count",
            "visit_count", "traceback", "state", "steps",
        ),
        json_help="an object",
    ),
    "cancel": Subcommand(
        "operations:cancel", "End runs, at once.", _cancel, _CHANGED, json_help="an object",
        codes={0: "all cancelled", 1: "at least one was not"},
    ),
    "pause": Subcommand(
        "operations:pause", "Set runs aside until they are resumed.", _ids, _CHANGED, json_help="an object",
        codes={0: "all paused", 1: "at least one was not"},
    ),
    "resume": Subcommand(
        "operations:resume", "Let paused runs go on.", _ids, _CHANGED, json_help="an object",
        codes={0: "all resumed", 1: "at least one was not"},
    ),
    "restart": Subcommand(
        "operations:restart", "Execute runs again, from the start or from a step.", _restart, _CHANGED,
        json_help="an object",
        codes={0: "all restarted", 1: "at least one was not"},
    ),
    "tick": Subcommand(
        "working:tick",
        "Execute everything that is due, once: for cron.",
        keys=("executed", "ended"),
        json_help="an object",
    ),
    "worker": Subcommand(
        "working:worker",
        "Execute what is due, again and again, until SIGTERM or Ctrl+C.",
        _worker,
        codes={
            0: "stopped; the step at hand was finished and the rest handed back",
            1: "the step at hand did not end within the grace period; its run goes on when its lease has passed",
        },
    ),
    "prune": Subcommand(
        "pruning:prune",
        "Delete ended runs that are old, and their history, in small bites.",
        _prune,
        keys=("runs", "history", "is_dry_run"),
        json_help="an object",
    ),
    "doctor": Subcommand(
        "doctor:doctor",
        "Look for what is wrong with the project: settings, plugins, migrations, clocks, workers, runs, flows.",
        keys=("area", "level", "text", "advice"),
        codes={0: "no errors (there may be warnings)", 1: "errors found"},
    ),
    "health": Subcommand(
        "health:health",
        "Ask the scheduler in use whether due runs are being seen to; for a monitor, or a container's health check.",
        keys=("scheduler", "is_well", "summary", "hint", "facts"),
        json_help="an object",
        codes={0: "all is well", 1: "it is not; the reason is told, and what to do"},
    ),
    "stats": Subcommand(
        "stats:stats",
        "Tell what is due and for how long, what runs, waits, is blocked or fails, and which workers there are.",
        keys=(
            "queue", "flow", "due", "lag_seconds", "overdue", "pending", "running", "waiting", "paused", "blocked",
            "failed", "ended_per_minute",
        ),
        json_help='{"queues", "flows", "blocked", "workers"}, of which "flows" is a list of objects',
    ),
}  # fmt: skip
