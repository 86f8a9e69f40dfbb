"""A Django project in a folder of its own, for tests of the command line that need real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["Project"]

_SETTINGS = """
SECRET_KEY = "test"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "flowcontrol", "shop"]
DATABASES = {{"default": {database!r}}}
FLOWCONTROL = {flowcontrol!r}
{more}
"""

_MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "project_settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""

_ACTIONS = '''
import os, pathlib, time
from flowcontrol.base import BaseAction, Effect
from flowcontrol.registry import register_action

@register_action
class Slow(BaseAction):
    """Says that it began, and ends when it is told to."""

    name = "shop.slow"
    effect = Effect.EXTERNAL

    def run(self, context):
        folder = pathlib.Path(os.environ["TEST_FOLDER"])
        (folder / "began").touch()
        while not (folder / "go_on").exists():
            time.sleep(0.01)
        context.state["n"] = context.state.get("n", 0) + 1
'''


class Project:
    def __init__(
        self,
        folder: Path,
        *,
        database: dict[str, Any] | None = None,
        flowcontrol: object = None,
        more: str = "",
        actions: str = _ACTIONS,
    ) -> None:
        self.folder = folder
        self.environment = {
            **{
                key: value
                for key, value in os.environ.items()
                if not key.startswith(("FLOWCONTROL", "DJANGO"))
            },
            "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
            "TEST_FOLDER": str(folder),
        }
        sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "db.sqlite3")}
        # Other packs that this environment happens to have are no matter of these tests.
        settings = {"PLUGINS": []} if flowcontrol is None else flowcontrol
        self.write(
            "project_settings.py",
            _SETTINGS.format(database=database or sqlite, flowcontrol=settings, more=more),
        )
        self.write("manage.py", _MANAGE)
        self.write("shop/__init__.py", "")
        self.write("shop/flow_actions.py", actions)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def plugin(self, name: str, code: str) -> None:
        """Install a plugin as pip would, without pip."""
        self.write(f"{name}_plugin.py", code)
        metadata = f"flowcontrol_actions_{name}-1.0.dist-info"
        self.write(
            f"{metadata}/METADATA", f"Metadata-Version: 2.1\nName: flowcontrol-actions-{name}\nVersion: 1.0\n"
        )
        self.write(f"{metadata}/entry_points.txt", f"[flowcontrol]\n{name} = {name}_plugin\n")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(self.folder / "manage.py"), *arguments]

    def manage(
        self, *arguments: str, given: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environment, **environment},
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def open(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
