"""Removes what the chosen kind of pack has no use for, and tells how to go on."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

ANSWERS = json.loads(r"""{{ cookiecutter|tojson }}""")
PACKAGE = Path("src") / ANSWERS["__module"]

#: Only a pack with an app has these.
APP = ("apps.py", "models.py", "urls.py", "views.py", "migrations", "static", "templates")


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


if ANSWERS["kind"] == "light":
    for name in APP:
        remove(PACKAGE / name)
if not ANSWERS["trigger"]:
    remove(PACKAGE / "triggers.py")

sys.stdout.write(
    f"""
{ANSWERS["__distribution"]} is ready. To see its tests pass:

    cd {ANSWERS["__distribution"]}
    python -m pip install -e ".[test]"
    python -m pytest
"""
)
