"""What flows can be started by, and what runs can wait for."""

from __future__ import annotations

from flowcontrol.registry import register_trigger, register_trigger_as_signal_handler

__all__ = ["quote_answered", "repair_saved"]

#: Django's signal fires it (see ``apps.py``); the conditions in the flows pick the saves that matter to them.
repair_saved = register_trigger_as_signal_handler(
    "workshop.repair_saved", model="workshop.repair", label="A repair was saved"
)

#: Our own code fires it: ``quote_answered(repair, {"answer": "yes"})``.
quote_answered = register_trigger(
    "workshop.quote_answered", model="workshop.repair", label="A customer answered a quote"
)
