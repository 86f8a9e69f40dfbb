"""Expressions: what they read, what they refuse, and that nothing of the values is ever run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from django.utils.safestring import mark_safe
from flowcontrol.exceptions import (
    EvaluationError,
    ExpressionError,
    ExpressionSyntaxError,
    ObjectGone,
    UnknownName,
)
from flowcontrol.expressions import Scope, compile_expression, compile_template, filter_names
from hypothesis import given
from hypothesis import strategies as st
from testapp.models import Customer

#: Half past two in the summer of the tests' own time zone, in which expressions read it.
NOW = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)


def scope(state: Mapping[str, Any] | None = None, obj: Any = None, **variables: Any) -> Scope:
    return Scope(state or {}, variables, {"id": 7}, NOW, lambda: obj)


def value(source: str, obj: Any = None, **state: Any) -> Any:
    return compile_expression(source).evaluate(scope(state, obj))


# -- what they read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("n", 3),
        ("n < 10", True),
        ("n >= 3 and n <= 3", True),
        ("not n == 3", False),
        ("n in items", True),
        ("n not in items", False),
        ("nothing is None", True),
        ("nothing is not None", False),
        ("'a' == \"a\"", True),
        ("name|lower == 'ann'", True),
        ("n|add:1", 4),
        ("n|add:items.0", 6),
        ("items.1", 4),
        ("nested.key.0", "x"),
        ("missing|default:5", 5),
        ("nested.missing|default:'-'", "-"),
        ("nothing|default_if_none:1", 1),
        ("now.hour", 14),
        ("run.id", 7),
        ("state.n", 3),
        ("True or missing", True),
        ("False and missing", False),
        ("n == 'three'", False),
        ("n|divide:2", Decimal("1.5")),
        ("day|add_days:1", date(2026, 1, 2)),
    ],
)
def test_an_expression_reads_plain_data(source: str, expected: Any) -> None:
    state = {
        "n": 3,
        "items": [3, 4],
        "nothing": None,
        "name": "Ann",
        "nested": {"key": ["x"]},
        "day": date(2026, 1, 1),
    }
    assert value(source, **state) == expected


def test_variables_hide_reserved_names_and_these_hide_the_state() -> None:
    source = compile_expression("now")
    assert source.evaluate(Scope({"now": 1}, {}, {}, NOW, lambda: None)) == NOW
    assert source.evaluate(Scope({"now": 1}, {"now": 2}, {}, NOW, lambda: None)) == 2


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("scroe > 1", "score"),
        ("score.parts", "parts"),
        ("items.9", "items"),
        ("items.first", "items"),
        ("nothing.x", "None"),
        ("object.name", "object"),
        ("score > 'a'", "a whole number.*a text"),
        ("score < nothing", "None"),
        ("score in score", "whole number"),
        ("name|add_days:1", "Ann"),
        ("name|floatformat", "Ann"),
        ("score|length", "4"),
        ("score|divide:0", "0"),
        ("items|first|upper", "1"),
        ("empty|first", "first"),
    ],
)
def test_what_cannot_be_read_or_done_is_an_error_and_never_a_false(source: str, told: str) -> None:
    with pytest.raises(EvaluationError, match=told) as caught:
        value(source, score=4, items=[1], nothing=None, name="Ann", empty=[])
    assert source in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "", " ", "n >", "> n", "n = 1", "n ==", "and", "n|nofilter", "n|add", "n|lower:1", "n|", "n..x", "n.", "'open",
        "_private", "n._private", '_("text")', "(n)", "n n", "1 < n < 3", "not " * 400 + "n", "n " * 400, "x" * 3_000,
        "n|add:", "%}", "{{ n }}", "n\x00", "\u0663 n",
    ],
)  # fmt: skip
def test_what_is_no_expression_is_refused_when_it_is_written(source: str) -> None:
    with pytest.raises(ExpressionSyntaxError):
        compile_expression(source)


# -- objects ---------------------------------------------------------------------------------------------------


@pytest.fixture
def customer() -> Customer:
    owner = User.objects.create(username="boss", password="HASH-SECRET")
    return Customer.objects.create(
        name="Ann", password="SECRET-1", api_token="SECRET-2", owner=owner, points=3
    )


@pytest.mark.django_db
def test_fields_and_relations_of_the_object_can_be_read(customer: Customer) -> None:
    fresh = Customer.objects.get(pk=customer.pk)
    assert value("object.name", fresh) == "Ann"
    assert value("object.pk == object.id", fresh) is True
    assert value("object.owner.username", fresh) == "boss"
    assert value("object.owner_id", fresh) == customer.owner_id
    assert value("object.points|add:1 > 3 and object.is_active", fresh) is True


@pytest.mark.django_db
def test_properties_and_methods_are_read_only_when_the_deployer_opened_them(customer: Customer) -> None:
    for source in ("object.greeting", "object.shout"):
        with pytest.raises(UnknownName):
            value(source, customer)
    with override_settings(
        FLOWCONTROL={"EXPRESSION_PROPERTIES": {"testapp.customer": ["greeting", "shout"]}}
    ):
        assert value("object.greeting", customer) == "Dear Ann"
        assert value("object.shout", customer) == "ANN"


class Tripwire(Customer):
    """A model whose own code tells when it is run."""

    touched: list[str] = []

    class Meta:
        app_label = "testapp"
        proxy = True

    @property
    def total(self) -> int:
        self.touched.append("total")
        return 1

    def wipe(self) -> None:
        self.touched.append("wipe")

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        self.touched.append("delete")

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.touched.append("save")

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            type(self).touched.append(name)
        raise AttributeError(name)

    def __str__(self) -> str:
        self.touched.append("__str__")
        return "tripped"

    def __bool__(self) -> bool:
        self.touched.append("__bool__")
        return False

    def __eq__(self, other: object) -> bool:
        self.touched.append("__eq__")
        return True

    def __lt__(self, other: object) -> bool:
        self.touched.append("__lt__")
        return True

    def __len__(self) -> int:
        self.touched.append("__len__")
        return 0

    def __hash__(self) -> int:
        return 1


@pytest.fixture
def tripwire(customer: Customer) -> Any:
    found = Tripwire.objects.get(pk=customer.pk)
    Tripwire.touched.clear()
    return found


@pytest.mark.django_db
@pytest.mark.parametrize(
    "source",
    [
        "object.password",
        "object.owner.password",
        "object.PASSWORD",
        "object.api_token",
        "object.delete",
        "object.save",
        "object.wipe",
        "object.total",
        "object.greeting",
        "object.shout",
        "object.objects",
        "object.pk.__class__",
        "object._meta",
        "object._state",
        "object.pk.real",
        "object.name.upper",
        "object.name.format",
        "object.owner.groups",
        "object.owner.get_session_auth_hash",
        "object.owner.check_password",
        "object.trip",
        "object.customer_set",
        "object.owner.customer_set",
        "object.owner.logentry_set",
        "state.keys",
        "state.items",
        "run.id.real",
        "now.tzinfo",
        "now.astimezone",
        "now.strftime",
        "x.format",
        "x.append",
        "x.__len__",
        "object.name.0",
        "not object",
        "object == 1",
        "object == object",
        "object != 1",
        "object < 1",
        "1 < object",
        "object in x",
        "object in y",
        "y in object",
        "1 in object",
        "object is None",
        "object and 1",
        "object or 1",
        "object|text",
        "object|upper",
        "object|length",
        "object|first",
        "object|join",
        "object|default:1",
        "object|default_if_none:1",
        "object|yesno",
        "object|add:1",
        "object|int",
        "object|date",
        "object|floatformat",
        "object|divisibleby:2",
        "object|cut:'a'",
        "y|join",
        "y|text",
        "z|text",
        "z|join",
        "x|default:object",
        "y == y2",
        "z == z2",
        "y in w",
        "object.password|default:1",
        "object.owner.password|default:'x'",
        "object.total|default:1",
        "object.delete|default:1",
        "block.super",
        "forloop.counter",
        "self",
        "object.owner.email",
        "'{0.__class__}'|text",
        "'%s'|add:object",
        "x|join:object",
        "x|upper:object",
        "object|truncatechars:3",
        "object|slugify",
        "object|decimal",
        "now|add:object",
        "now|add_days:object",
        "object|subtract:now",
        "x|ljust:999999999",
        "x|stringformat:'999999999d'",
        "x|random",
        "x|safe",
        "x|pprint",
        "x|dictsort:'a'",
        "x|linebreaks",
        "x|urlize",
        "x|filesizeformat",
        "object|pluralize",
    ],
)
def test_no_expression_runs_code_of_an_object_or_reads_a_secret(tripwire: Any, source: str) -> None:
    others = {"y2": [Tripwire.objects.get(pk=tripwire.pk)], "z2": {"k": Tripwire.objects.get(pk=tripwire.pk)}}
    Tripwire.touched.clear()
    try:
        told = value(source, tripwire, x="abc", y=[tripwire], z={"k": tripwire}, w=[[tripwire]], **others)
    except (ExpressionError, ObjectGone) as error:
        told = str(error)
    touched = list(Tripwire.touched)
    assert touched == []
    assert "SECRET" not in (told if isinstance(told, str) else "")


@pytest.mark.parametrize(
    ("source", "state"),
    [
        ('"1e999999999"|int', {}),
        ('"1e999999"|floatformat', {}),
        ('"9"|multiply:x', {"x": 10**299}),
        ("x|add:x|add:x|add:x", {"x": "a" * 200_000}),
        ("x" + "|upper" * 50, {"x": "ß" * 131_072}),
        ("x|join", {"x": ["a" * 262_144] * 10_000}),
        ("x|text", {"x": ["a" * 262_144] * 10_000}),
        ("x|divide:3|multiply:x|multiply:x", {"x": Decimal(7) ** 350}),
        ("x|floatformat:999999", {"x": 1}),
        ("x|add_days:999999999", {"x": NOW}),
        ("x|add_hours:y", {"x": NOW, "y": -1e300}),
        ("x|int", {"x": "9" * 100_000}),
        ("x == 1", {"x": 10**5_000}),
        ("x < 1", {"x": Decimal("NaN")}),
        ("x == 1", {"x": Decimal("sNaN")}),
        ("x.hour", {"x": datetime.max.replace(tzinfo=UTC)}),
        ("x" + ".0" * 900, {"x": [1]}),
        ("qqqqqqq", {f"qqqq{number}" * 20: 1 for number in range(5_000)}),
    ],
)
def test_no_expression_takes_more_time_or_memory_than_is_foreseen(source: str, state: dict[str, Any]) -> None:
    started = time.process_time()
    try:
        result = value(source, **state)
    except ExpressionError:
        result = None
    # A hundred times what it takes, so that a slow machine is no failure; without the limits it is minutes.
    assert time.process_time() - started < 2
    assert not isinstance(result, str) or len(result) <= 262_144


def test_text_that_claims_to_be_safe_html_is_plain_text_afterwards() -> None:
    for source in ("x", "x|default:1", "x|upper", "n and x"):
        assert type(value(source, x=mark_safe("<b>"), n=1)) is str


_WORDS = st.sampled_from(
    [
        "x", "y", "object", "now", "run.id", "state.x", "and", "or", "not", "in", "is", "not in", "==", "!=", "<", ">=",
        "1", "-2.5", "'a'", "None", "True", "missing", "missing|default:0", "x.0", "y.1.z", "now|date:'H'", "(", "=",
        "x|upper", "y|first", "x|add:y", "|", "x|", "..", "_a", "é", "\x00", "\ud800", "'", "{{", "%}",
    ]
    + [f"{name}|{each}" for each in filter_names() for name in ("x", "y", "now")]
    + [f"x|{each}:{argument}" for each in filter_names() for argument in ("1", "y", "'a'", "None")]
)  # fmt: skip
_VALUES = st.sampled_from(
    [
        1,
        0,
        "abc",
        "",
        None,
        True,
        [1, "a"],
        [],
        {"a": 1},
        Decimal("1.5"),
        Decimal("NaN"),
        NOW,
        timedelta(3),
        1e308,
        "5",
    ]
)


@given(st.lists(_WORDS, min_size=1, max_size=7).map(" ".join) | st.text(max_size=40), _VALUES, _VALUES)
def test_whatever_is_written_only_expression_errors_come_out(source: str, x: Any, y: Any) -> None:
    try:
        compiled = compile_expression(source)
    except ExpressionSyntaxError:
        return
    try:
        compiled.evaluate(scope({"x": x, "y": y}))
    except EvaluationError:
        return


# -- templates -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Dear {{ name|upper }}!", "Dear ANN!"),
        ("{{ '}}' }} {{ nothing }}.", "}} ."),
        ("{{ n }}{{ n }}", "33"),
        ("plain { text }", "plain { text }"),
    ],
)
def test_a_template_fills_in_its_expressions(source: str, text: str) -> None:
    assert compile_template(source).render(scope({"name": "Ann", "nothing": None, "n": 3})) == text


@pytest.mark.parametrize("source", ["{{ name", "{% if name %}", "{{ }}", "{{ name| }}", "{{ {{ name }} }}"])
def test_a_broken_template_is_refused_when_it_is_written(source: str) -> None:
    with pytest.raises(ExpressionSyntaxError):
        compile_template(source)
