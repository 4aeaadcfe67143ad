"""Queue worker: orders come in on a queue, each is booked once in a table, and everybody is told. Kill it anywhere: no order is lost or booked twice.

Shows   an eternal orchestration (continue-as-new), SQS that delivers twice, a conditional write that decides, SNS that is told once
Needs   pip install 'dtf-runtime[aws]'; for the trial without AWS also [testing]
Run     python queue_worker.py                                     a trial: queue, table and topic on this machine, with some orders in it
        python queue_worker.py --queue URL --table NAME --topic ARN.fifo
        python queue_worker.py --id orders --queue ...             after a crash, the same line goes on where it stood
Watch   dtf show ID --hub sqlite:///queue_worker.db                from another terminal; `dtf cancel ID` stops it between two messages

A message is JSON: {"order": "A-7", "amount": 3}. The table's key is the text "order"; the topic is FIFO, so that it tells a repeat by itself.
With AWS it uses the credentials that the AWS command line would. Give the queue a dead-letter queue: what can't be read goes there.
"""

import argparse
import asyncio
import json
import logging
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from connectors.aws import AwsConnection
from connectors.aws.operations import PublishFifoMessage, PutItem, publish_fifo_message, put_item
from connectors.aws.sqs import Message, MessageReceipt, ReceiveMessages, delete_message, receive_messages
from connectors.core import Conflict
from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationCancelledError,
    OrchestrationContext,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    connect,
    orchestration,
)

# == The workflow =================================================================================================

LONGEST_HISTORY = 500  # events; then it continues as new, so that it can run for years


@dataclass(frozen=True)
class Job:
    queue: str
    table: str
    topic: str
    wait: int = 20  # seconds that one look at the queue waits for a message
    patience: int = 0  # looks without a message until it ends; 0: never
    booked: int = 0
    repeated: int = 0
    unreadable: int = 0
    idle: int = 0


@orchestration
async def queue_worker(ctx: OrchestrationContext, job: Job) -> Job:
    """Its input and its result are the state so far: how many orders were booked, came again, could not be read."""
    while True:
        look = ReceiveMessages(queue_url=job.queue, wait=job.wait, visibility_timeout=120)
        got = (await receive_messages(look)).messages
        ends = await asyncio.gather(*(handle(job, message) for message in got))
        job = replace(
            job,
            booked=job.booked + ends.count("booked"),
            repeated=job.repeated + ends.count("repeated"),
            unreadable=job.unreadable + ends.count("unreadable"),
            idle=0 if got else job.idle + 1,
        )
        ctx.set_custom_status({"booked": job.booked, "repeated": job.repeated, "unreadable": job.unreadable})
        if job.patience and job.idle >= job.patience:
            return job
        if ctx.history_length > LONGEST_HISTORY:
            ctx.continue_as_new(job)


async def handle(job: Job, message: Message) -> str:
    """Book, tell, delete: in this order, so that a message is only deleted when all is done."""
    try:
        order = read(message.body)
    except ValueError:
        return "unreadable"  # it stays, comes again, and ends in the dead-letter queue
    end = await book(job, order)
    if end == "booked":
        told = PublishFifoMessage(topic_arn=job.topic, message=json.dumps(order), group_id=order["order"])
        await publish_fifo_message(told)
    await delete_message(MessageReceipt(queue_url=job.queue, receipt_handle=message.receipt_handle))
    return end


async def book(job: Job, order: dict[str, Any]) -> str:
    """The table decides. The write is known again by its own key, so a repeat of ours is not taken for somebody else's."""
    try:
        await put_item(
            PutItem(table=job.table, item=order, condition="attribute_not_exists(#o)", names={"#o": "order"})
        )
    except TaskFailedError as error:
        if not error.failure.is_caused_by(Conflict):
            raise
        return "repeated"  # the sender, or the queue, sent it twice
    return "booked"


def read(body: str) -> dict[str, Any]:
    order = json.loads(body)
    if not isinstance(order, dict) or not isinstance(order.get("order"), str):
        raise ValueError("no order")
    return {"order": order["order"], "amount": int(order.get("amount", 1))}


# == The program ==================================================================================================

HUB = "sqlite:///queue_worker.db"
LOG = "queue_worker.log"  # what the worker has to say, such as why an attempt failed
console = Console()


async def main(options: argparse.Namespace, aws: AwsConnection | None) -> int:
    job = Job(options.queue, options.table, options.topic, options.wait, options.patience)
    service = connect(options.hub)
    async with TaskHubWorker(service, connections=[aws] if aws else []), TaskHubClient(service) as client:
        try:
            handle = await client.start(queue_worker, job, instance_id=options.id)
        except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
            handle = client.handle(options.id, Job)
        console.print(f"Instance [bold]{handle.instance_id}[/] in {options.hub}", soft_wrap=True)
        try:
            done = await handle.result()
        except OrchestrationCancelledError:
            console.print("Stopped. What was received and not deleted comes again.")
            return 0
    told = f"{done.booked} orders booked and told, {done.repeated} came again, {done.unreadable} could not be read"
    console.print(f"[green]The queue is empty:[/] {told}", soft_wrap=True)
    return 0


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Book what comes in on a queue.")
    parser.add_argument("--queue", metavar="URL", help="default: a trial on this machine")
    parser.add_argument("--table", metavar="NAME", help="needed with a queue")
    parser.add_argument("--topic", metavar="ARN", help="needed with a queue")
    parser.add_argument("--region", metavar="NAME", help="default: as the AWS command line has it")
    parser.add_argument("--wait", type=int, default=20, metavar="SECONDS", help="of one look; default: %(default)s")
    parser.add_argument("--patience", type=int, default=0, metavar="LOOKS", help="without a message; default: forever")
    parser.add_argument("--id", metavar="NAME", help="the instance; one that exists goes on where it stood")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    options = parser.parse_args()
    if options.queue and not (options.table and options.topic):
        parser.error("name the --table and the --topic")
    return options


def program() -> int:
    options = command_line()
    logging.basicConfig(filename=LOG, format="%(asctime)s %(levelname)s %(message)s")
    if options.queue:
        return asyncio.run(main(options, AwsConnection(region=options.region) if options.region else None))
    from connectors.aws.testing import AwsServer
    from connectors.core import using

    with ExitStack() as stack:
        console.print("A trial: queue, table and topic are on this machine, and forget everything at the end.")
        aws = stack.enter_context(AwsServer()).connection()
        with using(aws):
            options.queue, options.table, options.topic = furnish()
            send(options.queue, [*TRIAL, TRIAL[0], "not an order"])
        options.wait, options.patience = 0, 2
        return asyncio.run(main(options, aws))


# == The trial's queue, table and topic ===========================================================================

TRIAL = [json.dumps({"order": f"A-{number}", "amount": number}) for number in range(1, 13)]


def furnish() -> tuple[str, str, str]:
    """Where the connection `default` leads. Elsewhere you would have them already, from CloudFormation or Terraform, say."""
    from connectors.aws.client import aws_call

    queue: str = aws_call("sqs", "create_queue", {"QueueName": "orders"})["QueueUrl"]
    table = {
        "TableName": "orders",
        "KeySchema": [{"AttributeName": "order", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "order", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    aws_call("dynamodb", "create_table", table)
    topic: str = aws_call("sns", "create_topic", {"Name": "booked.fifo", "Attributes": {"FifoTopic": "true"}})[
        "TopicArn"
    ]
    return queue, "orders", topic


def send(queue: str, bodies: list[str]) -> None:
    from connectors.aws.client import aws_call

    for body in bodies:
        aws_call("sqs", "send_message", {"QueueUrl": queue, "MessageBody": body})


if __name__ == "__main__":
    sys.exit(program())
