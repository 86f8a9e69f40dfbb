"""From a step's configuration and a run's values to a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import httpx2
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models.fields.files import FieldFile
from flowcontrol.base import ActionContext
from flowcontrol.expressions import Expression, Scope, Template
from flowcontrol.forms import evaluate_strings

from . import conf
from .authentication import KINDS, Authenticated, authentication
from .errors import InvalidRequest
from .exchange import Bounds, Sending
from .request_form import SAFE
from .targets import target

__all__ = ["bounds", "first_url", "sending"]

Pairs = tuple[tuple[str, Template], ...]


def bounds(config: Mapping[str, Any]) -> Bounds:
    return Bounds(
        connect=config["connect_seconds"],
        read=config["read_seconds"],
        total=config["timeout_seconds"],
        max_bytes=config["max_bytes"],
        redirects=config["redirects"],
    )


def sending(context: ActionContext, url: str = "") -> Sending:
    """What the step sends in this run; to ``url``, if one is given. Raises ``InvalidRequest`` and ``EvaluationError``."""
    config = context.config
    method = config.get("method", "GET")
    headers = httpx2.Headers(_rendered(context, config["headers"]), encoding="utf-8")
    body = None if method in SAFE else _body(context)
    if body is not None:
        for name, value in body.headers.items():
            if name.startswith("content-type"):
                headers.setdefault(name, value)
        _check_size(body.content)
    if config.get("idempotency_key") and method not in SAFE:
        headers.setdefault("Idempotency-Key", context.idempotency_key)
    return Sending(
        method,
        url or first_url(context),
        tuple(headers.multi_items()),
        None if body is None else body.content,
        config["verify"],
        _authentication(context) if config["credential"] else None,
    )


def _authentication(context: ActionContext) -> Authenticated:
    config = context.config
    credential = context.credential(config["credential"], kinds=KINDS)
    return authentication(credential, bounds(config), context.keep_secret)


def first_url(context: ActionContext) -> httpx2.URL:
    """The URL that the step names, with its query."""
    text = context.render(context.config["url"]).strip()
    found = target(text, conf.policy()).url
    query = _rendered(context, context.config["query"])
    return found.copy_with(params=found.params.merge(_lists(query))) if query else found


def _rendered(context: ActionContext, pairs: Pairs) -> list[tuple[str, str]]:
    return [(name, context.render(template)) for name, template in pairs]


def _lists(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _body(context: ActionContext) -> httpx2.Request | None:
    """The body with the header that says its type, as a request to nowhere."""
    config = context.config
    parts: dict[str, Any]
    if config["json"] is not None:
        value = evaluate_strings(config["json"].value, context.evaluate)
        parts = {"content": _json(value), "headers": {"Content-Type": "application/json"}}
    elif config["form"]:
        parts = {"data": _lists(_rendered(context, config["form"]))}
        if config["file"] is not None:
            parts["files"] = {config["file_field"]: _file(context, config["file"])}
    elif config["text"] is not None:
        text = context.render(config["text"]).encode("utf-8", "replace")
        parts = {"content": text, "headers": {"Content-Type": "text/plain; charset=utf-8"}}
    elif config["file"] is not None:
        parts = {
            "content": _file(context, config["file"])[1],
            "headers": {"Content-Type": "application/octet-stream"},
        }
    else:
        return None
    request = httpx2.Request("POST", "http://body.invalid/", **parts)
    request.read()
    return request


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, cls=DjangoJSONEncoder, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"The body cannot be written as JSON: {error}") from None


def _file(context: ActionContext, expression: Expression) -> tuple[str, bytes]:
    """Name and content of a file of the object; what the expression may not read is not sent either."""
    name = expression.evaluate(_scope(context))
    if not name:
        raise InvalidRequest(f"{expression.source}: there is no file.")
    found: Any = context.object
    for part in expression.source.strip().split(".")[1:]:
        found = getattr(found, part)
    if not isinstance(found, FieldFile):
        raise InvalidRequest(f"{expression.source} is no file.")
    most = conf.get("MAX_REQUEST_BYTES")
    try:
        with found.open("rb") as stream:
            content: bytes = stream.read(most + 1)
    except (OSError, ValueError) as error:
        raise InvalidRequest(
            f"{expression.source}: the file cannot be read ({type(error).__name__})."
        ) from error
    return PurePosixPath(str(name)).name, content


def _scope(context: ActionContext) -> Scope:
    """Without variables of loops, one of which may be named “object”."""
    scope = context.scope
    return Scope(scope.state, {}, scope.run, scope.now, scope.load_object)


def _check_size(content: bytes) -> None:
    most = conf.get("MAX_REQUEST_BYTES")
    if len(content) > most:
        raise InvalidRequest(
            f'The body is larger than {most:,} bytes, the most that FLOWCONTROL_HTTP["MAX_REQUEST_BYTES"] allows.'
        )
