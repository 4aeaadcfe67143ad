"""Nothing that comes out of a hub can give a terminal an order."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtf_runtime.cli.terminal import as_json, brief, json_safe, text, visible

_ORDERS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
_REORDERING = ["\u202e", "\u2066", "\u200f", "\u2028", "\ufeff"]


@pytest.mark.parametrize("character", [*_ORDERS, *_REORDERING, "\ud800"], ids=ascii)
def test_a_control_character_is_shown_as_an_escape(character: str) -> None:
    shown = visible(f"a{character}b")
    assert character not in shown
    assert shown.startswith("a\\")
    assert shown.isprintable()


@given(st.text(st.characters(exclude_categories=())))
def test_whatever_the_text_is_what_is_shown_holds_no_control_character(value: str) -> None:
    for shown in (visible(value), visible(value, lines=True), brief(value), text(value).plain):
        assert not set(shown) - {"\n"} & set(_ORDERS + _REORDERING)


def test_ordinary_text_is_left_alone() -> None:
    assert visible("Grüße, 世界 👩\u200d💻 [bold]not markup[/bold]") == "Grüße, 世界 👩\u200d💻 [bold]not markup[/bold]"


def test_line_breaks_stay_only_where_they_are_wanted() -> None:
    assert visible("a\nb\tc") == "a\\nb\\tc"
    assert visible("a\r\nb\tc\rd", lines=True) == "a\nb    c\\rd"


def test_markup_in_data_is_text() -> None:
    assert text("[red]x[/red]").plain == "[red]x[/red]"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(_JSON)
def test_json_says_the_same_and_holds_no_control_character(value: object) -> None:
    encoded = as_json(value)
    assert json.loads(encoded) == value
    assert not set(encoded) - {"\n"} & set(_ORDERS + _REORDERING)
    assert json_safe(encoded) == encoded


def test_json_keeps_other_languages_readable() -> None:
    assert as_json({"größe": "世界"}, indent=None) == '{"größe": "世界"}'


def test_a_value_on_one_line_is_cut_to_its_width() -> None:
    assert brief(["x" * 100], 20) == '["' + "x" * 17 + "…"
    assert len(brief("\x1b" * 100, 20)) == 20
