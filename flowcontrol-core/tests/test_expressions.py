"""Expressions: what they read, what they refuse, and that nothing of the values is ever run."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, models
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils.safestring import mark_safe
from flowcontrol.exceptions import (
    EvaluationError,
    ExpressionError,
    ExpressionSyntaxError,
    ObjectGone,
    UnknownName,
)
from flowcontrol.expressions import (
    Scope,
    compile_expression,
    compile_template,
    filter_names,
    register_filter,
    unregister_filter,
)
from flowcontrol.models import Flow, FlowVersion, Trigger
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
        ("signal|upper", "sNaN is no number"),
        ("score|add:signal", "sNaN is no number"),
    ],
)
def test_what_cannot_be_read_or_done_is_an_error_and_never_a_false(source: str, told: str) -> None:
    with pytest.raises(EvaluationError, match=told) as caught:
        value(source, score=4, items=[1], nothing=None, name="Ann", empty=[], signal=Decimal("sNaN"))
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


@pytest.mark.parametrize(
    ("source", "column", "told"),
    [
        ("n and n = 1", 8, 'Write "=="'),
        ("not n|uper", 4, "Did you mean “upper”"),
        ("n<5", 0, "Put a space"),
        ("n - 1", 2, "Calculate with filters"),
        ("n|default: 5", 0, "takes an argument"),
        ("n n", None, "Unused 'n'"),
        ("1 < n < 3", None, "cannot be chained"),
        ("n is 5", None, 'write "=="'),
    ],
)
def test_a_refusal_says_where_and_what_to_write_instead(source: str, column: int | None, told: str) -> None:
    with pytest.raises(ExpressionSyntaxError, match=told) as caught:
        compile_expression(source)
    assert caught.value.column == column


def test_a_default_stands_in_for_what_is_missing_only_as_the_first_filter_and_never_for_what_is_denied() -> (
    None
):
    assert value("missing|default:1|add:1") == 2
    assert value("x.y.z|default:n", x={}, n=3) == 3
    for source in ("missing|upper|default:1", "1|add:missing|default:1", "x|default:missing"):
        with pytest.raises(UnknownName, match="missing"):
            value(source, x=0)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("1|add:'2' == 3 or None", set()),
        ("n", {"n"}),
        ("n|default:0", {"n"}),
        ("n.part|default_if_none:m.0|upper", {"n", "m"}),
        ("1|add:now.year", {"now"}),
        ("False and object.name", {"object"}),
    ],
)
def test_a_constant_is_what_reads_no_name_not_even_one_with_a_default(source: str, names: set[str]) -> None:
    expression = compile_expression(source)
    assert expression.names == names
    assert expression.is_constant is (not names)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("now.year", 2026),
        ("now.minute", 30),
        ("now.weekday", 2),
        ("now.date", date(2026, 7, 1)),
        ("now.time", dt.time(14, 30)),
        ("day.month", 1),
        ("clock.hour", 9),
        ("length.days", 3),
        ("length.total_seconds", 259_200.0),
        ("now|date:'Y-m-d H:i'", "2026-07-01 14:30"),
        ("clock|time:'H:i'", "09:30"),
        ("now|subtract:length < now", True),
        # The night in which clocks are put forward: a day on is the same time of day, 24 hours on is not.
        ("eve|add_days:1|time:'H:i'", "12:00"),
        ("eve|add_hours:24|time:'H:i'", "13:00"),
    ],
)
def test_dates_and_times_are_read_as_the_clock_on_the_wall_shows_them(source: str, expected: Any) -> None:
    state = {
        "day": date(2026, 1, 2),
        "clock": dt.time(9, 30),
        "length": timedelta(days=3),
        "eve": datetime(2026, 3, 28, 11, tzinfo=UTC),
    }
    assert value(source, **state) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("'5'|add:1", 6),
        ("'a'|add:'b'", "ab"),
        ("items|add:items|length", 4),
        ("n|subtract:1", 2),
        ("n|multiply:'1.5'", Decimal("4.5")),
        ("n|modulo:2", 1),
        ("n|divisibleby:3", True),
        ("items|last", "b"),
        ("items|join:'-'", "a-b"),
        ("'7.9'|int", 7),
        ("n|decimal", Decimal(3)),
        ("n|text", "3"),
        ("' a '|trim|capfirst", "A"),
        ("'banana'|cut:'a'", "bnn"),
        ("'Hello World'|slugify", "hello-world"),
        ("'hello'|title", "Hello"),
        ("'hello'|truncatechars:3", "he…"),
        ("'a b c'|truncatewords:2", "a b …"),
        ("n|floatformat:2", "3.00"),
        ("n|yesno:'yes,no,maybe'", "yes"),
        ("nothing|yesno:'yes,no,maybe'", "maybe"),
        ("n|pluralize", "s"),
        ("'a b'|urlencode", "a%20b"),
    ],
)
def test_each_filter_does_its_work(source: str, expected: Any) -> None:
    assert value(source, n=3, items=["a", "b"], nothing=None) == expected


@pytest.mark.parametrize(
    "name", [name for name in filter_names() if name not in {"default", "default_if_none", "yesno", "text"}]
)
def test_each_filter_refuses_what_it_cannot_take(name: str) -> None:
    taken = 0
    for source in (f"x|{name}", f"x|{name}:x"):
        try:
            compiled = compile_expression(source)
        except ExpressionSyntaxError:
            continue
        taken += 1
        with pytest.raises(EvaluationError):
            compiled.evaluate(scope({"x": {"a": 1}}) if name != "length" else scope({"x": 1}))
    assert taken


def test_a_filter_that_is_registered_anew_is_seen_by_what_is_compiled_then() -> None:
    register_filter("test_twice", lambda text: text * 2)
    try:
        before = compile_expression("x|test_twice")
        unregister_filter("test_twice")
        with pytest.raises(ExpressionSyntaxError, match="There is no filter"):
            compile_expression("x|test_twice")
        register_filter("test_twice", lambda text: text * 3)
        assert compile_expression("x|test_twice").evaluate(scope({"x": "a"})) == "aaa"
        assert before.evaluate(scope({"x": "a"})) == "aa"
    finally:
        unregister_filter("test_twice")


def test_a_filter_that_cannot_be_imported_is_refused_by_name() -> None:
    register_filter("test_broken", "no_such_module:filter", "a plugin")
    try:
        with pytest.raises(
            ExpressionSyntaxError, match='"test_broken" of a plugin cannot be loaded: ModuleNotFound'
        ):
            compile_expression("x|test_broken")
    finally:
        unregister_filter("test_broken")


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


@pytest.mark.django_db
def test_denied_names_are_denied_by_each_of_their_names_and_at_every_depth(customer: Customer) -> None:
    with override_settings(FLOWCONTROL={"EXPRESSION_DENIED_NAMES": ["OWNER", "id", "username"]}):
        for source in ("object.owner", "object.owner_id", "object.pk", "object.id", "object.owner.username"):
            with pytest.raises(UnknownName, match="denied by the setting EXPRESSION_DENIED_NAMES"):
                value(f"{source}|default:1", customer)
    with (
        override_settings(FLOWCONTROL={"EXPRESSION_DENIED_NAMES": ["username"]}),
        pytest.raises(UnknownName, match="denied"),
    ):
        value("object.owner.username", customer)
    with override_settings(FLOWCONTROL={"EXPRESSION_PROPERTIES": {"testapp.customer": ["password"]}}):
        assert value("object.password", customer) == "SECRET-1"
        # A proxy has what its model was opened for, and another model has not.
        assert value("object.password", Tripwire.objects.get(pk=customer.pk)) == "SECRET-1"
        with pytest.raises(UnknownName, match="denied"):
            value("object.owner.password", customer)


def test_relations_are_followed_three_deep_and_not_four() -> None:
    flow = Flow(slug="a", name="A")
    flow.published = FlowVersion(flow=flow, number=1)
    trigger = Trigger(flow=flow)
    assert value("object.flow.published.flow.slug", trigger) == "a"
    with pytest.raises(UnknownName, match="more than 3 relations"):
        value("object.flow.published.flow.published", trigger)
    with (
        override_settings(FLOWCONTROL={"EXPRESSION_PROPERTIES": {"flowcontrol.flow": ["published"]}}),
        pytest.raises(UnknownName, match="more than 3 relations"),
    ):
        value("object.flow.published.flow.published.number", trigger)


@pytest.mark.django_db
def test_a_field_that_was_not_read_is_read_alone_and_once(customer: Customer) -> None:
    deferred = Customer.objects.only("name").get(pk=customer.pk)
    with CaptureQueriesContext(connection) as queries:
        assert value("object.points|add:object.points", deferred) == 6
        assert value("object.name", deferred) == "Ann"
    assert len(queries) == 1
    gone = Customer.objects.only("name").get(pk=customer.pk)
    Customer.objects.all().delete()
    with pytest.raises(ObjectGone, match="testapp.Customer"):
        value("object.points", gone)


@pytest.mark.django_db
def test_a_related_object_is_read_once(customer: Customer) -> None:
    fresh = Customer.objects.get(pk=customer.pk)
    with CaptureQueriesContext(connection) as queries:
        assert value("object.owner.username == object.owner.username", fresh) is True
        assert value("object.owner.pk", fresh) == customer.owner_id
    assert len(queries) == 1
    fresh.owner = None
    with pytest.raises(UnknownName, match=r'"object.owner.username" cannot be read: it is None'):
        value("object.owner.username", fresh)
    assert value("object.owner.username|default:'-'", fresh) == "-"


def test_there_may_be_no_object() -> None:
    assert value("object is None") is True
    assert value("object.name|default:'nobody'") == "nobody"
    with pytest.raises(UnknownName, match="there is no object"):
        value("object.name")


class Document(models.Model):
    paper = models.FileField()

    class Meta:
        app_label = "testapp"
        managed = False

    def __str__(self) -> str:
        return "a document"


def test_a_file_is_read_as_its_name() -> None:
    document = Document(paper="a/b.pdf")
    assert value("object.paper", document) == "a/b.pdf"
    assert document.paper.name == "a/b.pdf"
    assert value("object.paper", document) == "a/b.pdf"
    with pytest.raises(UnknownName, match="a text, which has no"):
        value("object.paper.delete", document)


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
        "y < y2",
        "y2 >= y",
        "y == w",
        "y2 in w",
        "object.owner.customer",
        "object.refresh_from_db",
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
        ("x|slugify", {"x": "a" + "\u0345\u0316" * 20_000}),
        ("x|truncatechars:10", {"x": "a" + "\u0345\u0316" * 20_000}),
        (" or ".join(["5 in x"] * 37), {"x": ["a"] * 700_000}),
        (" or ".join(["x != x"] * 37), {"x": [["a"] * 700 for _ in range(1_000)]}),
        ("x" + "|add:x" * 50 + "|join", {"x": ["a" * 100_000]}),
        ("qqqqqqq|default:1", {f"qqqq{number}" * 20: 1 for number in range(5_000)}),
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


def test_a_template_shows_datetimes_in_the_current_time_zone_and_stops_at_its_size() -> None:
    assert compile_template("{{ now }}").render(scope()) == "2026-07-01 14:30:00+02:00"
    with pytest.raises(EvaluationError, match="more than 262,144 characters"):
        compile_template("{{ x }}{{ x }}").render(scope({"x": "a" * 200_000}))
    with pytest.raises(EvaluationError, match="x: a list has no text; join its items"):
        compile_template("{{ x }}").render(scope({"x": [1]}))


@pytest.mark.parametrize(
    "source", ["{{" * 40_000, "{{ x " * 20_000, "{{ '" * 20_000, "{{ x }}" * 2_000, "a" * 100_001]
)
def test_a_template_that_is_too_large_or_never_closed_is_refused_at_once(source: str) -> None:
    started = time.process_time()
    with pytest.raises(ExpressionSyntaxError):
        compile_template(source)
    assert time.process_time() - started < 2
