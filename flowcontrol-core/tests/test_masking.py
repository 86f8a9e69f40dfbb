"""Secrets are taken out of texts and values, in every shape in which they get about."""

from __future__ import annotations

import base64
import html
import json
from decimal import Decimal
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest
from flowcontrol.masking import MASK, SHORTEST, Masker
from hypothesis import given
from hypothesis import strategies as st

#: Of printable letters, and of everything.
_LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="•")
SECRETS = st.text(_LETTERS, min_size=6, max_size=40)


def masker(*secrets: str) -> Masker:
    made = Masker()
    made.add(secrets)
    return made


SHAPES: dict[str, Any] = {
    "itself": lambda secret: secret,
    "repr": repr,
    "bytes": lambda secret: repr(secret.encode()),
    "json": json.dumps,
    "html": html.escape,
    "a part of a URL": lambda secret: quote(secret, safe=""),
    "a path": quote,
    "a query": lambda secret: urlencode({"key": secret}),
    "plus": quote_plus,
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "url-safe base64": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@given(secret=SECRETS, before=st.text(_LETTERS, max_size=5), after=st.text(_LETTERS, max_size=5))
def test_a_secret_is_masked_in_every_shape(shape: Any, secret: str, before: str, after: str) -> None:
    text = f"{before}{shape(secret)}{after}"
    masked = masker(secret).mask(text)
    assert MASK in masked
    assert secret not in masked


@given(secret=SECRETS, user=st.text(st.characters(codec="ascii"), max_size=9))
def test_a_password_is_masked_in_the_header_of_basic_authentication(secret: str, user: str) -> None:
    header = base64.b64encode(f"{user}:{secret}".encode()).decode()
    masked = masker(secret).mask(f"Authorization: Basic {header}")
    assert MASK in masked
    left = masked.removeprefix("Authorization: Basic ").partition(MASK)[0]
    assert secret.encode() not in base64.b64decode(left[: len(left) // 4 * 4])


@given(secret=SECRETS, others=st.lists(SECRETS, max_size=30), text=st.text(_LETTERS, max_size=40))
def test_among_many_secrets_each_is_masked_in_a_short_text(secret: str, others: list[str], text: str) -> None:
    many = masker(secret, *others, *(f"{number}-another-one" for number in range(50)))
    masked = many.mask(f"{text}{secret}{text}")
    assert MASK in masked
    assert secret not in masked


def test_nothing_is_left_of_a_secret_that_contains_another() -> None:
    assert masker("hunter", "hunter2-and-more").mask("It is hunter2-and-more.") == f"It is {MASK}."


def test_a_text_without_secrets_stays_the_same_object() -> None:
    text = "nothing to see"
    assert masker("secret").mask(text) is text
    assert Masker().mask(text) is text


def test_too_short_a_text_is_no_secret() -> None:
    short = masker("x" * (SHORTEST - 1))
    assert not short
    assert short.mask("xxx") == "xxx"


def test_values_are_masked_in_depth_and_numbers_become_text() -> None:
    found = masker("12345678", "hunter2").mask_values(
        {
            "a": [{"hunter2": "so hunter2"}],
            "n": 12345678,
            "d": Decimal("12345678.5"),
            "t": True,
            "z": None,
            "i": 7,
        }
    )
    assert found == {"a": [{MASK: f"so {MASK}"}], "n": MASK, "d": f"{MASK}.5", "t": True, "z": None, "i": 7}


def test_the_lines_of_a_private_key_are_secrets() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEA\n-----END KEY-----\n"
    assert masker(key).mask("line 2: BAQEFAASCBKcwggSjAgEA") == f"line 2: {MASK}"


def test_of_too_many_the_ones_not_seen_for_longest_are_forgotten() -> None:
    few = Masker(most=2)
    few.add(["first-one", "second-one"])
    few.add(["first-one"])
    few.add(["third-one"])
    assert few.mask("first-one second-one third-one") == f"{MASK} second-one {MASK}"
