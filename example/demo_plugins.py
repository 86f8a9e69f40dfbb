"""The demonstration of plugins: a pack is switched off under a run and on again, and nothing is lost.

``python3 dev.py demo-plugins`` leaves nothing running, and exits with 0 only when all was as it tells.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from importlib import import_module
from pathlib import Path

import django

HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo-plugins", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--folder",
        type=Path,
        default=HERE.parent / "demo" / "plugins",
        help="Where the database goes, anew; default: demo/plugins.",
    )
    parser.add_argument(
        "--flows",
        type=Path,
        default=HERE / "flows-plugins",
        help="Folder of the flows; default: flows-plugins.",
    )
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="How long each thing may take; default: 30."
    )
    options = parser.parse_args()
    folder = options.folder.resolve()
    # Whoever has it in the shell means another project; the processes of ours get it when the story says so.
    os.environ.pop("FLOWCONTROL_PLUGINS", None)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "repairshop.settings",
        "REPAIRSHOP_FOLDER": str(folder),
        "REPAIRSHOP_SECRET_KEY": secrets.token_urlsafe(40),
        "REPAIRSHOP_LOG": "INFO",
    }
    django.setup()
    # Not at the top: its imports need Django to be set up.
    show = import_module("demonstration.switching").show
    return int(show(folder, options.flows.resolve(), options.seconds))


if __name__ == "__main__":
    sys.exit(main())
