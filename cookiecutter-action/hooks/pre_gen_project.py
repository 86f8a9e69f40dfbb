"""Says at once what is wrong with an answer, before anything is written."""

import keyword
import re
import sys

PACK = {{ cookiecutter.pack_name | tojson }}
ACTION = {{ cookiecutter.action_name | tojson }}
DESCRIPTION = {{ cookiecutter.description | tojson }}
AUTHOR = {{ cookiecutter.author | tojson }}

#: The core's own, and the pack that everybody has.
RESERVED = ("builtin", "core", "flow", "flowcontrol")


def problems():
    for what, name in (("The name of the pack", PACK), ("The name of the action", ACTION)):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            yield f"{what} is {name!r}. Use small letters, digits and underscores, and begin with a letter: acme_mail."
        elif keyword.iskeyword(name):
            yield f"{what} is {name!r}, which is a word of Python's own. Choose another one."
    if PACK in RESERVED:
        yield f"The name {PACK!r} is reserved. Choose another one."
    elif PACK.startswith("flowcontrol"):
        yield f"The name {PACK!r} begins with flowcontrol, which is put before it anyway: flowcontrol-actions-{PACK}."
    for what, text in (("The description", DESCRIPTION), ("The author", AUTHOR)):
        if not text.strip() or "\n" in text:
            yield f"{what} has to be one line of text."


found = list(problems())
for problem in found:
    sys.stderr.write(f"{problem}\n")
sys.exit(1 if found else 0)
