"""A credential shows itself to nobody."""

import copy
import logging
import pickle
import traceback
from dataclasses import asdict, replace

import msgspec
import pytest

from connectors.core import Secret
from dtf_runtime import OrchestrationContext, OrchestrationFailedError, Registry, activity, orchestration
from dtf_runtime.testing import TestHub
from dtf_runtime.tracing import redactor
from tests.connectors.core.samples import ShopConnection

TEXT = "tk-9f8e7d6c5b4a"


def test_no_way_of_writing_it_shows_it() -> None:
    secret = Secret(TEXT)
    connection = ShopConnection(token=secret)
    written = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>40}",
        f"{secret}",
        repr(connection),
        str([secret]),
    ]
    written += [repr(asdict(connection)), repr(replace(connection, url="x")), repr(copy.deepcopy(secret))]
    assert [text for text in written if TEXT in text] == []
    assert secret.reveal() == TEXT


def test_a_traceback_through_a_call_that_had_it_does_not_show_it() -> None:
    def send(connection: ShopConnection) -> None:
        raise OSError(f"could not send with {connection}")

    with pytest.raises(OSError) as caught:
        send(ShopConnection(token=Secret(TEXT)))
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert TEXT not in "".join(told.format()).replace(f"TEXT = {TEXT!r}", "")


def test_it_is_masked_in_logs_from_the_moment_it_is_made(caplog: pytest.LogCaptureFixture) -> None:
    Secret("never-seen-before-1")
    record = logging.makeLogRecord({"msg": "Authorization: Bearer %s", "args": ("never-seen-before-1",)})
    redactor.filter(record)
    assert "never-seen-before-1" not in record.getMessage()


def test_it_is_not_pickled_nor_encoded() -> None:
    with pytest.raises(TypeError, match="pass the name of a connection"):
        pickle.dumps(Secret(TEXT))
    with pytest.raises(TypeError):
        msgspec.json.encode(Secret(TEXT))


async def test_it_can_be_neither_result_nor_input() -> None:
    @activity(registry=Registry())
    def leak() -> Secret:
        return Secret(TEXT)

    @orchestration(registry=Registry())
    async def leaky(ctx: OrchestrationContext) -> None:
        await leak()

    async with TestHub(registry=Registry(leak, leaky)) as hub:
        handle = await hub.client.start(leaky)
        with pytest.raises(OrchestrationFailedError) as caught:
            await handle.result(10)
        assert TEXT not in str(caught.value)
        history = await hub.client.get_history(handle.instance_id)
        assert TEXT not in str(history)


def test_equal_texts_are_equal_secrets_and_a_secret_of_a_secret_is_itself() -> None:
    assert Secret(TEXT) == Secret(Secret(TEXT)) != Secret("another text")
    assert hash(Secret(TEXT)) == hash(Secret(TEXT))
    assert Secret(TEXT) != TEXT
    assert Secret(TEXT) and not Secret("")
