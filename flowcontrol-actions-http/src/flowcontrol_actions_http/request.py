"""http.request: one request, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowcontrol.base import ActionContext, BaseAction, Decision, Effect, EnterBranch, Next
from flowcontrol.translations import catalogue

from .errors import RequestFailed
from .fields import ExpressionsField, NameField
from .performing import RETRY, evaluated, performed
from .request_form import BodyForm

__all__ = ["Request"]

_ = catalogue("flowcontrol_actions_http")


class Request(BaseAction):
    """Sends a request and keeps what its answer says.

    A status that is not expected, no answer, and one that cannot be read are failures. Those that may be gone soon are
    tried again first. Then the steps of ``error`` run, which can read the failure as ``error`` and the answer, if there
    was one, as ``response``; without such steps the step fails.
    """

    name = "http.request"
    label = "Send request"
    effect = Effect.EXTERNAL
    branches = ("error",)
    retry = RETRY

    class Config(BodyForm):
        save_as = NameField(
            label=_("Save as"),
            required=False,
            max_length=100,
            help_text=_(
                "The key of the state for the whole answer: its status, headers, body and url. Empty: none."
            ),
        )
        save = ExpressionsField(
            label=_("Save parts"),
            required=False,
            help_text=_(
                "Keys of the state, and expressions for what they get, which can read “response”: "
                "{“order”: “response.body.id”}."
            ),
        )

    def run(self, context: ActionContext) -> Decision:
        try:
            answer = performed(context)
        except RequestFailed as error:
            if "error" not in context.branches or context.is_retried(error):
                raise
            return EnterBranch("error", {"error": _told(context, error), "response": error.response})
        config = context.config
        parts = {key: evaluated(context, expression, answer) for key, expression in config["save"].items()}
        if config["save_as"]:
            context.state[config["save_as"]] = answer
        context.state.update(parts)
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        return f"{config['method']} {config['url'].source}"


def _told(context: ActionContext, error: RequestFailed) -> dict[str, str | int]:
    """As ``error`` of builtin.try."""
    return {"type": type(error).__name__, "message": str(error), "attempt": context.attempt}
