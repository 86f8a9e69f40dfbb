"""The tutorial, executed from its first command to its last, in a folder of its own."""

from __future__ import annotations

import http.cookiejar
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs_pages import ROOT, Block, blocks, prose

pytestmark = pytest.mark.own_database

PAGE = ROOT / "docs" / "tutorial.md"
#: How long a process that is shown until it is interrupted may take to say what the page shows.
PATIENCE = 30.0


class Reader:
    """Does what the page tells its reader to do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        dropped = ("DJANGO_", "FLOWCONTROL_", "PYTEST_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        self.environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "NO_COLOR": "1",
            "DJANGO_COLORS": "nocolor",
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "200",
        }

    def follow(self, block: Block) -> None:
        if block.title:
            self.write(block)
        elif block.marks == "until-interrupted":
            self.watch(block)
        else:
            for command, shown in _commands(block):
                self.type(command, shown, block)

    def write(self, block: Block) -> None:
        file = self.folder / block.title
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a" if "append" in block.marks else "w", encoding="utf-8") as stream:
            stream.write(f"\n{block.text}" if "append" in block.marks else block.text)

    def type(self, command: str, shown: list[str], block: Block) -> None:
        if command.startswith("cd "):
            self.folder /= command.removeprefix("cd ")
            return
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.environment,
            # Whoever waits for an answer gets none, and nothing may wait for ever.
            stdin=subprocess.DEVNULL,
            timeout=2 * PATIENCE,
            capture_output=True,
            text=True,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == 0, f"line {block.line}: {command}\n{printed}"
        missing = not_shown(shown, printed)
        assert not missing, f"line {block.line}: {command} does not show {missing!r}:\n{printed}"

    def watch(self, block: Block) -> None:
        """Start a process in a terminal, read until it has said all above ``^C``, and interrupt it."""
        ((command, shown),) = _commands(block)
        before, after = shown[: shown.index("^C")], shown[shown.index("^C") + 1 :]
        port = f"127.0.0.1:{self.port}"
        command = command.replace("runserver", f"runserver {port}")
        before = [line.replace("127.0.0.1:8000", port) for line in before]
        terminal, end = pty.openpty()
        process = subprocess.Popen(
            f"exec {command}", shell=True, cwd=self.folder, env=self.environment, stdout=end, stderr=end
        )
        os.close(end)
        printed = ""
        try:
            deadline = time.monotonic() + PATIENCE
            while missing := not_shown(before, printed):
                assert time.monotonic() < deadline, f"line {block.line}: no {missing!r} in time:\n{printed}"
                printed += _read(terminal)
            if "runserver" in command:
                self.visit()
        finally:
            process.send_signal(signal.SIGINT)
            while piece := _read(terminal):
                printed += piece
            process.wait(PATIENCE)
            os.close(terminal)
        assert not not_shown([*before, *after], printed), printed

    def visit(self) -> None:
        """Log in as the page says, and open every page of the admin that it names."""
        jar = http.cookiejar.CookieJar()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        site = f"http://127.0.0.1:{self.port}"
        opener.open(f"{site}/admin/login/").close()
        token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
        form = {"username": "ada", "password": "tutorial", "csrfmiddlewaretoken": token, "next": "/admin/"}
        opener.open(f"{site}/admin/login/", urllib.parse.urlencode(form).encode()).close()
        named = re.findall(r"http://127\.0\.0\.1:8000(/admin/[^)\s]*)", prose(PAGE))
        assert named
        for path in [*named, "/admin/flowcontrol/flowrun/2/change/", "/admin/flowcontrol/flow/1/change/"]:
            with opener.open(site + path) as answer:
                text = answer.read().decode()
            assert answer.status == 200
            assert 'id="id_username"' not in text, f"{path} asks for a login"


def _commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """(command, lines that it shows)."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, *shown = part.rstrip("\n").split("\n")
        yield command, shown


def not_shown(lines: list[str], printed: str) -> str:
    """The first of the lines that is not in what was printed, in this order; "" if all are there.

    How wide the spaces are, what the clock shows and how long something took make no difference.
    """
    texts = iter([_loosely(text) for text in printed.splitlines()])
    for line in lines:
        wanted = _loosely(line)
        if not any(wanted in text for text in texts):
            return line
    return ""


def _loosely(line: str) -> str:
    line = re.sub(r"\d{4}-\d\d-\d\d[T ][\d:]+(\.\d+\+00:00)?", "<moment>", line)
    line = re.sub(r"\b\d\d:\d\d:\d\d\b", "<time>", line)
    return " ".join(re.sub(r"\d+(\.\d+)? (µs|ms|s)\b", "<length>", line).split())


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 65_536).decode(errors="replace")
    except OSError:  # how Linux says that the other end was closed
        return ""


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.mark.slow
def test_every_file_and_command_of_the_tutorial_does_what_the_page_shows(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    followed = 0
    for block in blocks(PAGE):
        reader.follow(block)
        followed += 1
    assert followed > 20


def test_every_block_of_the_tutorial_is_a_file_or_commands() -> None:
    loose = [block for block in blocks(PAGE) if not block.title and block.language != "console"]
    assert loose == []


def test_what_a_page_shows_has_to_be_printed_in_this_order() -> None:
    printed = "PLUGIN   STATE\nbuiltin  active  more\n"
    assert not_shown(["PLUGIN STATE", "builtin active"], printed) == ""
    assert not_shown(["builtin active", "PLUGIN STATE"], printed) == "PLUGIN STATE"
    assert not_shown(["builtin  missing"], printed) == "builtin  missing"
