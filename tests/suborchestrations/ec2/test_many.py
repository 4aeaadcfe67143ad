"""Fifty servers at once from an account that admits five requests a second: all get there, none twice, in about the time that the limit allows.

The server's clock and the hub's move together, in steps: the server's first, so that it is at most one step ahead of the hub. Neither moves by
itself, and a request takes none of the server's time, so the limit counts by the same seconds as the runs' timers.
"""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from connectors.aws.testing import AwsServer
from connectors.core import using
from dtf_runtime.testing import TestHub
from suborchestrations.ec2 import Server, ServerSpec, provision_ec2
from tests.suborchestrations.ec2.world import DOMAIN, account, registry

MANY = 50
RATE = 5.0  # requests a second
STEP = 0.2  # seconds: in one step the limit admits one request
LONGEST = 3600.0  # virtual seconds after which the test gives up
ONCE = (  # each run asks for one of each
    "ec2:CreateSecurityGroup",
    "ec2:ImportKeyPair",
    "iam:CreateInstanceProfile",
    "ec2:RunInstances",
    "ssm:SendCommand",
    "ec2:AllocateAddress",
    "route53:ChangeResourceRecordSets",
)


def specs(spec: ServerSpec, count: int) -> list[ServerSpec]:
    """The same server so many times, under names of its own."""
    assert spec.dns is not None
    record = spec.dns
    return [
        msgspec.structs.replace(
            spec,
            name=f"web-{n}",
            dns=msgspec.structs.replace(record, name=f"web-{n}.{DOMAIN}"),
            poll_interval=15.0,
        )
        for n in range(count)
    ]


async def provisioned(aws: AwsServer, wanted: Sequence[ServerSpec]) -> tuple[list[Server], float]:
    """All of them at once, and how many seconds of both clocks it took."""
    aws.clock.run(tick=0)
    began = aws.clock.now()
    with using(aws.connection()):
        async with TestHub(registry=registry(), auto_advance=False) as hub:
            start = hub.now()
            handles = [await hub.client.start(provision_ec2, spec, instance_id=spec.name) for spec in wanted]
            ended = asyncio.gather(*(handle.result(2 * LONGEST) for handle in handles))
            while not ended.done():
                aws.clock.advance(STEP)
                await hub.advance(STEP)
                passed = (hub.now() - start).total_seconds()
                assert passed < LONGEST, "some of them don't end"
            assert aws.clock.now() - began == pytest.approx(passed), "the clocks have come apart"
            return await ended, passed


@pytest.mark.timeout(240)
async def test_fifty_at_once_share_a_limit_of_five_requests_a_second(aws: AwsServer) -> None:
    with account(aws) as (there, spec, _):
        before = len(aws.calls)
        await provisioned(aws, specs(spec, 1))
        needed = len(aws.calls) - before
    with account(aws) as (there, spec, _):
        aws.throttle(rate=RATE, burst=RATE)
        servers, seconds = await provisioned(aws, specs(spec, MANY))
        refused = sum(call.status >= 400 for call in aws.calls)
        allowed = MANY * needed / RATE
        print(f"{MANY} servers, {needed} requests each: {seconds:.0f} s of {allowed:.0f} s; {refused} requests refused")
        assert refused > MANY, "the limit was met"
        assert {name: aws.count(name) for name in ONCE} == dict.fromkeys(ONCE, MANY)
        aws.clock.advance(60)  # the limit admits this test's own look again
        launched = [one["InstanceId"] for one in there.instances(dead=True)]
        assert sorted(launched) == sorted({server.instance_id for server in servers})
        assert len({server.run for server in servers}) == len(servers) == MANY
        assert seconds <= 1.5 * allowed
