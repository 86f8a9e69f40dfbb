"""Refuses names that would give a pack nobody can use, before anything is written. No network, no lists of versions."""

from __future__ import annotations

import json
import keyword
import re
import sys
from collections.abc import Iterator

# Rendered by Cookiecutter. No quote can end it early: the filter writes it as \u0027.
ANSWERS = json.loads(r"""{{ cookiecutter|tojson }}""")

#: The core keeps these names for itself, and its own packs have the others.
TAKEN = ("core", "flow", "flowcontrol", "builtin", "http", "celery")

#: What the module of the actions imports; a class of that name would hide it.
IMPORTED = (
    "Any",
    "ActionContext",
    "ActionForm",
    "BaseAction",
    "Effect",
    "Mapping",
    "TemplateField",
    "ValidationError",
)


def problems() -> Iterator[str]:
    yield from name_problems("pack", "name of the pack")
    yield from name_problems("action", "name of the action")
    pack, module_class = ANSWERS["__pack"], ANSWERS["__class"]
    if pack in TAKEN:
        yield f'The name of the pack "{pack}" is taken: {", ".join(TAKEN)} belong to flowcontrol. Choose another.'
    elif pack.startswith("flowcontrol"):
        yield (
            f'The name of the pack "{pack}" must not begin with flowcontrol: the distribution is called '
            "flowcontrol-actions-NAME anyway. Give NAME alone."
        )
    if module_class in IMPORTED:
        yield f'The action "{ANSWERS["__action"]}" would be the class {module_class}, which flowcontrol has. Rename it.'
    for answer in ("description", "author"):
        yield from text_problems(answer)


def name_problems(answer: str, what: str) -> Iterator[str]:
    given, name = ANSWERS[answer], ANSWERS[f"__{answer}"]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", re.sub(r"[-. ]", "_", given.strip().lower())):
        suggestion = f' "{name}" would do.' if re.fullmatch(r"[a-z][a-z0-9_]*", name) else ""
        yield (
            f'The {what} "{given}" cannot be used: small letters a to z, digits, "_" and "-" can, beginning with a '
            f"letter.{suggestion}"
        )
    elif keyword.iskeyword(name) or keyword.issoftkeyword(name):
        yield f'The {what} "{name}" is a word of Python. Choose another, such as "{name}_it".'
    elif len(name) > 40:
        yield f'The {what} "{name}" has {len(name)} characters; 40 are enough for everybody who has to type it.'


def text_problems(answer: str) -> Iterator[str]:
    given = ANSWERS[answer]
    if not given.strip():
        yield f"The {answer} is empty. Write a few words: it stands in the metadata of the distribution."
    elif not given.isprintable():
        yield f"The {answer} {given!r} has a line break or another character that cannot be printed. Leave it out."
    elif len(given) > 300:
        yield f"The {answer} has {len(given)} characters; PyPI and this template want one line, of at most 300."


found = list(problems())
for problem in found:
    sys.stderr.write(f"{problem}\n")
sys.exit(1 if found else 0)
