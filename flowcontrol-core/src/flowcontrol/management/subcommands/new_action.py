"""``flowcontrol new-action``: an action in an app of the project, and a test of it."""

from __future__ import annotations

import ast
import keyword
import sysconfig
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.apps import AppConfig, apps
from django.core.management.base import CommandError

from ...registry import actions, is_name
from ...suggestions import did_you_mean
from ..output import Console

__all__ = ["new_action"]

#: What the class needs, by module.
IMPORTS = {
    "flowcontrol.base": ("ActionContext", "ActionForm", "BaseAction", "Effect"),
    "flowcontrol.forms": ("TemplateField",),
    "flowcontrol.registry": ("register_action",),
}

CLASS = '''

@register_action
class {class_name}(BaseAction):
    """Writes a text into the state."""

    name = "{name}"
    label = "{label}"
    # It changes the state only. Effect.DATABASE: it writes through the ORM, too. Effect.EXTERNAL: it touches the world.
    effect = Effect.PURE

    class Config(ActionForm):
        text = TemplateField(help_text="What to write; expressions stand in double braces.")

    def run(self, context: ActionContext) -> None:
        context.state["text"] = context.render(context.config["text"])
'''

TEST = '''"""The action {name}, in a run."""

from django.test import TestCase
from flowcontrol.documents import import_flow
from flowcontrol.engine import execute_run, start_flow


class {class_name}Test(TestCase):
    def test_its_text_is_put_together_from_the_state(self) -> None:
        step = {{"action": "{name}", "config": {{"text": "Hello, {{{{ name }}}}!"}}}}
        import_flow({{"flowcontrol": 1, "slug": "{slug}", "name": "Test", "steps": [step]}})
        run = execute_run(start_flow("{slug}", state={{"name": "Ada"}}).run)
        self.assertEqual((run.status, run.reason), ("completed", ""))
        self.assertEqual(run.state["text"], "Hello, Ada!")
'''


@dataclass(frozen=True)
class _Wanted:
    """The action to write: its own part of the name, and the app it belongs to."""

    action: str
    app: AppConfig

    @property
    def name(self) -> str:
        return f"{self.app.label}.{self.action}"

    @property
    def class_name(self) -> str:
        return "".join(part.capitalize() for part in self.action.split("_"))

    @property
    def module(self) -> Path:
        return Path(self.app.path) / "flow_actions.py"

    @property
    def test(self) -> Path:
        folder = Path(self.app.path)
        tests = folder / "tests"
        return (tests if tests.is_dir() else folder) / f"test_{self.action}_action.py"

    def filled(self, template: str) -> str:
        return template.format(
            name=self.name,
            class_name=self.class_name,
            label=self.action.replace("_", " ").capitalize(),
            slug=f"test-{self.action.replace('_', '-')}",
        )


def new_action(console: Console, options: Namespace) -> int:
    wanted = _wanted(options.name, options.app)
    _require_free(wanted)
    # Everything is known to be possible before the first file is written.
    source = _with_the_class(wanted)
    is_new = not wanted.module.exists()
    wanted.module.write_text(source, encoding="utf-8")
    wanted.test.write_text(wanted.filled(TEST), encoding="utf-8")
    console.line(f"{wanted.module} {'written' if is_new else 'has one more class'}: {wanted.class_name}")
    console.line(f"{wanted.test} written; it passes: python manage.py test {_dotted(wanted)}")
    console.line(f"In a flow: {{action: {wanted.name}, config: {{text: Hello}}}}")
    return 0


def _dotted(wanted: _Wanted) -> str:
    folder = ".tests" if wanted.test.parent.name == "tests" else ""
    return f"{wanted.app.name}{folder}.{wanted.test.stem}"


def _wanted(name: str, label: str) -> _Wanted:
    """Raises ``CommandError`` for a name that cannot be one, and for an app that is not the project's own."""
    prefix, _, action = name.rpartition(".")
    if prefix and label and prefix != label:
        raise CommandError(
            f'"{name}" belongs to the app "{prefix}", and --app says "{label}". Leave one of them out.'
        )
    config = _app(prefix or label)
    if not is_name(f"a.{action}") or keyword.iskeyword(action):
        raise CommandError(
            f'An action cannot be called "{action}": it begins with a small letter, goes on with small letters, digits '
            "and underscores, and is no word of Python."
        )
    if not is_name(f"{config.label}.{action}"):
        raise CommandError(
            f'The label "{config.label}" of {config.name} cannot begin the name of an action: it needs small letters. '
            "Give its AppConfig another label."
        )
    return _Wanted(action, config)


def _app(label: str) -> AppConfig:
    own = {config.label: config for config in apps.get_app_configs() if _is_own(config)}
    there_are = f"Apps of this project: {', '.join(sorted(own)) or 'none; make one with manage.py startapp'}."
    if not label:
        raise CommandError(f"Say which app gets it: --app LABEL. {there_are}")
    if label in own:
        return own[label]
    if apps.is_installed(label) or label in apps.app_configs:
        raise CommandError(f'The app "{label}" is installed, and not the project\'s own. {there_are}')
    raise CommandError(
        f'There is no app "{label}" in INSTALLED_APPS. {did_you_mean(label, own) or there_are}'
    )


def _is_own(config: AppConfig) -> bool:
    """Whether its code is the project's, and not in a folder that pip installs into; flowcontrol's own never is."""
    path = Path(config.path).resolve()
    installed = (Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib"))
    return config.name.partition(".")[0] != "flowcontrol" and not any(map(path.is_relative_to, installed))


def _require_free(wanted: _Wanted) -> None:
    """Raises ``CommandError`` when something would be overwritten, or be there twice."""
    if wanted.name in actions:
        raise CommandError(
            f'There is an action "{wanted.name}" already, of {actions.provider(wanted.name)}. Choose another name.'
        )
    if wanted.module.with_suffix("").is_dir():
        raise CommandError(
            f"{wanted.module.with_suffix('')} is a package, and this command writes a module. Add the class by hand."
        )
    if wanted.test.exists():
        raise CommandError(
            f"{wanted.test} is there already and is not overwritten. Move it away, or rename the action."
        )


def _with_the_class(wanted: _Wanted) -> str:
    """The module with the class at its end. Raises ``CommandError`` when the module has something of that name."""
    if not wanted.module.exists():
        source = f'"""Actions of {wanted.app.label} for flows."""\n\nfrom __future__ import annotations\n'
    else:
        source = wanted.module.read_text(encoding="utf-8")
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise CommandError(f"{wanted.module} cannot be read: {error}. Mend it first.") from error
    present = dict(_names(tree))
    if wanted.class_name in present or wanted.class_name in _needed():
        raise CommandError(
            f'{wanted.module} has the name "{wanted.class_name}" already. Choose another one for the action.'
        )
    foreign = sorted(name for name, module in _needed().items() if present.get(name, module) != module)
    if foreign:
        raise CommandError(
            f"In {wanted.module}, {', '.join(foreign)} is something else than flowcontrol's. Add the class by hand."
        )
    missing = {name: module for name, module in _needed().items() if name not in present}
    return _with_imports(source, tree, missing).rstrip("\n") + "\n" + wanted.filled(CLASS)


def _needed() -> dict[str, str]:
    """Module of each name that the class needs."""
    return {name: module for module, names in IMPORTS.items() for name in names}


def _names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What the module defines at its top, with the module it is imported from; "" for its own."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or alias.name, node.module or "") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name, "") for alias in node.names)
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, ""
        elif isinstance(node, ast.Assign):
            yield from ((target.id, "") for target in node.targets if isinstance(target, ast.Name))


def _with_imports(source: str, tree: ast.Module, missing: dict[str, str]) -> str:
    """The missing imports behind those that are there, or behind the docstring."""
    if not missing:
        return source
    added = []
    for module in IMPORTS:
        names = [name for name, home in missing.items() if home == module]
        added += [f"from {module} import {', '.join(names)}"] if names else []
    lines = source.splitlines()
    place, is_first = _place_of_imports(tree)
    return "\n".join([*lines[:place], *([""] if is_first and place else []), *added, *lines[place:], ""])


def _place_of_imports(tree: ast.Module) -> tuple[int, bool]:
    """How many lines stand before, and whether no other import but ``__future__`` does."""
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    others = [node for node in imports if getattr(node, "module", "") != "__future__"]
    if imports:
        return imports[-1].end_lineno or 0, not others
    is_documented = ast.get_docstring(tree) is not None
    return (tree.body[0].end_lineno or 0) if is_documented else 0, True
