"""A process that provisions one server and may be told to die on the way: `python -m tests.suborchestrations.ec2.worker HUB ENDPOINT SPEC PLAN`.

PLAN is `none`, or `before:k`, `after:k` (the k-th request to AWS is about to leave, has been answered) or `commit:k` (the k-th commit is on disk).
Prints `requests=N commits=M` when it comes to its end. The hooks are in the SDK and around the service, outside of what is under test.
"""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import msgspec
from botocore.httpsession import URLLib3Session

from connectors.aws.testing import AwsServer
from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationFailedError,
    TaskHubClient,
    TaskHubWorker,
    connect,
)
from suborchestrations.ec2 import ServerSpec, provision_ec2
from tests.suborchestrations.ec2.world import registry


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Counter:
    def __init__(self, plan: str) -> None:
        self.what, _, number = plan.partition(":")
        self.at = int(number or 0)
        self.requests = self.commits = 0
        self._numbers = itertools.count(1)

    def watch_requests(self) -> None:
        send = URLLib3Session.send

        def counted(session: Any, request: Any) -> Any:
            number = next(self._numbers)
            self.requests = max(self.requests, number)
            if (self.what, self.at) == ("before", number):
                die()
            answer = send(session, request)
            if (self.what, self.at) == ("after", number):
                die()
            return answer

        URLLib3Session.send = counted

    def watched(self, service: Any) -> Any:
        return _Watched(service, self)


class _Watched:
    """The service, with its commits counted once they are on disk."""

    def __init__(self, service: Any, counter: Counter) -> None:
        self._service, self._counter = service, counter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    def commit(self, item: Any, commit: Any, done: Callable[[BaseException | None], None]) -> None:
        def counted(error: BaseException | None) -> None:
            self._counter.commits += error is None
            if (self._counter.what, self._counter.at) == ("commit", self._counter.commits):
                die()
            done(error)

        self._service.commit(item, commit, counted)


async def main(hub: str, endpoint: str, spec: ServerSpec, plan: str) -> None:
    counter = Counter(plan)
    counter.watch_requests()
    service = counter.watched(connect(f"sqlite:///{hub}"))
    connection = AwsServer.at(endpoint).connection()
    async with TaskHubWorker(service, registry=registry(), connections=[connection]), TaskHubClient(service) as client:
        try:
            handle = await client.start(provision_ec2, spec, instance_id="one")
        except OrchestrationAlreadyExistsError:
            handle = client.handle("one")
        try:
            await handle.result(120)
            ended = "completed"
        except OrchestrationFailedError as error:
            ended = f"failed: {error.failure.message}"
    print(f"requests={counter.requests} commits={counter.commits} {ended}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], msgspec.json.decode(sys.argv[3], type=ServerSpec), sys.argv[4]))
