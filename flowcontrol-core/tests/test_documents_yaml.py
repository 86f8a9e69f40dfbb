"""Documents as YAML."""

from __future__ import annotations

import time

import pytest
import yaml
from flowcontrol.documents.yaml import parse_yaml, to_yaml
from flowcontrol.exceptions import DocumentError
from hypothesis import given
from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        "on",
        "yes",
        "null",
        "~",
        "12:00",
        "2026-01-31",
        "1e5",
        "007",
        "0x1F",
        "1_000",
        "a: b",
        "a #b",
        "- a",
        "?",
        "'",
        '"',
        "line\nline",
        # An escape as the last character, where it is no space either.
        "line\n\x1b",
        "line\n\n  line\n",
        "x\n",
        " x\ny",
        "x \ny",
        "'hello'",
        "object.name|default:\"x\" == 'y'",
        ".inf",
        "=",
        "<<",
        "#a",
        "a,b",
        "a\\b'",
        "x:",
        "x: ",
        "!tag",
        "&a",
        "*a",
        "|",
        ">",
        "%",
        "@",
        "`",
        "\ufeff",
        "\u2028",
        "x\u2028y\nz",
        "é",
        "…",
        "---",
        "...",
        "a\n---\nb",
        "a\n# b",
    ]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
documents = st.dictionaries(texts, values, min_size=1, max_size=4)


@given(documents)
def test_what_is_written_is_read_back(document: dict) -> None:
    assert parse_yaml(to_yaml(document)) == [document]


@given(st.lists(documents, min_size=1, max_size=3))
def test_several_documents_are_read_back(several: list) -> None:
    assert parse_yaml(to_yaml(several)) == several


@given(documents)
def test_any_other_yaml_reader_reads_the_same_but_for_the_key_on(document: dict) -> None:
    def plain(value):
        if isinstance(value, dict):
            return {(True if key == "on" else key): plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list) else value

    def floats(value):
        """PyYAML takes 1e+22 for text; YAML 1.2 does not."""
        if isinstance(value, dict):
            return {key: floats(item) for key, item in value.items()}
        if isinstance(value, list):
            return [floats(item) for item in value]
        return (
            str(float(value))
            if isinstance(value, float) or (isinstance(value, str) and _is_float(value))
            else value
        )

    def _is_float(value):
        try:
            float(value)
        except ValueError:
            return False
        return True

    assert floats(yaml.safe_load(to_yaml(document))) == floats(plain(document))


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_any_input_is_documents_or_a_document_error(text: str | bytes) -> None:
    try:
        answer = parse_yaml(text)
    except DocumentError as error:
        answer = list(error.problems)
        refused = True
    else:
        refused = False
    assert isinstance(answer, list)
    assert answer or not refused, "who is refused is told why"


def test_words_that_other_readers_take_for_something_else_stay_text() -> None:
    [document] = parse_yaml(
        "on: off\nyes: no\ntime: 12:00\nday: 2026-01-31\nzip: 00501\nyear: 2026\nratio: 1e3\n1: x"
    )
    assert document == {
        "on": "off",
        "yes": "no",
        "time": "12:00",
        "day": "2026-01-31",
        "zip": "00501",
        "year": 2026,
        "ratio": 1000.0,
        "1": "x",
    }


def test_yaml_reads_well() -> None:
    document = {
        "slug": "welcome",
        "condition": 'object.name == "Ann"',
        "triggers": [{"on": "shop.paid", "condition": "object.is_active and not state.seen"}],
        "steps": [
            {"id": "hello", "config": {"state": {"greeting": "'hello'", "at": "12:00"}, "note": "one\ntwo"}},
            {"branches": {"else": [{"action": "builtin.stop"}], "empty": []}},
        ],
    }
    assert to_yaml(document) == (
        "slug: welcome\n"
        "condition: 'object.name == \"Ann\"'\n"
        "triggers:\n"
        "  - on: shop.paid\n"
        "    condition: object.is_active and not state.seen\n"
        "steps:\n"
        "  - id: hello\n"
        "    config:\n"
        "      state:\n"
        "        greeting: \"'hello'\"\n"
        "        at: '12:00'\n"
        "      note: |-\n"
        "        one\n"
        "        two\n"
        "  - branches:\n"
        "      else:\n"
        "        - action: builtin.stop\n"
        "      empty: []\n"
    )


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("slug: a\nname: b\nslug: c\n", "line 3, column 1", "twice"),
        ("slug: [a\n", "line 2, column 1", "not YAML"),
        ("slug: a\n\tname: b", "line 2, column 1", "not YAML"),
        ("steps: !!python/object/apply:os.system [ls]", "line 1, column 8", "Tags"),
        ("a: *b", "line 1, column 4", "stands for nothing"),
        ("a: &b [*b]", "line 1, column 8", "stands for nothing"),
        ("base: &b {x: 1}\na:\n  <<: *b", "line 3, column 3", "write the keys out"),
        ("? [a]\n: b", "line 1, column 3", "has to be text"),
        ("- a\n- b", "line 1, column 1", "is a mapping"),
        ("a: 1\n---\njust text", "line 2, column 1", "is a mapping"),
        ("n: 1e999", "line 1, column 4", "too large"),
        (f"n: {'9' * 5000}", "line 1, column 4", "too large"),
        ("a: " + "[" * 400 + "]" * 400, "line 1, column 303", "nested more than 300 deep"),
        ("a: \x01", "", "not YAML"),
        (b"a: \xff", "", "not UTF-8"),
    ],
)
def test_bad_yaml_is_refused_with_its_line_and_column(text: str, where: str, what: str) -> None:
    with pytest.raises(DocumentError, match=what) as caught:
        parse_yaml(text)
    assert [problem.path for problem in caught.value.problems] == [where]


def test_aliases_are_copies() -> None:
    [document] = parse_yaml("a: &x {k: [1]}\nb: *x")
    assert document == {"a": {"k": [1]}, "b": {"k": [1]}}
    assert document["a"]["k"] is not document["b"]["k"]


@pytest.mark.timing
def test_a_file_that_grows_by_repeating_itself_is_refused_at_once() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
    )
    started = time.perf_counter()
    with pytest.raises(DocumentError, match="more than 1,000,000 values"):
        parse_yaml(bomb)
    assert time.perf_counter() - started < 5


def test_aliases_cannot_nest_deeper_than_text_can() -> None:
    def nested(inner: str) -> str:
        return "[" * 200 + inner + "]" * 200

    with pytest.raises(DocumentError, match="nested more than 300 deep"):
        parse_yaml(f"a: &a {nested('1')}\nb: &b {nested('*a')}\n")
    assert len(parse_yaml(f"a: &a {nested('1')}\nb: [[*a]]\n")) == 1


def test_empty_documents_are_left_out() -> None:
    assert parse_yaml("---\na: 1\n---\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]
    assert parse_yaml("") == []
