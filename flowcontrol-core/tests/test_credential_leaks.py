"""Secrets are seeded, an action does with them all that it should not, and everything that is written is searched.

Each place is shown to have them with the masking off, so that it is known to be looked at.
"""

from __future__ import annotations

import base64
import html
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

import pytest
from admin_world import flow, registered
from credential_kinds import Use, in_use, saved
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from flowcontrol import registry
from flowcontrol.base import ActionContext, BaseAction, Effect, EnterBranch, StopFlow, Wait
from flowcontrol.credentials import Credential, get_credential
from flowcontrol.documents import export_flow, to_yaml
from flowcontrol.engine import (
    Started,
    cancel_runs,
    continue_flowruns,
    execute_run,
    fire_trigger,
    restart_run,
    start_flow,
)
from flowcontrol.exceptions import CredentialError
from flowcontrol.logs import JsonFormatter
from flowcontrol.masking import MASK, Masker
from flowcontrol.models import Credential as Row
from flowcontrol.models import FlowRun
from flowcontrol.plugins.loader import isolated_plugins
from flowcontrol.signals import run_finished
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.every_database]

#: With what JSON, URLs and Python's repr write otherwise.
PASSWORD = 'pass "word" & Ümlaut/7'
TOKEN = "derived-token-0123456789"


def shapes(secret: str) -> set[str]:
    data = secret.encode()
    return {
        secret,
        repr(secret)[1:-1],
        html.escape(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(data, safe=""),
        base64.b64encode(data).decode().rstrip("=")[:-1],
        base64.b64encode(b"ada:" + data).decode(),
    }


SHAPES = shapes(PASSWORD) | shapes(TOKEN)


def is_in(text: str) -> bool:
    return any(shape in text for shape in SHAPES)


# -- what the action does ----------------------------------------------------------------------------------------


def keep(context: ActionContext, credential: Credential) -> None:
    """In the state, as value, in depth, as key and derived; in its memory; in what it starts and fires."""
    password = credential.values["password"]
    context.keep_secret(TOKEN)
    header = base64.b64encode(f"ada:{password}".encode()).decode()
    context.state["plain"] = password
    context.state["deep"] = [{"headers": {"Authorization": f"Basic {header}"}, password: 1}]
    context.state["url"] = f"https://api.example.org/?key={quote(password, safe='')}"
    context.state[f"key {password}"] = True
    context.state["token"] = TOKEN
    context.locals["password"] = password
    start_flow("child", state={"given": password})
    spare = start_flow("child")
    assert isinstance(spare, Started)
    cancel_runs(spare.run, f"Not needed: {password}")
    restart_run(spare.run, state={"again": password})
    fire_trigger("test.ping", state={"given": f"Bearer {TOKEN}"})


def keep_signature(context: ActionContext, credential: Credential) -> StopFlow:
    context.state["signature"] = context.locals["key"] = credential.values["password"]
    return StopFlow(f"Signed with {credential.values['password']}")


def say(context: ActionContext, credential: Credential) -> None:
    """In logs: as argument, in the message, as extra, in a traceback, of another library."""
    password = credential.values["password"]
    context.log.warning("used %s with %s", credential, password)
    context.log.warning(f"used {TOKEN}")  # noqa: G004  as people do
    logging.getLogger("flowcontrol.elsewhere").error("refused", extra={"header": {"Authorization": password}})
    logging.getLogger("flowcontrol.elsewhere").error("of %(secret)s", {"secret": password})
    logging.getLogger("httpx").info(
        "HTTP Request: GET https://api.example.org/?key=%s", quote(password, safe="")
    )
    try:
        raise LookupError(password)
    except LookupError:
        context.log.exception("lost")


def branch(context: ActionContext, credential: Credential) -> EnterBranch:
    return EnterBranch("steps", variables={"password": credential.values["password"]})


def fail(context: ActionContext, credential: Credential) -> None:
    """In an error, its cause and its notes."""
    try:
        raise KeyError(credential.values["password"])
    except KeyError as cause:
        error = RuntimeError(f"401 for {TOKEN}")
        error.add_note(f"sent {credential.values['password']!r}")
        context.keep_secret(TOKEN)
        raise error from cause


def stop(context: ActionContext, credential: Credential) -> StopFlow:
    return StopFlow(f"The server said: no {credential.values['password']}")


class Enter(BaseAction):
    """Has steps inside it, which read its variables."""

    name = "test.enter"
    effect = Effect.EXTERNAL
    branches = ("steps",)
    Config = Use.Config

    def run(self, context: ActionContext) -> Any:
        return branch(context, context.credential(context.config["credential"]))


class Sign(Use):
    """Touches nothing, and is asked in the loop of plain steps."""

    name = "test.sign"
    effect = Effect.PURE


class Rest(BaseAction):
    name = "test.rest"
    effect = Effect.PURE

    def run(self, context: ActionContext) -> Any:
        return Wait(event="test.never")


def step(id_: str, action: str = "test.use", **more: Any) -> dict[str, Any]:
    return {"id": id_, "action": action, "config": {"credential": "shop"}, **more}


# -- where it is searched ----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def world() -> Iterator[None]:
    with registered(), in_use():
        for action in (Enter, Rest, Sign):
            registry.register_action(action)
        Use.does.update(keep=keep, say=say, fail=fail, stop=stop, sign=keep_signature)
        saved(password=PASSWORD, pin=TOKEN)
        yield


@contextmanager
def masking_off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(Masker, "mask", lambda self, text: text)
        patch.setattr(Masker, "mask_values", lambda self, value: value)
        yield


def execute() -> None:
    """Runs that end in every way in which something is written."""
    flow("child")
    flow("heard", triggers=[{"on": "test.ping"}])
    rest = {"id": "rest", "action": "test.rest"}
    for slug, steps in {
        "keeps": [step("keep"), step("say")],
        "branches": [step("enter", "test.enter", steps=[rest])],
        "fails": [step("fail")],
        "retries": [step("fail", retry={"attempts": 2, "delay": 3600})],
        "stops": [step("stop")],
        "signs": [step("sign", "test.sign")],
    }.items():
        started = start_flow(flow(slug, steps))
        assert isinstance(started, Started)
        execute_run(started.run)


def everything_stored() -> dict[str, str]:
    """Every column of every table."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            columns = [one[0] for one in cursor.description]
            rows = cursor.fetchall()
            for index, column in enumerate(columns):
                found[f"{table}.{column}"] = "\n".join(str(row[index]) for row in rows)
    return found


def pages() -> dict[str, str]:
    client = Client()
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    admin = "/admin/flowcontrol/"
    paths = [f"{name}/" for name in ("flow", "flowrun", "trigger", "event", "credential")]
    paths += [f"flowrun/{run.pk}/change/" for run in FlowRun.objects.all()]
    paths += [f"flow/{run.flow_id}/{page}/" for run in FlowRun.objects.all() for page in ("change", "export")]
    paths += [f"credential/{Row.objects.get().pk}/{page}/" for page in ("change", "delete", "history")]
    paths += ["credential/add/?kind=test.basic"]
    answers = {path: client.get(admin + path) for path in paths}
    assert {path: each.status_code for path, each in answers.items() if each.status_code != 200} == {}
    return {path: each.content.decode() for path, each in answers.items()}


def commands() -> dict[str, str]:
    newest = FlowRun.objects.order_by("-pk").values_list("pk", flat=True)
    lines = [
        ["runs", "--json"], ["runs"], *(["run", str(pk), "--json"] for pk in newest), ["export"], ["flows"], ["doctor"],
        ["doctor", "--json"], ["plugins", "--json"], ["plugins"], ["actions", "--json"], ["stats", "--json"],
        ["credentials", "--json"], ["credentials"], ["credentials", "check"], ["credentials", "check", "--json"],
        ["credentials", "rotate"], ["schema"],
    ]  # fmt: skip
    return {" ".join(line): _told("flowcontrol", *line) for line in lines} | {
        "dumpdata": _told("dumpdata", "flowcontrol", "admin", "auth")
    }


def _told(*line: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    # A negative answer, such as the doctor's, is an answer.
    with suppress(SystemExit):
        call_command(*line, stdout=out, stderr=err)
    return out.getvalue() + err.getvalue()


class Heard(logging.Handler):
    """All that is logged, as text and as JSON."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(message)s"))
        self.text: list[str] = []
        self.json: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(self.format(record))
        self.json.append(JsonFormatter().format(record))


@contextmanager
def heard() -> Iterator[Heard]:
    handler, root = Heard(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def searched() -> dict[str, str]:
    """Execute, and gather all that was written, by place."""
    spans, told = InMemorySpanExporter(), []

    def receive(sender: Any, run: Any, **_: Any) -> None:
        told.append(repr(run))

    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    entries = ["flowcontrol.contrib.prometheus", "flowcontrol.contrib.opentelemetry"]
    run_finished.connect(receive)
    try:
        with heard() as handler, isolated_plugins(entries=entries):
            execute()
    finally:
        run_finished.disconnect(receive)
    from flowcontrol.contrib.prometheus import exposition

    found = {f"log line {number}": line for number, line in enumerate(handler.text)}
    found |= {f"JSON of log line {number}": line for number, line in enumerate(handler.json)}
    found |= {f"record of run {run.pk}": repr(run.history()) for run in FlowRun.objects.all()}
    found |= {
        f"export of {run.flow}": to_yaml(export_flow(run.flow))
        for run in FlowRun.objects.select_related("flow")
    }
    found |= {
        "spans": "\n".join(span.to_json() for span in spans.get_finished_spans()),
        "signals": "\n".join(told),
    }
    return found | {"metrics": exposition().decode()} | everything_stored() | pages() | commands()


#: Where the secrets stand when nobody masks them.
WITHOUT = {
    "flowcontrol_flowrun.state_json", "flowcontrol_flowrun.cursor_json", "flowcontrol_flowrun.reason",
    "flowcontrol_flowrun.traceback", "flowcontrol_event.payload_json", "flowcontrol_historychunk.packed",
    "spans", "signals", "runs --json", "dumpdata",
}  # fmt: skip


def test_with_the_masking_off_the_secrets_are_in_every_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with masking_off(monkeypatch):
        found = {place for place, text in searched().items() if is_in(text)}
    assert found >= WITHOUT
    assert len([place for place in found if place.startswith("log line")]) >= 6
    assert len([place for place in found if place.startswith("JSON of log line")]) >= 8
    assert len([place for place in found if place.startswith("flowrun/")]) >= 5
    assert len([place for place in found if place.startswith("record of run")]) >= 3
    assert len([place for place in found if place.startswith("run ")]) >= 5


def test_no_secret_is_in_anything_that_is_written() -> None:
    found = searched()
    assert [place for place, text in found.items() if is_in(text)] == []
    keeps = FlowRun.objects.get(flow__slug="keeps")
    assert keeps.status == "completed"
    assert dict(keeps.state) == {
        "plain": MASK,
        "deep": [{"headers": {"Authorization": keeps.state["deep"][0]["headers"]["Authorization"]}, MASK: 1}],
        "url": f"https://api.example.org/?key={MASK}",
        f"key {MASK}": True,
        "token": MASK,
    }
    children = FlowRun.objects.filter(flow__slug="child").order_by("pk")
    assert [dict(run.state) for run in children] == [{"given": MASK}, {"again": MASK}]
    assert FlowRun.objects.get(flow__slug="heard").state == {"given": f"Bearer {MASK}"}
    signs = FlowRun.objects.get(flow__slug="signs")
    assert (signs.reason, dict(signs.state)) == (f"Signed with {MASK}", {"signature": MASK})
    assert FlowRun.objects.get(flow__slug="stops").reason == f"The server said: no {MASK}"
    failed = FlowRun.objects.get(flow__slug="fails")
    assert failed.reason.endswith(f"RuntimeError: 401 for {MASK}")
    assert f"KeyError: '{MASK}'" in failed.traceback
    assert f"sent '{MASK}'" in failed.traceback
    assert [text for text in found.values() if "a step must not keep it" in text]


def test_calls_in_threads_leave_nothing_behind_and_hold_no_connection() -> None:
    held: list[bool] = []

    def call(context: ActionContext, credential: Credential) -> None:
        held.append(connection.connection is not None)
        context.state["said"] = credential.values["password"]

    Use.does["use"] = call
    threaded = flow("threaded", [step("use")])
    runs = [start_flow(threaded) for _ in range(4)]
    continue_flowruns(threads=2)
    found = FlowRun.objects.filter(flow=threaded)
    assert [(run.status, dict(run.state)) for run in found] == [("completed", {"said": MASK})] * len(runs)
    assert held == [False] * len(runs)


def test_errors_about_credentials_have_no_secret_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row.objects.get()
    texts = []
    for change in (
        {"kind": "test.hook"},
        {"hosts": []},
        {"variables": {"password": "X"}},
        {"settings": {"user": ""}},
    ):
        Row.objects.filter(pk=row.pk).update(**change)
        with pytest.raises(CredentialError) as caught:
            get_credential("shop")
        texts += [repr(caught.value), str(caught.value.__cause__), str(caught.value.__context__)]
        row.save()
    assert not [text for text in texts if is_in(text)]


def test_a_run_without_credentials_keeps_what_looks_like_a_secret() -> None:
    """Another run's secrets are no business of this one's: what it stores does not depend on what else went on."""
    get_credential("shop")
    started = start_flow(
        flow("plain", [{"id": "put", "action": "test.put", "config": {"state": {"a": TOKEN}}}])
    )
    assert isinstance(started, Started)
    assert execute_run(started.run).state == {"a": TOKEN}
