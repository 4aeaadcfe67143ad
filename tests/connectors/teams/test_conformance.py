"""The kit's checks on the Teams connector, and a search for its credentials in everything that a run leaves behind."""

from collections.abc import Iterator

import pytest

import connectors.teams
from connectors.core.testing import Run, Sample, check_connector, planted, secret_scan
from connectors.teams import CONNECTOR, SendCard, SendMessage, TeamsConnection, send_card, send_message
from connectors.teams.testing import FakeTeams
from dtf_runtime import OrchestrationFailedError, TaskHubClient, TaskHubWorker, connect
from tests.connectors.social_conformance import check_loading, check_page
from tests.connectors.teams.test_messages import registry, tell


@pytest.fixture
def teams() -> Iterator[FakeTeams]:
    with FakeTeams() as fake:
        yield fake


async def test_it_conforms(teams: FakeTeams) -> None:
    card = {"type": "AdaptiveCard", "version": "1.5", "body": []}
    samples = [
        Sample(activity=send_message, call=SendMessage(text="Hello"), made=lambda: len(teams.keys()), afresh=True),
        Sample(activity=send_card, call=SendCard(card=card), made=lambda: len(teams.keys()), afresh=True),
    ]
    await check_connector(CONNECTOR, samples=samples, connections=[teams.connection()])


def test_its_page_is_complete() -> None:
    check_page(CONNECTOR, str(connectors.teams.__file__))


def test_it_is_found_by_name_and_loads_no_http_library() -> None:
    check_loading(CONNECTOR)


async def test_neither_the_address_nor_the_key_is_written_anywhere(teams: FakeTeams) -> None:
    address = teams.webhook_url.replace(teams.signature, "{canary}")
    plant = planted(TeamsConnection, webhook_url=address, proxy=None, allow_private=True)
    teams.signature = plant.canaries["webhook_url"]

    async def exercise(run: Run) -> None:
        teams.cut("lose")
        service = connect(run.hub)
        worker = TaskHubWorker(service, registry=registry, connections=run.connections)
        async with worker, TaskHubClient(service) as client:
            await (await client.start(tell, SendMessage(text="Hello"))).result(30)
            teams.cut("lose")
            with pytest.raises(OrchestrationFailedError) as raised:
                await (await client.start(tell, SendMessage(text="Hello", on_ambiguous="fail"))).result(30)
            run.note(raised.value)

    assert await secret_scan(plant, exercise) == []
    assert len(teams.messages) == 3
