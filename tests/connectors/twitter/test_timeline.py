"""A post is recognised in the timeline although X tells it otherwise than it was sent, and no other text is taken for it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.twitter import CreatePost
from connectors.twitter.testing import FakePost, _told
from connectors.twitter.timeline import _is_alike

WORDS = st.one_of(
    st.sampled_from(
        [
            "https://example.com",
            "http://example.com/a/b/?q=1&r=2",
            "<b>",
            "&amp;",
            "a & b",
            "e\u0301",
            "\u00e9",
            "👩‍👩‍👧",
            "#tag",
            "@you",
            "/",
            "//",
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=30),
)
TEXTS = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)


def told(text: str, **more: object) -> dict[str, object]:
    post = FakePost("2535964385080246272", text, datetime(2030, 1, 1, tzinfo=UTC), **more)  # type: ignore[arg-type]
    return _told(post)


@given(TEXTS)
def test_any_text_is_recognised(text: str) -> None:
    assert _is_alike(told(text), CreatePost(text=text))
    assert _is_alike(told(text, media_ids=("1",)), CreatePost(text=text, media_ids=("1",)))


@given(TEXTS, st.text("abc1", min_size=1, max_size=3))
def test_a_text_with_something_more_is_another(text: str, more: str) -> None:
    assert not _is_alike(told(f"{text} {more}"), CreatePost(text=text))
    assert not _is_alike(told(text), CreatePost(text=f"{more} {text}"))


@pytest.mark.parametrize("text", ["x" * 281, "see https://example.com/" + "y" * 400 + " and & https://example.org"])
def test_a_long_post_is_recognised_by_all_of_it(text: str) -> None:
    assert _is_alike(told(text), CreatePost(text=text))
    assert not _is_alike(told(text + "z"), CreatePost(text=text))


def test_links_differ_in_scheme_and_last_slash_only_for_those_who_read_them() -> None:
    assert _is_alike(told("https://example.com/"), CreatePost(text="http://example.com"))
    assert not _is_alike(told("https://example.com/a"), CreatePost(text="https://example.com/b"))
