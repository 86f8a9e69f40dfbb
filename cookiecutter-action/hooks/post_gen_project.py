"""Removes what the answers do not ask for, and says what comes next."""

import shutil
from pathlib import Path

KIND = {{ cookiecutter.kind | tojson }}
PACKAGE = Path("src") / {{ cookiecutter.__package | tojson }}
DISTRIBUTION = {{ cookiecutter.__distribution | tojson }}

#: Of app packs only.
APP = ("apps.py", "models.py", "urls.py", "views.py", "migrations", "templates", "static")

if KIND == "light":
    for name in APP:
        path = PACKAGE / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

print(f"""
{DISTRIBUTION} is there. Next:

    pip install -e "./{DISTRIBUTION}[test]"
    python -m pytest {DISTRIBUTION}

and put it into a project: see {DISTRIBUTION}/README.md.""")
