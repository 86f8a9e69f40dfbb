"""Whether this process stops at a plugin that cannot be used, goes on without it, or only reports it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import PurePath

__all__ = ["Policy", "policy_of"]

#: They write the schema, or what they leave behind, from the apps that are there: a missing app would look
#: deleted.
_SCHEMA = {"makemigrations", "migrate", "remove_stale_contenttypes", "sqlmigrate", "squashmigrations"}
#: A developer sits before them and should see the error first, not its consequences.
_DEVELOPMENT = {"runserver", "test", "testserver"}
#: They exist to say what is wrong, so that they have to get that far.
_DIAGNOSIS = {"check", "flowcontrol", "help", "version", "--help", "-h", "--version"}
#: Of ``manage.py flowcontrol``: these execute runs, and so are servers like any other.
_SERVING = {"worker", "tick"}


class Policy(StrEnum):
    RAISE = "raise"
    ISOLATE = "isolate"
    #: Go on, but count it as an error in the answer (system checks).
    REPORT = "report"


def policy_of(argv: Sequence[str], setting: str) -> Policy:
    """What ``FLOWCONTROL["PLUGIN_ERRORS"]`` (``auto``, ``raise`` or ``isolate``) means for this command line.

    ==============================================  ========  =======  =========
    process                                         auto      raise    isolate
    ==============================================  ========  =======  =========
    ``check``, ``flowcontrol …``, ``help``          report    report   report
    ``migrate``, ``makemigrations`` and such        raise     raise    isolate
    ``runserver``, ``test``, pytest                 raise     raise    isolate
    web servers, ``flowcontrol worker|tick``,
    Celery, any other command                       isolate   raise    isolate
    ==============================================  ========  =======  =========

    A process is known by its command line (``manage.py <command>``, ``django-admin <command>``, ``python -m
    django <command>``, ``pytest``); what is started otherwise counts as a server. A command run by
    ``call_command`` inside another process is not seen here.
    """
    command = _command(argv)
    is_serving = command == "flowcontrol" and argv[2:3] and argv[2] in _SERVING
    if command in _DIAGNOSIS and not is_serving:
        return Policy.REPORT
    if setting == "isolate":
        return Policy.ISOLATE
    if setting == "raise" or command in _SCHEMA or command in _DEVELOPMENT or _is_pytest(argv):
        return Policy.RAISE
    return Policy.ISOLATE


def _command(argv: Sequence[str]) -> str:
    """The management command that this process is, or ""."""
    if not argv:
        return ""
    program = PurePath(argv[0])
    is_django = program.stem == "django-admin" or program.name.endswith("manage.py")
    # ``python -m django`` shows the path of that module's main file.
    is_module = program.name == "__main__.py" and program.parent.name == "django"
    if not (is_django or is_module):
        return ""
    return argv[1] if len(argv) > 1 else "help"


def _is_pytest(argv: Sequence[str]) -> bool:
    program = PurePath(argv[0]) if argv else PurePath()
    is_module = program.name == "__main__.py" and program.parent.name == "pytest"
    return is_module or program.stem in {"pytest", "py.test"}
