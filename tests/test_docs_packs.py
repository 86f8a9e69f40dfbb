"""The guide for authors of packs, typed from its first command to its last, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from docs_pages import ROOT, blocks
from test_docs_tutorial import Reader

pytestmark = pytest.mark.once

PAGE = ROOT / "docs" / "packs.md"
FOLDERS = ("flowcontrol-core", "flowcontrol-actions-builtin", "cookiecutter-action")


def author(folder: Path) -> Reader:
    """Somebody with a checkout and an environment, in which is also what is installed here: no network is needed."""
    for name in FOLDERS:
        (folder / name).symlink_to(ROOT / name)
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    here = sysconfig.get_path("purelib")
    (site / "beside.pth").write_text(f"import site; site.addsitedir({here!r})\n", encoding="utf-8")
    script = environment / "bin" / "pip"
    script.write_text(f'#!/bin/sh\nexec "{environment}/bin/python" -m pip "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    reader = Reader(folder)
    reader.environment |= {
        "PATH": f"{environment / 'bin'}{os.pathsep}{reader.environment['PATH']}",
        "HOME": str(folder),
        "PIP_NO_INDEX": "1",
        # pip takes it the other way round: no isolation.
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    return reader


@pytest.mark.slow
def test_every_file_and_command_of_the_guide_does_what_the_page_shows(tmp_path: Path) -> None:
    reader = author(tmp_path)
    followed = [reader.follow(block) for block in blocks(PAGE)]
    assert len(followed) > 10
    installed = list((tmp_path / "environment").glob("lib/python*/site-packages/flowcontrol_actions_acme*"))
    assert installed, "the pack went into the environment of the author"


def test_every_block_of_the_guide_is_a_file_or_commands() -> None:
    assert [block for block in blocks(PAGE) if not block.title and block.language != "console"] == []
