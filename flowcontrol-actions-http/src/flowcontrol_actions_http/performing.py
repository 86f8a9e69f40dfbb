"""A request of a step: sent, judged, and told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowcontrol.base import ActionContext, Retry
from flowcontrol.expressions import Expression, Scope

from .answers import answer, excerpt, retry_after
from .authentication import Authenticated
from .deadline import limited
from .errors import TemporaryStatus, UnexpectedStatus
from .exchange import Bounds, Reply, Sending, exchange
from .sending import bounds, sending

__all__ = ["RETRY", "evaluated", "performed"]

#: What is tried again unless the flow says otherwise: what may be gone by the next try, after 5, 20 and 80 seconds.
RETRY = Retry(attempts=4, delay=5.0, backoff=4.0, max_delay=900.0, on=("TemporaryFailure",))
#: Statuses of a server that may answer later.
_TEMPORARY = frozenset({408, 425, 429})


def performed(context: ActionContext, url: str = "") -> dict[str, Any]:
    """The answer to the step's request. Raises a ``RequestFailed`` when there is none, or not one that is expected."""
    ready = sending(context, url)
    reply = _exchanged(ready, bounds(context.config))
    found = answer(
        reply, context.config["read_as"] if _is_expected(context, reply) else "auto", _secrets(ready)
    )
    context.log.info("%s answered with %s", reply.url.host, reply.status)
    if not _is_expected(context, reply):
        raise _unexpected(context, ready, reply, found)
    return found


def _exchanged(ready: Sending, limits: Bounds) -> Reply:
    with limited(limits.total):
        reply = exchange(ready, limits)
        authentication = ready.authentication
        if reply.status == 401 and isinstance(authentication, Authenticated) and authentication.is_renewed():
            # The token had been withdrawn before its time.
            reply = exchange(ready, limits)
        return reply


def _is_expected(context: ActionContext, reply: Reply) -> bool:
    return reply.status in context.config["expect"]


def _secrets(ready: Sending) -> list[str]:
    return ready.authentication.secrets() if isinstance(ready.authentication, Authenticated) else []


def _unexpected(
    context: ActionContext, ready: Sending, reply: Reply, found: dict[str, Any]
) -> UnexpectedStatus:
    is_temporary = reply.status in _TEMPORARY or reply.status >= 500
    where = reply.url.copy_with(query=None)
    return (TemporaryStatus if is_temporary else UnexpectedStatus)(
        f"{ready.method} {where} was answered with the status {reply.status}; expected was {context.config['expect']}.",
        response=excerpt(found),
        retry_after=retry_after(reply, context.now),
    )


def evaluated(context: ActionContext, expression: Expression, response: Mapping[str, Any]) -> Any:
    """The value of an expression that can read ``response`` as well."""
    scope = context.scope
    around = {**scope.variables, "response": response}
    return expression.evaluate(Scope(scope.state, around, scope.run, scope.now, scope.load_object))
