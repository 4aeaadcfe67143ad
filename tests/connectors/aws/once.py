"""Effectively once, proved: the first delivery's process is killed after AWS has accepted the call and before the answer was read, a second
process runs the call again, and the *server* counts what was done.

`python -m tests.connectors.aws.once [--seed N] [--cases K] [NAME...]`: all mutating activities, or K of them chosen by the seed, or those named.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from connectors.aws.testing import AwsServer, Call
from connectors.core import Effect, declaration_of, using
from dtf_runtime import InstanceState, OrchestrationHandle, OrchestrationStatus, TaskHubClient
from tests.connectors.aws.once_worker import Order, once, start_worker
from tests.connectors.aws.samples import SAMPLES as FIRST
from tests.connectors.aws.samples import Sample
from tests.connectors.aws.samples_storage import S3
from tests.connectors.aws.samples_thin import SQS, THIN

SAMPLES = (*FIRST, *S3, *SQS, *THIN)
LOCAL = frozenset({"aws.s3.download_object", "aws.s3.write_presigned_url"})
"""What changes a file of the worker and nothing in the account: there is nothing for the server to count."""
CREATING = frozenset({Effect.TOKEN, Effect.LOOKUP, Effect.CONDITIONAL})
"""A call with another logical key makes another one of these."""
ANOTHER: dict[str, dict[str, Any]] = {
    "aws.ec2.copy_image": {"name": "another"},
    "aws.ec2.create_image": {"name": "another"},
    "aws.ec2.create_security_group": {"name": "another"},
    "aws.ec2.import_key_pair": {"name": "another"},
    "aws.iam.create_instance_profile": {"name": "another"},
    "aws.iam.create_role": {"name": "another"},
    "aws.dynamodb.put_item": {"item": {"id": "another"}},
    "aws.s3.copy_object": {"key": "another"},
    "aws.s3.create_bucket": {"bucket": "another-shelf"},
    "aws.s3.create_upload": {"key": "another"},
    "aws.s3.put_object": {"key": "another"},
    "aws.s3.sync_batch": {"prefix": "another/"},
    "aws.s3.upload_part": {"number": 2},
}
"""What a name that is unique must be in the third call."""
ONLY_ONE = frozenset({"aws.s3.complete_upload"})
"""There is no second one to make: an upload is completed once, whoever asks, and S3 answers a second completion like the first."""
INSTANT = frozenset({"aws.sqs.change_visibility"})
"""What it changes is an instant, which a repeat sets anew, as it says."""
GOES_ON = frozenset({"aws.ec2.deregister_image", "aws.iam.delete_role"})
"""Which have more to do after the request whose answer is lost: the second delivery takes away more, and adds nothing."""
Changes = dict[str, list[str]]


@dataclass
class Story:
    sample: Sample
    effect: Effect
    first: Changes = field(default_factory=dict)
    """What had changed in the account when the first process was killed."""
    second: Changes = field(default_factory=dict)
    """... and when the second had ended."""
    calls: list[Call] = field(default_factory=list)
    """Of both."""
    third: int = 0
    """Executed after another call of the same kind, for those that make something."""
    status: str = ""
    why: str = ""

    @property
    def done(self) -> int:
        return _done(self.sample, self.calls)

    @property
    def beyond(self) -> list[str]:
        """Permissions that the requests needed and the activity does not name."""
        declared = declaration_of(self.sample.activity)
        assert declared is not None
        return sorted({action for call in self.calls for action in call.actions} - {*declared.permissions})

    @property
    def makes_another(self) -> bool:
        return self.effect in CREATING and self.sample.activity.name not in ONLY_ONE

    def faults(self) -> list[str]:
        """What is wrong, in sentences; empty when all is well."""
        found = [] if self.status == OrchestrationStatus.COMPLETED else [f"ended {self.status}: {self.why}"]
        if self.beyond:
            found.append(f"needs what it does not declare: {', '.join(self.beyond)}")
        if self.first and self.effect is Effect.AT_LEAST_ONCE:
            return (
                found if self.done == 2 else [*found, f"says at least once, and the server counts {self.done}, not 2"]
            )
        if not self.first:
            return found
        name = self.sample.activity.name
        if not (self.first["added"] or self.first["removed"] or name in INSTANT):
            found.append("the first delivery changed nothing: the sample proves nothing")
        if self.makes_another and self.done != 1:
            found.append(f"the server counts {self.done} {self.sample.operation}, not 1")
        if self.makes_another and self.third != 2:
            found.append(f"after a call with another key the server counts {self.third}, not 2")
        more = sorted({*self.second["added"]} - {*self.first["added"]})
        less = sorted({*self.second["removed"]} - {*self.first["removed"]})
        undone = sorted({*self.first["added"]} - {*self.second["added"]})
        if more or ((less or undone) and name not in GOES_ON):
            found.append(f"the second delivery changed more: {(more + less + undone)[:5]}")
        return found


async def tell(aws: AwsServer, sample: Sample, folder: Path) -> Story:
    """One activity: killed, gone on with, counted."""
    declared = declaration_of(sample.activity)
    assert declared is not None
    story = Story(sample, declared.effect)
    call, since = await asyncio.to_thread(_prepare, aws, sample)
    hub = f"sqlite:///{folder}/{sample.activity.name}.db"
    async with TaskHubClient(hub) as client:
        handle = await client.start(once, _order(sample, call), instance_id="first")
        killed = start_worker(hub, aws.endpoint_url)
        try:
            early = await _held(aws, handle)
        finally:
            killed.kill()
            await asyncio.to_thread(killed.join)
        if early is not None:
            story.status, story.why = f"{early.status} before it sent {sample.operation}", str(early.failure or "")
            return story
        story.first = aws.changes()
        aws.release()
        after = start_worker(hub, aws.endpoint_url)
        try:
            ended = await handle.wait(60)
            story.status, story.why = ended.status, str(ended.failure or "")
            story.second, story.calls = aws.changes(), aws.calls[since:]
            if story.makes_another:
                another = msgspec.structs.replace(call, **ANOTHER.get(sample.activity.name, {}))
                await (await client.start(once, _order(sample, another), instance_id="third")).wait(60)
                story.third = _done(sample, aws.calls[since:])
        finally:
            after.kill()
            await asyncio.to_thread(after.join)
    return story


async def _held(aws: AwsServer, handle: OrchestrationHandle[Any]) -> InstanceState | None:
    """Until the server holds the answer back; or how the orchestration ended without sending the request."""
    for _ in range(120):
        with contextlib.suppress(TimeoutError):
            await asyncio.to_thread(aws.wait_held, timeout=0.25)
            return None
        with contextlib.suppress(TimeoutError):
            return await handle.wait(0.01)
    return await handle.state()


def choose(seed: int, cases: int) -> list[Sample]:
    return random.Random(seed).sample(SAMPLES, min(cases, len(SAMPLES)))


def _prepare(aws: AwsServer, sample: Sample) -> tuple[Any, int]:
    """The call, and how many requests it took to make it possible. From here on the account changes by requests alone."""
    aws.reset()
    with using(aws.connection()):
        call = sample.prepare(aws)
    aws.clock.advance(60)
    aws.clock.run(tick=0)
    with using(aws.connection()):
        _settle()
    aws.mark()
    aws.hold(sample.operation)
    return call, len(aws.calls)


def _settle() -> None:
    """What is due is done at the next request."""
    from connectors.aws.client import aws_call

    aws_call("sts", "get_caller_identity")


def _order(sample: Sample, call: Any) -> Order:
    return Order(sample.activity.name, msgspec.to_builtins(call))


def _done(sample: Sample, calls: list[Call]) -> int:
    return sum(call.executed for call in calls if call.name == sample.operation)


async def _main(samples: list[Sample]) -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as folder, AwsServer() as aws:
        for sample in samples:
            began = time.monotonic()
            story = await tell(aws, sample, Path(folder))
            faults = story.faults()
            failed += bool(faults)
            verdict = "ok" if not faults else "WRONG: " + "; ".join(faults)
            print(f"{sample!s:45} {story.effect:13} {time.monotonic() - began:5.1f} s  {verdict}", flush=True)
    print(
        f"{len(samples) - failed} of {len(samples)} activities of AWS are effectively once across kill -9, or say they are not"
    )
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.connectors.aws.once")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--cases", type=int, default=0, help="0: all")
    options = parser.parse_args()
    chosen = choose(options.seed, options.cases or len(SAMPLES))
    if options.names:
        chosen = [sample for sample in SAMPLES if sample.activity.name in options.names]
    print(f"seed {options.seed}")
    sys.exit(1 if asyncio.run(_main(chosen)) else 0)


if __name__ == "__main__":
    main()
