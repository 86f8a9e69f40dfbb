"""The codec of a run's state, and the mapping that knows what changed."""

from __future__ import annotations

import copy
import json
import logging
import math
import time as clock
import uuid
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils.translation import gettext_lazy
from flowcontrol.exceptions import ObjectGone, StateError
from flowcontrol.state import MAX_DEPTH, ModelReference, State, decode, encode
from flowcontrol.state import mapping as state_mapping
from flowcontrol.state.encoding import HALVES
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from testapp.models import Customer, SlugThing, UuidThing

BERLIN = ZoneInfo("Europe/Berlin")


class Colour(IntEnum):
    RED = 1


def same(one: Any, other: Any) -> bool:
    """Equal, of the same types, in the same order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)
    return bool(one == other) and repr(one.utcoffset() if isinstance(one, datetime) else one) == repr(
        other.utcoffset() if isinstance(other, datetime) else other
    )


# -- codec -----------------------------------------------------------------------------------------------------

# Lone surrogates, NUL and all the rest; only two halves of one character are refused.
texts = st.text(st.characters(codec=None), max_size=8).filter(lambda text: not HALVES.search(text))
keys = texts | st.sampled_from(["$dict", "$datetime", "$object", "$", "$x", ""])
offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**4095), 2**4095),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
    st.dates(),
    # A time without a date has no night in which it comes twice.
    st.times(timezones=st.none() | offsets).map(lambda time: time.replace(fold=0)),
    st.datetimes(timezones=offsets | st.just(UTC)),
    st.timedeltas(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.uuids(),
    st.builds(ModelReference, st.just("testapp.customer"), st.integers() | texts | st.uuids()),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
mappings = st.dictionaries(keys, values, max_size=5)


@given(mappings)
def test_what_is_encoded_is_decoded_as_it_was_with_types_and_order(mapping: dict[str, Any]) -> None:
    text = encode(mapping)
    assert text.isascii()
    assert "\x00" not in text
    assert same(decode(text), mapping)


@given(mappings)
def test_a_state_writes_the_text_that_encode_writes_and_reads_it_again(mapping: dict[str, Any]) -> None:
    text = encode(mapping)
    state = State(mapping)
    state.changes()
    state.commit()
    assert state.text() == text
    assert State.from_text(text).text() == text
    assert same(State.from_text(text)._values, mapping)
    assert State.from_text(text).changes() == {}


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({}, "{}"),
        ({"$a": 1}, '{"$dict":{"$a":1}}'),
        ({"$dict": {"$date": "2026-01-01"}}, '{"$dict":{"$dict":{"$dict":{"$date":"2026-01-01"}}}}'),
        ({"a": {"b": 1, "$b": 2}}, '{"a":{"$dict":{"b":1,"$b":2}}}'),
        ({"a": [True, 1, 1.0, -0.0, 1e308, 5e-324]}, '{"a":[true,1,1.0,-0.0,1e+308,5e-324]}'),
        ({"a": "\ud800\x00é"}, '{"a":"\\ud800\\u0000\\u00e9"}'),
        ({"a": date(2026, 1, 31)}, '{"a":{"$date":"2026-01-31"}}'),
        ({"a": datetime(2026, 7, 1, 12, tzinfo=BERLIN)}, '{"a":{"$datetime":"2026-07-01T12:00:00+02:00"}}'),
        ({"a": time(9, 30)}, '{"a":{"$time":"09:30:00"}}'),
        ({"a": timedelta(days=-1, microseconds=1)}, '{"a":{"$timedelta":-86399999999}}'),
        ({"a": Decimal("1.10")}, '{"a":{"$decimal":"1.10"}}'),
        ({"a": uuid.UUID(int=1)}, '{"a":{"$uuid":"00000000-0000-0000-0000-000000000001"}}'),
        ({"a": Colour.RED}, '{"a":1}'),
        ({"a": gettext_lazy("Yes")}, '{"a":"Yes"}'),
    ],
)
def test_each_type_has_one_spelling(mapping: dict[str, Any], text: str) -> None:
    assert encode(mapping) == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            datetime(2026, 1, 1),
            r"orders\[3\]\.when: the datetime .* no time zone; make it aware with .*make_aware",
        ),
        ((1, 2), r"orders\[3\]\.when: a tuple cannot be kept .*; use a list"),
        ({1}, r"orders\[3\]\.when: a set .*; use a list"),
        (b"x", r"orders\[3\]\.when: a bytes cannot be kept"),
        (object(), r"orders\[3\]\.when: a object cannot be kept"),
        (User, r"orders\[3\]\.when: a ModelBase cannot be kept"),
        (math.nan, r"orders\[3\]\.when: nan is no number"),
        (math.inf, r"orders\[3\]\.when: inf is no number"),
        (Decimal("NaN"), r"orders\[3\]\.when: NaN is no number"),
        (Decimal("-Infinity"), r"orders\[3\]\.when: -Infinity is no number"),
        pytest.param(10**5000, r"orders\[3\]\.when: the number has more than 4096 bits", id="huge"),
        ({1: 2}, r"orders\[3\]\.when: the key 1 is no text; use '1'"),
        ({"a": {None: 2}}, r"orders\[3\]\.when\.a: the key None is no text"),
        ("\ud83d\ude00", r"orders\[3\]\.when: the text has two halves"),
        ({"\ud83d\ude00": 1}, r"orders\[3\]\.when: the key .* two halves"),
        (time(9, tzinfo=BERLIN), r"orders\[3\]\.when: what .* depends on the day"),
        (Customer(name="new"), r"orders\[3\]\.when: the testapp.Customer was never saved"),
        (UuidThing(name="new"), r"orders\[3\]\.when: the testapp.UuidThing was never saved"),
        (lambda: 1, r"orders\[3\]\.when: a function cannot be kept"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_its_path(value: Any, message: str) -> None:
    wrong = {"orders": [0, 1, 2, {"when": value}]}
    with pytest.raises(StateError, match=message):
        encode(wrong)
    state = State({"orders": []})
    with pytest.raises(StateError, match=message):
        state["orders"] = wrong["orders"]
    state["orders"].extend(wrong["orders"])
    with pytest.raises(StateError, match=message):
        state.changes()


def test_what_contains_itself_and_what_is_too_deep_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    deep: Any = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert decode(encode({"deep": deep})) == {"deep": deep}
    for wrong in (circle, [deep]):
        with pytest.raises(StateError, match="more than 64 deep, or contain themselves"):
            encode({"key": wrong})


@pytest.mark.parametrize(
    "stored",
    [
        '{"$datetime":"soon"}',
        '{"$datetime":"2026-01-01T00:00:00"}',
        '{"$datetime":5}',
        '{"$date":"2026-13-01"}',
        '{"$time":null}',
        '{"$timedelta":1e300}',
        '{"$timedelta":"1"}',
        '{"$decimal":"one"}',
        '{"$decimal":"NaN"}',
        '{"$decimal":[1]}',
        '{"$uuid":"1"}',
        '{"$uuid":7}',
        '{"$object":"testapp.customer"}',
        '{"$object":["testapp.customer"]}',
        '{"$object":["testapp.customer",null]}',
        '{"$object":[1,2]}',
        '{"$dict":[1]}',
        '{"$unknown":1}',
    ],
)
def test_a_stored_tag_that_stands_for_nothing_names_its_key(stored: str) -> None:
    text = f'{{"fine":1,"orders":[0,{{"when":{stored}}}]}}'
    for read in (decode, State.from_text):
        with pytest.raises(StateError, match=r"orders\[1\]\.when: .* stands for no value"):
            read(text)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "1", "null", '{"a":NaN}', '{"a":-Infinity}', "[" * 5000, '{"a":' + "1" * 5000 + "}"],
)
def test_text_that_is_no_state_is_an_error_of_the_state(text: str) -> None:
    for read in (decode, State.from_text):
        with pytest.raises(StateError, match="The stored text"):
            read(text)


@override_settings(FLOWCONTROL={"STATE_MAX_BYTES": 100})
def test_encode_refuses_what_no_run_may_have() -> None:
    with pytest.raises(StateError, match='would take .* may take 100 .* largest part is "b"'):
        encode({"a": 1, "b": "x" * 100})


def doubled(times: int) -> Any:
    made: Any = {"list": []}
    for _ in range(times):
        made = [made, made]
    return made


@pytest.mark.parametrize(
    "value", [doubled(30), [doubled(10)] * 3_000, ["x" * 1_000] * 10_000, [1] * 2_000_000]
)
def test_a_value_that_would_be_too_large_is_refused_before_it_is_walked(value: Any) -> None:
    state = State()
    started = clock.process_time()
    for put in (encode, state.replace, state.update):
        with pytest.raises(StateError, match=r'would take .* may take 2,097,152 .* largest part is "key"'):
            put({"fine": 1, "key": value})
    state["list"] = []
    state["list"].append(value)
    with pytest.raises(StateError, match='largest part is "list"'):
        state.changes()
    # A few milliseconds; it is minutes, or the machine's memory, when all of it is walked first.
    assert clock.process_time() - started < 2


def test_what_stands_in_several_places_is_written_in_each() -> None:
    shared = [[1], {"a": [2]}]
    values = {"one": shared, "two": [shared, {"three": shared}]}
    text = encode(values)
    assert text == json.dumps(values, separators=(",", ":"))
    # As deep as may be in one place, and a step too deep in another.
    deep: Any = 1
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    encode({"one": deep, "two": [deep]})
    with pytest.raises(StateError, match=r"two\[0\]\[0\]: lists and mappings are nested more than 64 deep"):
        encode({"one": deep, "two": [[deep]]})


@given(mappings)
def test_the_size_counted_on_the_way_is_never_more_than_what_is_written(mapping: dict[str, Any]) -> None:
    with override_settings(FLOWCONTROL={"STATE_MAX_BYTES": max(1, len(encode(mapping)))}):
        encode(mapping)
        State(mapping).changes()


@override_settings(FLOWCONTROL={"STATE_MAX_BYTES": 50})
def test_a_state_from_a_time_of_larger_limits_may_stay_as_large() -> None:
    state = State.from_text('{"key":["' + "x" * 100 + '"]}')
    state["key"][0] = "y" * 100
    assert state.changes() == {"key": ["y" * 100]}
    state["key"] = ["z" * 99]
    assert state.changes() == {"key": ["z" * 99]}
    with pytest.raises(StateError, match="may take"):
        state["key"] = ["z" * 200]


# -- references to model objects -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_objects_with_keys_of_each_kind_are_read_again_when_asked_for() -> None:
    objects = [
        Customer.objects.create(name="Ann"),
        UuidThing.objects.create(name="thing"),
        SlugThing.objects.create(code="a/b"),
    ]
    state = State.from_text(encode({"all": objects, "one": {"deep": [objects[0]]}, "n": 1}))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert state["n"] == 1
        assert "all" in state
        assert list(state) == ["all", "one", "n"]
        assert not queries.captured_queries
        assert state["all"] == objects
        assert len(queries) == 3
        assert state["all"] == objects
        assert state["one"] == {"deep": [objects[0]]}
        assert len(queries) == 3
    assert state.changes() == {}


@pytest.fixture
def crowd() -> State:
    """A state with fifty customers, each under a key of its own, and ten things in one list."""
    customers = Customer.objects.bulk_create(Customer(name=f"n{number}") for number in range(50))
    things = UuidThing.objects.bulk_create(UuidThing(name=f"n{number}") for number in range(10))
    people: dict[str, Any] = {f"who{number}": each for number, each in enumerate(customers)}
    return State.from_text(encode({**people, "things": things, "n": 1}))


@pytest.mark.django_db
def test_all_objects_of_a_model_are_read_in_one_query_when_the_first_is_asked_for(crowd: State) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert crowd["n"] == 1
        assert len(queries) == 0
        assert [crowd[f"who{number}"].name for number in range(50)] == [f"n{number}" for number in range(50)]
        assert len(queries) == 1
        assert [each.name for each in crowd["things"]] == [f"n{number}" for number in range(10)]
        assert len(queries) == 2
    assert crowd.changes() == {}


@pytest.mark.django_db
@pytest.mark.parametrize("end_of_the_step", [State.commit, State.rollback])
def test_what_was_read_along_with_another_key_is_read_anew_in_the_next_step(
    crowd: State, end_of_the_step: Any
) -> None:
    assert crowd["who0"].name == "n0"
    crowd.changes()
    end_of_the_step(crowd)
    Customer.objects.update(name="later")
    assert [crowd["who1"].name, crowd["who2"].name] == ["later", "later"]


@pytest.mark.django_db
def test_objects_that_are_gone_and_keys_that_are_none_spoil_no_others(crowd: State) -> None:
    stored = crowd.text().removesuffix("}")
    odd = [
        '["testapp.uuidthing","x"]',
        '["testapp.slugthing","a\\u0000"]',
        '["nonsense",1]',
        f'["testapp.customer",{10**40}]',
    ]
    text = f"""{stored},{",".join(f'"odd{n}":[{{"$object":{each}}}]' for n, each in enumerate(odd))}}}"""
    Customer.objects.filter(name__in=["n0", "n7"]).delete()
    state = State.from_text(text)
    gone = {}
    for key in state:
        # The database's own error: a NUL, on PostgreSQL, before anything is sent.
        with suppress(DatabaseError):
            try:
                state[key]
            except (ObjectGone, StateError) as error:
                gone[key] = str(error)
            else:
                continue
        gone.setdefault(key, key)
    assert list(gone) == ["who0", "who7", "odd0", "odd1", "odd2", "odd3"]
    assert all(key in message for key, message in gone.items())


@pytest.mark.django_db
def test_no_more_than_a_hundred_objects_are_read_ahead(monkeypatch: pytest.MonkeyPatch, crowd: State) -> None:
    monkeypatch.setattr(state_mapping, "_READ_AHEAD", 5)
    with CaptureQueriesContext(connection) as queries:
        names = [crowd[f"who{number}"].name for number in range(50)]
    assert names == [f"n{number}" for number in range(50)]
    assert len(queries) == 50 - 5


@pytest.mark.parametrize("pk", ['{"a":1}', "[1]", '{"$dict":{"$a":1}}', "null", "true"])
def test_a_key_of_a_reference_is_one_value(pk: str) -> None:
    with pytest.raises(StateError, match=r"who: .* stands for no value \(ValueError: it is no model and key"):
        State.from_text(f'{{"who":{{"$object":["testapp.customer",{pk}]}}}}')


@pytest.mark.django_db
def test_an_object_that_is_gone_names_the_key_and_leaves_the_others_readable() -> None:
    customer = Customer.objects.create(name="Ann")
    text = encode({"people": [{"who": customer}], "n": 1})
    Customer.objects.all().delete()
    state = State.from_text(text)
    assert state["n"] == 1
    for read in (lambda: state["people"], lambda: state.read["people"]):
        with pytest.raises(ObjectGone, match=r'people\[0\]\.who" refers to no longer exists'):
            read()
    assert state.changes() == {}
    assert state.text() == text


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("stored", "error"),
    [
        ('["gone.model",1]', ObjectGone),
        ('["nonsense",1]', StateError),
        ('["testapp.uuidthing","x"]', StateError),
        ('["testapp.customer","x"]', StateError),
    ],
)
def test_a_reference_that_leads_nowhere_names_its_key(stored: str, error: type[Exception]) -> None:
    state = State.from_text(f'{{"who":{{"$object":{stored}}}}}')
    with pytest.raises(error, match="who"):
        state["who"]


@pytest.mark.django_db
def test_an_object_put_in_stays_the_same_object_until_it_is_stored() -> None:
    customer = Customer.objects.create(name="Ann")
    state = State()
    state["who"] = customer
    assert state["who"] is customer
    assert state.changes() == {"who": {"$object": ["testapp.customer", customer.pk]}}
    state.commit()
    assert state["who"] is customer
    state["who"] = 1
    state.rollback()
    assert state["who"] == customer


# -- changes ---------------------------------------------------------------------------------------------------


def committed(**values: Any) -> State:
    state = State(values)
    state.changes()
    state.commit()
    return state


def test_a_new_state_tells_all_and_after_a_commit_nothing() -> None:
    state = State({"a": 1, "b": [1]})
    assert state.changes() == {"a": 1, "b": [1]}
    state.commit()
    assert state.changes() == {}
    assert state.text() == '{"a":1,"b":[1]}'


changed_values = st.dictionaries(
    st.text(max_size=3),
    st.integers() | st.text(max_size=5) | st.booleans() | st.lists(st.integers(), max_size=2),
)


@given(changed_values, changed_values, st.sets(st.text(max_size=3)))
def test_take_tells_what_changes_tells_and_commits_it(
    old: dict[str, Any], new: dict[str, Any], removed: set[str]
) -> None:
    taken, told = State(old), State(old)
    for state in (taken, told):
        state.changes()
        state.commit()
        state.update(new)
        for key in removed & set(state):
            del state[key]
    changes = told.changes()
    told.commit()
    assert json.loads(taken.take(1_000) or "{}") == changes
    assert (taken.text(), dict(taken)) == (told.text(), dict(told))
    assert taken.take(1_000) == ""


def test_take_tells_a_long_value_in_short_and_keeps_it_whole() -> None:
    for value in ("x" * 300, ["x" * 300]):
        state = State({"a": value})
        assert json.loads(state.take(100)) == {"a": "…"}
        assert state["a"] == value
        state["a"] = 1
        state.rollback()
        assert state["a"] == value


def test_a_state_that_is_too_large_is_not_taken_and_can_be_rolled_back() -> None:
    with override_settings(FLOWCONTROL={"STATE_MAX_BYTES": 1_000, "STATE_WARN_BYTES": 1_000}):
        state = State({"a": 1})
        state.take(100)
        state.update({f"k{number}": "x" * 90 for number in range(12)})
        with pytest.raises(StateError, match="may take 1,000"):
            state.take(100)
        state.rollback()
        assert (dict(state), state.text()) == ({"a": 1}, '{"a":1}')


def test_what_is_changed_in_place_is_noticed_and_what_is_only_read_is_not_told() -> None:
    state = committed(a=[1, {"b": 2}], c={"d": []})
    assert state["a"][1]["b"] == 2
    assert state.changes() == {}
    state["a"][1]["b"] = 3
    state["c"]["d"].append("x")
    assert state.changes() == {"a": [1, {"b": 3}], "c": {"d": ["x"]}}
    assert state.text() == '{"a":[1,{"b":2}],"c":{"d":[]}}'
    state.commit()
    assert state.text() == '{"a":[1,{"b":3}],"c":{"d":["x"]}}'


@pytest.mark.parametrize(
    ("old", "new"), [(1, True), (1, 1.0), (0.0, -0.0), (Decimal(1), 1), ("1", 1), (None, False)]
)
def test_a_change_of_type_alone_is_a_change(old: Any, new: Any) -> None:
    state = committed(a=old)
    state["a"] = new
    assert list(state.changes()) == ["a"]
    state.commit()
    assert same(State.from_text(state.text())["a"], new)


def test_a_value_is_copied_when_it_is_put_in() -> None:
    mine = {"items": [1]}
    state = State({"a": mine, "b": mine})
    mine["items"].append(2)
    assert state["a"] == {"items": [1]}
    state["a"]["items"].append(3)
    assert state["b"] == {"items": [1]}


def test_a_removed_key_is_told_as_none_and_one_that_never_was_stored_not_at_all() -> None:
    state = committed(a=1, b=2)
    del state["a"]
    state["new"] = 1
    del state["new"]
    assert state.changes() == {"a": None}
    state.commit()
    assert state.text() == '{"b":2}'


def test_a_key_that_was_removed_and_came_back_stands_where_a_dictionary_has_it() -> None:
    state = committed(a=1, b=2)
    del state["a"]
    state["a"] = 1
    assert state.changes() == {"a": 1}
    assert state.text() == '{"a":1,"b":2}'
    state.commit()
    assert state.text() == '{"b":2,"a":1}'
    state["b"] = 3
    state.rollback()
    assert list(state) == ["b", "a"]


def test_replace_takes_all_or_nothing() -> None:
    state = committed(a=1, b=2)
    with pytest.raises(StateError, match="c: "):
        state.replace({"b": 3, "c": object()})
    assert dict(state) == {"a": 1, "b": 2}
    assert state.changes() == {}
    state.replace({"c": 0, "b": 2})
    assert list(state) == ["c", "b"]
    assert state.changes() == {"a": None, "c": 0}
    state.commit()
    assert state.text() == '{"c":0,"b":2}'


def test_a_key_that_is_no_text_is_refused() -> None:
    with pytest.raises(StateError, match="the key 1 is no text; use '1'"):
        State()[1] = 2  # type: ignore[index]


def test_looking_whether_a_key_is_there_touches_nothing() -> None:
    state = committed(a=[1])
    assert "a" in state
    assert "a" in state.read
    assert state.read["a"] == [1]
    assert dict(state.read) == {"a": [1]}
    assert not state._touched


@override_settings(FLOWCONTROL={"STATE_WARN_BYTES": 50, "STATE_MAX_BYTES": 100})
def test_a_large_state_is_warned_of_once_and_a_larger_one_refused(caplog: pytest.LogCaptureFixture) -> None:
    state = State({"small": 1, "large": "x" * 40})
    with caplog.at_level(logging.WARNING, "flowcontrol.state"):
        state.changes()
        state.commit()
        state["small"] = 2
        state.changes()
        state.commit()
    assert [record.getMessage() for record in caplog.records] == [
        "large state bytes=62 limit=100 largest=large"
    ]
    state["other"] = "é" * 20
    with pytest.raises(
        StateError, match=r'would take 193 bytes, and may take 100 .*STATE_MAX_BYTES.* "other"'
    ):
        state.changes()
    state.rollback()
    assert list(state) == ["small", "large"]
    assert state.text() == '{"small":2,"large":"' + "x" * 40 + '"}'


@given(mappings)
def test_the_size_that_is_checked_is_the_size_that_is_written(mapping: dict[str, Any]) -> None:
    state = State(mapping)
    state.changes()
    state.commit()
    wrapped = len('{"$dict":}') if any(key.startswith("$") for key in mapping) else 0
    # An empty state is told a byte short: it has no entry whose comma is missing.
    assert len(state.text()) - state._size - wrapped == (not mapping)


def test_only_touched_keys_are_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    state = committed(**{f"key{n}": ["x" * 100] for n in range(100)}, n=0)
    encoded: list[object] = []
    dump = state_mapping.dump
    monkeypatch.setattr(state_mapping, "dump", lambda plain: encoded.append(plain) or dump(plain))
    state["n"] = 1
    state.changes()
    state.commit()
    assert encoded == [], "a number's text is made without the encoder"
    state["key5"]
    state.read["key6"]
    state.text()
    state.changes()
    assert encoded == [["x" * 100]]
    state.rollback()
    state.changes()
    assert encoded == [["x" * 100]]


def test_a_loop_of_many_steps_does_not_pay_for_a_large_state() -> None:
    state = committed(**{f"key{n}": ["x" * 1000] for n in range(100)}, n=0)
    before = clock.process_time()
    for _ in range(10_000):
        state["n"] = state["n"] + 1
        state.changes()
        state.commit()
    # About 0.1 s; it would be 10 s if all keys were encoded.
    assert clock.process_time() - before < 2
    assert json.loads(state.text())["n"] == 10_000


class StateAsADictionary(RuleBasedStateMachine):
    """A state does what a dictionary does, of which somebody keeps a copy at each commit."""

    names = st.sampled_from(["a", "b", "c", "$d"])
    simple = st.recursive(
        st.none()
        | st.booleans()
        | st.integers(0, 2)
        | st.sampled_from(["", "x", "\ud800"])
        | st.just(Decimal(1)),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["k", "$k"]), inner, max_size=2)
        ),
        max_leaves=4,
    )

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.model: dict[str, Any] = {}
        self.stored: dict[str, Any] = {}

    @rule(key=names, value=simple)
    def put(self, key: str, value: Any) -> None:
        self.state[key] = value
        self.model[key] = copy.deepcopy(value)

    @rule(key=names)
    def remove(self, key: str) -> None:
        assert same(self.state.pop(key, None), self.model.pop(key, None))

    @rule(values=st.dictionaries(names, simple, max_size=4))
    def replace(self, values: dict[str, Any]) -> None:
        self.state.replace(values)
        self.model = copy.deepcopy(values)

    @rule(key=names, value=simple)
    def change_in_place(self, key: str, value: Any) -> None:
        for each in (self.state, self.model):
            inside = each.get(key)
            if isinstance(inside, list):
                inside.append(copy.deepcopy(value))
            elif isinstance(inside, dict):
                inside["k"] = copy.deepcopy(value)

    @rule()
    def commit(self) -> None:
        self.state.changes()
        self.state.commit()
        self.stored = copy.deepcopy(self.model)

    @rule()
    def changes_alone(self) -> None:
        changed = self.state.changes()
        gone = [key for key in self.stored if key not in self.model]
        new = [
            key for key in self.model if key not in self.stored or not same(self.model[key], self.stored[key])
        ]
        assert set(changed) >= {*gone, *new}
        # More are told only when the order changed.
        if [key for key in self.model if key in self.stored] == [
            key for key in self.stored if key in self.model
        ]:
            assert set(changed) == {*gone, *new}

    @rule()
    def rollback(self) -> None:
        self.state.rollback()
        self.model = copy.deepcopy(self.stored)

    @rule()
    def store_and_read(self) -> None:
        self.state = State.from_text(self.state.text())
        self.model = copy.deepcopy(self.stored)

    @invariant()
    def is_the_dictionary(self) -> None:
        assert same({key: self.state.peek(key) for key in self.state}, self.model)
        assert self.state.text() == encode(self.stored)


TestStateAsADictionary = StateAsADictionary.TestCase
