"""Adaptive Cards: what a message looks like, and the envelope that a Workflows webhook takes. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from connectors.core import InvalidRequest

MOST_BYTES = 28 * 1024
"""What Teams takes for one message."""
_KEY_ID = "dtf-key"


def card_of(text: str, *, title: str, facts: Mapping[str, str], actions: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """`actions`: titles and addresses, each an Action.OpenUrl. Teams runs no others from a webhook."""
    body: list[dict[str, Any]] = []
    if title:
        body.append({"type": "TextBlock", "text": title, "size": "Large", "weight": "Bolder", "wrap": True})
    body.append({"type": "TextBlock", "text": text, "wrap": True})
    if facts:
        body.append({"type": "FactSet", "facts": [{"title": name, "value": value} for name, value in facts.items()]})
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.5",
        "body": body,
    }
    if actions:
        card["actions"] = [{"type": "Action.OpenUrl", "title": title, "url": url} for title, url in actions]
    return card


def with_key(card: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The same card with a last, small line that says the reference."""
    line = {"type": "TextBlock", "id": _KEY_ID, "text": f"ref {key}", "isSubtle": True, "size": "Small", "wrap": True}
    return {**card, "body": [*card.get("body", ()), line]}


def key_of(card: Mapping[str, Any]) -> str:
    """The reference in a card; empty without one."""
    texts = (block.get("text", "") for block in card.get("body", ()) if block.get("id") == _KEY_ID)
    return next((text.removeprefix("ref ") for text in texts), "")


def envelope(card: Mapping[str, Any]) -> bytes:
    """What is posted. Raises InvalidRequest for what is no card, or too large."""
    if card.get("type") != "AdaptiveCard" or not card.get("version"):
        raise InvalidRequest('a card needs "type": "AdaptiveCard" and a "version"')
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    content = msgspec.json.encode({"type": "message", "attachments": [attachment]})
    if len(content) > MOST_BYTES:
        raise InvalidRequest(f"the message has {len(content)} bytes, and Teams takes {MOST_BYTES}")
    return content
