"""Says at once what is wrong with an answer, before anything is written."""

import keyword
import re
import sys

PACK = {{ cookiecutter.pack_name | tojson }}
ACTION = {{ cookiecutter.action_name | tojson }}
DESCRIPTION = {{ cookiecutter.description | tojson }}
AUTHOR = {{ cookiecutter.author | tojson }}

CLASS = {{ cookiecutter.__class | tojson }}

#: The core's own, and those of its own packs.
RESERVED = ("builtin", "celery", "core", "credential", "flow", "flowcontrol", "http")
#: What the module of the actions imports; a class of that name would hide it.
IMPORTED = ("ActionContext", "ActionForm", "Any", "BaseAction", "Decision", "Effect", "Mapping", "Next", "TemplateField",
            "Text", "ValidationError")


def problems():
    for what, name in (("The name of the pack", PACK), ("The name of the action", ACTION)):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            yield f"{what} is {name!r}. Use small letters, digits and underscores, and begin with a letter: acme_mail."
        elif keyword.iskeyword(name):
            yield f"{what} is {name!r}, which is a word of Python's own. Choose another one."
        elif len(name) > 40:
            yield f"{what} has {len(name)} characters; 40 are enough for everybody who has to type it."
    if PACK in RESERVED:
        yield f"The name {PACK!r} is reserved. Choose another one."
    elif PACK.startswith("flowcontrol"):
        yield f"The name {PACK!r} begins with flowcontrol, which is put before it anyway: flowcontrol-actions-{PACK}."
    if CLASS in IMPORTED:
        yield f"The action {ACTION!r} would be the class {CLASS}, which its module has already. Choose another one."
    for what, text in (("The description", DESCRIPTION), ("The author", AUTHOR)):
        if not text.strip() or any(ord(character) < 32 for character in text):
            yield f"{what} has to be one line of text."


found = list(problems())
for problem in found:
    sys.stderr.write(f"{problem}\n")
sys.exit(1 if found else 0)
