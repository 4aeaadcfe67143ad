"""Inside an orchestration: calls, ordinary asyncio over them, the context, `Saga`."""

import asyncio
import logging
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

from dtf_runtime import (
    Call,
    ChildCall,
    OrchestrationContext,
    ParentInstance,
    RetryPolicy,
    Saga,
    SubOrchestrationFailedError,
    TaskFailedError,
    orchestration,
)

from .shop import Order, Receipt, charge, checkout, nightly, price, refund


@orchestration
async def asyncio_works(ctx: OrchestrationContext, order: Order) -> list[int]:
    first, second = await asyncio.gather(charge(order), price("a"))
    assert_type(first, Receipt)
    assert_type(second, int)
    prices = await asyncio.gather(*(price(sku) for sku in ("a", "b")))
    assert_type(prices, list[int])
    outcomes = await asyncio.gather(price("a"), checkout(order), return_exceptions=True)
    assert_type(outcomes, tuple[int | BaseException, Receipt | BaseException])

    async with asyncio.TaskGroup() as group:
        task = group.create_task(charge(order))
        child = group.create_task(checkout(order))
        bare = group.create_task(nightly.options(retry=None)())
    assert_type(task.result(), Receipt)
    assert_type(child.result(), Receipt)
    assert_type(bare.result(), int)

    assert_type(await asyncio.create_task(price("a")), int)
    assert_type(await asyncio.wait_for(price("a"), 5), int)
    assert_type(await asyncio.shield(charge(order)), Receipt)
    async with asyncio.timeout(timedelta(days=3).total_seconds()):
        await asyncio.sleep(1)
    done, pending = await asyncio.wait({price("a"), price("b")}, return_when=asyncio.FIRST_COMPLETED)
    assert_type(done, set[Call[int]])
    assert_type(pending, set[Call[int]])
    for earliest in asyncio.as_completed([price("a"), price("b")]):
        assert_type(await earliest, int)
    return prices


@orchestration
async def a_call_is_a_future(ctx: OrchestrationContext, order: Order) -> None:
    call = price("a")
    future: asyncio.Future[int] = call
    assert_type(call.done(), bool)
    assert_type(call.cancel(), bool)
    assert_type(future.result(), int)
    child = checkout(order)
    as_call: Call[Receipt] = child
    await as_call


@orchestration
async def the_context(ctx: OrchestrationContext) -> None:
    assert_type(ctx.instance_id, str)
    assert_type(ctx.execution_id, str)
    assert_type(ctx.name, str)
    assert_type(ctx.version, str)
    assert_type(ctx.parent, ParentInstance | None)
    assert_type(ctx.tags, Mapping[str, str])
    assert_type(ctx.is_replaying, bool)
    assert_type(ctx.history_length, int)
    assert_type(ctx.logger, logging.LoggerAdapter[logging.Logger])
    assert_type(ctx.random, random.Random)
    assert_type(ctx.now(), datetime)
    assert_type(ctx.uuid4(), UUID)
    assert_type(ctx.patched("new-tax"), bool)
    if (parent := ctx.parent) is not None:
        assert_type(parent.instance_id, str)
        assert_type(parent.execution_id, str)
        assert_type(parent.name, str)
        assert_type(parent.version, str)
    ctx.send_event("other", "hello")
    ctx.send_event("other", "hello", Order("1", 2))
    ctx.set_custom_status({"steps": []})


@orchestration
async def events(ctx: OrchestrationContext) -> None:
    assert_type(await ctx.wait_for_event("anything"), Any)
    assert_type(await ctx.wait_for_event("order", Order), Order)
    either: int | str = await ctx.wait_for_event("either", int | str)
    assert_type(await ctx.wait_for_event("order", type=Order), Order)
    assert_type(ctx.wait_for_event("number", int), Call[int])
    ctx.set_custom_status(either)


@orchestration
async def calls_by_name(ctx: OrchestrationContext) -> None:
    policy = RetryPolicy()
    assert_type(
        ctx.call_activity("shop.charge", 1, "two", kwargs={"a": 1}, version="2", result_type=Receipt), Call[Any]
    )
    assert_type(ctx.call_activity("a", retry=policy, timeout=1, heartbeat_timeout=timedelta(1), tags={}), Call[Any])
    assert_type(ctx.call_sub_orchestration("shop.nightly"), ChildCall[Any])
    assert_type(
        ctx.call_sub_orchestration(
            "shop.nightly", {"a": 1}, version="1", instance_id="n", result_type=int, retry=policy, tags={"a": "b"}
        ),
        ChildCall[Any],
    )


@orchestration
async def fire_and_forget(ctx: OrchestrationContext, order: Order) -> None:
    assert_type(ctx.start(nightly), str)
    assert_type(ctx.start(checkout, order, instance_id="c", version="2", tags={}), str)
    assert_type(ctx.start(checkout.options(version="2"), order), str)
    assert_type(ctx.start("by.name", {"any": "thing"}), str)
    assert_type(ctx.start("by.name"), str)


@orchestration
async def generations(ctx: OrchestrationContext, count: int) -> int:
    if count < 10:
        ctx.continue_as_new(count + 1, version="2", carry_events=False)
    return count


@orchestration
async def compensation(ctx: OrchestrationContext, order: Order) -> Receipt:
    async with Saga() as saga:
        receipt = await saga.do(charge(order), undo=lambda charged: refund(charged.id))
        assert_type(receipt, Receipt)
        saga.compensate(refund, receipt.id)
        saga.compensate(price, "a", discount=0.5)
        saga.compensate(checkout, order)
        saga.forget()
    return receipt


@orchestration
async def failures(ctx: OrchestrationContext, order: Order) -> str | None:
    try:
        await checkout(order)
    except (TaskFailedError, SubOrchestrationFailedError) as error:
        assert_type(error.failure.type, str)
        assert_type(error.failure.message, str)
        assert_type(error.failure.stack_trace, str)
        assert_type(error.failure.non_retriable, bool)
        assert_type(error.failure.retry_after, float | None)
        assert_type(error.failure.is_caused_by(OSError), bool)
        assert_type(error.failure.is_caused_by("shop.errors.Declined"), bool)
        if error.failure.inner_failure is not None:
            return error.failure.inner_failure.message
        for member in error.failure.group:
            return member.type
    return None
