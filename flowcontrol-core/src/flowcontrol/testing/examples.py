"""The flows in a pack's README: examples to be copied, and configurations to try."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

from ..documents import parse_yaml, walk
from ..exceptions import DocumentError
from .rules import NotApplicable, Subject

__all__ = ["actions_in", "flows_in", "readme", "samples_in_readme"]

_FLOW = re.compile(
    r"^([ \t]*)flowcontrol: 1[ \t]*$(?:\n(?:[ \t]*$|\1(?![ \t]*(?:```|~~~)).*))*", re.MULTILINE
)


def readme(subject: Subject) -> str:
    """As it is now, where the folder is at hand: an editable install's metadata are from when it was installed."""
    folder = subject.installed.editable if subject.installed else ""
    files = sorted(Path(folder).glob("README*")) if folder else []
    return (
        files[0].read_text(encoding="utf-8")
        if files
        else str(subject.distribution.metadata["Description"] or "")
    )


def flows_in(text: str) -> Iterator[str]:
    """The flows that stand in a text, Markdown or other: from ``flowcontrol: 1`` on, as far as it is indented so."""
    for match in _FLOW.finditer(text):
        yield dedent(match[0])


def actions_in(document: Mapping[str, Any]) -> set[str]:
    """Names of the actions of its steps."""
    try:
        return {str(step["action"]) for step in walk(document.get("steps", []))}
    except (AttributeError, KeyError, TypeError):
        # No document, which validation tells.
        return set()


def samples_in_readme(subject: Subject) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The configurations that actions have in flows of the README: what the author thinks right."""
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    # What cannot be read is told by the rule about the README.
    with suppress(NotApplicable, DocumentError, AttributeError, KeyError, TypeError):
        for text in flows_in(readme(subject)):
            for document in parse_yaml(text):
                for step in walk(document["steps"]):
                    found[step["action"]].append(step.get("config", {}))
    return {name: configs for name, configs in found.items() if name in subject.actions}
