"""Catalogues of packages that are in no INSTALLED_APPS."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from django.utils import translation
from flowcontrol.translations import catalogue


def compiled(texts: dict[str, str]) -> bytes:
    """A catalogue as msgfmt writes it."""
    pairs = [(b"", b"Content-Type: text/plain; charset=UTF-8\n")]
    pairs += sorted((text.encode(), translated.encode()) for text, translated in texts.items())
    begin = 28 + 16 * len(pairs)
    tables, data = [], b""
    for column in (0, 1):
        for pair in pairs:
            tables += [len(pair[column]), begin + len(data)]
            data += pair[column] + b"\0"
    header = [0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0]
    return struct.pack(f"<{len(header) + len(tables)}I", *header, *tables) + data


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A package with a German catalogue that no setting mentions."""
    name = f"translated_{abs(hash(request.node.nodeid))}"
    folder = tmp_path / name / "locale" / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (tmp_path / name / "__init__.py").touch()
    (folder / "django.mo").write_bytes(compiled({"Mandatory": "Erforderlich"}))
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize(
    ("language", "expected"),
    [("de", "Erforderlich"), ("de-at", "Erforderlich"), ("en", "Mandatory"), ("xx", "Mandatory")],
)
def test_a_text_is_looked_up_in_the_catalogue_of_its_package(
    language: str, expected: str, package: str
) -> None:
    text = catalogue(package)("Mandatory")
    with translation.override(language):
        assert str(text) == expected


def test_a_text_follows_the_language_that_is_active_when_it_is_read(package: str) -> None:
    text = catalogue(package)("Mandatory")
    with translation.override("de"):
        german = f"{text}"
    with translation.override("en"):
        assert (german, f"{text}") == ("Erforderlich", "Mandatory")
    with translation.override(None):
        assert str(text) == "Mandatory"


def test_what_the_package_does_not_translate_django_does() -> None:
    text = catalogue("flowcontrol")("Enter a valid value.")
    with translation.override("de"):
        assert str(text) == "Bitte einen gültigen Wert eingeben."


def test_a_lazy_text_can_be_copied_to_another_process(package: str) -> None:
    text = pickle.loads(pickle.dumps(catalogue(package)("Mandatory")))
    with translation.override("de"):
        assert str(text) == "Erforderlich"


def test_a_package_that_does_not_exist_is_named() -> None:
    with (
        translation.override("de"),
        pytest.raises(ModuleNotFoundError, match='There is no package "no_such_package"'),
    ):
        str(catalogue("no_such_package")("Text"))


def test_importing_it_needs_no_settings() -> None:
    code = "from flowcontrol.translations import catalogue; catalogue('django')('Text')"
    subprocess.run([sys.executable, "-c", code], check=True)
