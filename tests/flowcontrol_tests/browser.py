"""The Chromium that browser tests open pages in: one of the system's, since Playwright's own is a large download."""

from __future__ import annotations

import os
import shutil

__all__ = ["ARGUMENTS", "VARIABLE", "chromium"]

#: The environment variable with its path.
VARIABLE = "FLOWCONTROL_TEST_CHROMIUM"

#: It is to open pages of this machine, and to ask nobody else for anything.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str:
    """Its path; empty where there is none."""
    names = (os.environ.get(VARIABLE), "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), "")
