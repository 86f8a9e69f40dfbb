"""Every text that people read on the pages of this pack is in the German catalogue."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import flowcontrol_actions_http

HERE = Path(str(flowcontrol_actions_http.__file__)).parent
CATALOGUE = HERE / "locale" / "de" / "LC_MESSAGES" / "django"
MODULES = (
    "admin",
    "callbacks",
    "fields",
    "for_each_page",
    "kinds",
    "models",
    "request",
    "request_form",
    "respond",
    "wait_for_callback",
    "webhook_secret",
)


def texts_of_code(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((HERE / f"{module}.py").read_text("utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("_", "gettext")
        ):
            (text,) = node.args
            yield ast.literal_eval(text)


def texts_of_pages() -> Iterator[str]:
    for path in HERE.rglob("*.html"):
        source = path.read_text("utf-8")
        yield from re.findall(r'{% translate "([^"]+)" %}', source)
        for text in re.findall(r"{% blocktranslate .*?%}(.*?){% endblocktranslate %}", source, re.DOTALL):
            yield re.sub(r"{{ (\w+) }}", r"%(\1)s", text.strip())


@pytest.fixture(scope="module")
def german() -> gettext.GNUTranslations:
    with CATALOGUE.with_suffix(".mo").open("rb") as stream:
        return gettext.GNUTranslations(stream)


@pytest.mark.parametrize("module", [*MODULES, "pages"])
def test_every_text_is_translated(module: str, german: gettext.GNUTranslations) -> None:
    texts = set(texts_of_pages() if module == "pages" else texts_of_code(module))
    assert texts
    assert {text for text in texts if text not in german._catalog} == set()  # type: ignore[attr-defined]


def test_the_catalogue_is_compiled(german: gettext.GNUTranslations) -> None:
    source = CATALOGUE.with_suffix(".po").read_text("utf-8")
    pairs = re.findall(r'^msgid "(.+)"\nmsgstr "(.+)"$', source, re.MULTILINE)
    assert {text: german.gettext(text) for text, _ in pairs} == dict(pairs)
