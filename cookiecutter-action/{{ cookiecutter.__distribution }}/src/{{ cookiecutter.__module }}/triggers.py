"""Fires the trigger types of this pack."""

from __future__ import annotations

from flowcontrol.engine import fire_trigger

__all__ = ["received"]


def received(text: str) -> None:
    """Start the flows that listen to ``{{ cookiecutter.__pack }}.received``, with this text in their state.

    Within the caller's transaction, if there is one; a flow that cannot start raises nothing here.
    """
    fire_trigger("{{ cookiecutter.__pack }}.received", state={"text": text})
