"""The activities of the Teams connector."""

from connectors.core import DEFAULT_RETRY, Effect, InvalidRequest, call_key, declare, resolve
from connectors.core.webhooks import Links, WebhookConnection
from connectors.teams.cards import card_of, with_key
from connectors.teams.client import post
from connectors.teams.credentials import TeamsConnection
from connectors.teams.models import Answer, SendCard, SendMessage, Sent
from dtf_runtime import OutsideActivityError, activity, activity_context

_WHY = "a webhook tells no message id and can't be searched; a repeat carries the same reference in its card"
KEY_DIGITS = 16


@declare(Effect.AT_LEAST_ONCE, _WHY)
@activity(name="teams.send_message", retry=DEFAULT_RETRY)
async def send_message(message: SendMessage) -> Sent:
    """Posts a message with facts and buttons to the connection's channel or chat.

    At least once: when an answer was lost the message is posted again, and both have the same reference. Raises InvalidRequest when it is larger
    than 28 KiB, or has answers without `answers_until`.
    """
    connection = resolve(TeamsConnection, message.connection)
    key = call_key([message.text, message.title], length=KEY_DIGITS)
    card = card_of(message.text, title=message.title, facts=message.facts, actions=_actions(message, key))
    return await _send(connection, card, key, show_key=message.show_key, on_ambiguous=message.on_ambiguous)


@declare(Effect.AT_LEAST_ONCE, _WHY)
@activity(name="teams.send_card", retry=DEFAULT_RETRY)
async def send_card(wanted: SendCard) -> Sent:
    """Posts an Adaptive Card of your own. Otherwise as `send_message`."""
    connection = resolve(TeamsConnection, wanted.connection)
    key = call_key(wanted.card, length=KEY_DIGITS)
    return await _send(connection, dict(wanted.card), key, show_key=wanted.show_key, on_ambiguous=wanted.on_ambiguous)


async def _send(
    connection: TeamsConnection, card: dict[str, object], key: str, *, show_key: bool, on_ambiguous: str
) -> Sent:
    shown = with_key(card, key) if show_key else card
    run = await post(connection, shown, repeatable=on_ambiguous == "resend")
    return Sent(key=key, request_id=run)


def _actions(message: SendMessage, key: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    links: Links | None = None
    for button in message.buttons:
        if not isinstance(button, Answer):
            found.append((button.title, button.url))
            continue
        if message.answers_until is None:
            raise InvalidRequest("a message with answers needs answers_until: when their links end")
        links = links or Links.of(resolve(WebhookConnection, message.links))
        url = links.make_until(
            button.instance_id or _own_instance(),
            button.event,
            once=key,
            ends=message.answers_until,
            payload=button.payload,
            question=button.question or button.title,
        )
        found.append((button.title, url))
    return found


def _own_instance() -> str:
    try:
        return activity_context().instance_id
    except OutsideActivityError:
        raise InvalidRequest("outside of a workflow an answer needs the instance_id that gets it") from None
