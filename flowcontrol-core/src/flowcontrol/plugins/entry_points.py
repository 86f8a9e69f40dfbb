"""Which plugins are installed: the one scan of distributions' metadata, as text, importing nothing."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import importlib_metadata

__all__ = ["APPS_GROUP", "GROUP", "Installed", "canonical", "installed_plugins", "project_url", "scan"]

logger = logging.getLogger(__name__)

#: Hook modules.
GROUP = "flowcontrol"
#: AppConfigs of packs that have models, templates or commands.
APPS_GROUP = "flowcontrol.apps"


class Installed(NamedTuple):
    """A plugin as its distribution announces it: the entry points' name, and what they point to."""

    name: str
    distribution: str = ""
    version: str = ""
    #: ``package.plugin``, the hook module; empty for a pack that has nothing but an app.
    module: str = ""
    #: ``package.apps.PackConfig``; empty for most.
    app: str = ""
    #: Folder of an editable install; empty for a wheel.
    editable: str = ""

    @property
    def source(self) -> str:
        """For people: where the code comes from."""
        return f"editable {self.editable}" if self.editable else "wheel" if self.distribution else "project"

    def __str__(self) -> str:
        if not self.distribution:
            return f'plugin "{self.name}"'
        return f'plugin "{self.name}" ({self.distribution} {self.version})'.replace(" )", ")")


def canonical(name: str) -> str:
    """The spelling under which names compare: ``Acme-Mail``, ``acme.mail`` and ``acme_mail`` are one."""
    return re.sub(r"[-_.]+", "_", name.strip()).lower()


@cache
def installed_plugins() -> tuple[Installed, ...]:
    """What is installed, by name; scanned once per process."""
    return tuple(scan())


def scan(path: list[str] | None = None) -> list[Installed]:
    """Plugins of all distributions on ``path`` (``sys.path``), sorted, each once."""
    found: set[Installed] = set()
    seen: set[str] = set()
    # A folder that is not there would be tried as a zip file, for which Python's zipfile would be imported.
    folders = [folder for folder in (sys.path if path is None else path) if Path(folder).exists()]
    # The type that importlib-metadata gives its distributions has another name in each of its major versions.
    distributions: Iterable[Any] = importlib_metadata.distributions(path=folders)
    for distribution in distributions:
        try:
            text = distribution.read_text("entry_points.txt") or ""
            # Nearly all distributions end here: one small file read and nothing parsed.
            if "flowcontrol" not in text:
                continue
            name, version = _name_and_version(distribution)
            # The first on the path is the one that Python imports; an older copy behind it is not there.
            if canonical(name) in seen:
                continue
            seen.add(canonical(name))
            found.update(_plugins_of(distribution, name, version))
        except Exception:
            # Damaged metadata of one distribution must not hide the others.
            logger.exception("metadata cannot be read distribution=%r", distribution)
    return sorted(found)


def project_url(distribution: str) -> str:
    """Where a distribution's project is at home; empty when it does not say. For messages: reads all its metadata."""
    try:
        metadata = importlib_metadata.metadata(distribution)
    except (importlib_metadata.PackageNotFoundError, ValueError):
        return ""
    urls = [str(one).partition(",")[2].strip() for one in metadata.get_all("Project-URL") or ()]
    return next((url for url in [*urls, str(metadata.get("Home-page") or "")] if url), "")


def _name_and_version(distribution: Any) -> tuple[str, str]:
    """By hand: ``distribution.metadata`` parses the whole description too, and imports ``email`` for it."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    headers = dict(line.partition(": ")[::2] for line in text.partition("\n\n")[0].splitlines())
    return headers.get("Name", "").strip(), headers.get("Version", "").strip()


def _plugins_of(distribution: Any, name: str, version: str) -> list[Installed]:
    modules = {entry.name: entry.value for entry in distribution.entry_points if entry.group == GROUP}
    apps = {entry.name: entry.value for entry in distribution.entry_points if entry.group == APPS_GROUP}
    if not modules and not apps:
        return []
    editable = _editable(distribution)
    return [
        Installed(
            plugin,
            distribution=name,
            version=version,
            module=modules.get(plugin, "").strip(),
            app=apps.get(plugin, "").strip().replace(":", "."),
            editable=editable,
        )
        for plugin in sorted({*modules, *apps})
    ]


def _editable(distribution: Any) -> str:
    text = distribution.read_text("direct_url.json")
    if not text:
        return ""
    origin = json.loads(text)
    if not origin.get("dir_info", {}).get("editable"):
        return ""
    return unquote(urlsplit(origin.get("url", "")).path)
