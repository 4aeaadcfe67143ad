"""The definitions that the other files call: each way to declare an activity and an orchestration."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

from dtf_runtime import (
    Activity,
    Call,
    ChildCall,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    activity,
    orchestration,
)


@dataclass(frozen=True)
class Order:
    id: str
    amount: int


@dataclass(frozen=True)
class Receipt:
    id: str


registry = Registry()


@activity
async def charge(order: Order) -> Receipt:
    return Receipt(order.id)


@activity
def price(sku: str, *, discount: float = 0.0) -> int:
    return len(sku) - int(discount)


@activity(name="shop.refund", version="2", retry=RetryPolicy(max_attempts=5), timeout=30)
async def refund(receipt_id: str) -> None:
    await asyncio.sleep(0)


@activity(
    heartbeat_timeout=timedelta(seconds=5), max_concurrency=2, tags={"team": "shop"}, registry=registry, timeout=None
)
def pack(*skus: str, **notes: str) -> list[str]:
    return [*skus, *notes]


@orchestration
async def checkout(ctx: OrchestrationContext, order: Order) -> Receipt:
    return await charge(order)


@orchestration(name="shop.nightly", version="1.2", registry=registry)
async def nightly(ctx: OrchestrationContext) -> int:
    return await price("a")


@orchestration
async def optional(ctx: OrchestrationContext, order: Order | None = None) -> str:
    return "none" if order is None else order.id


class Shop:
    @activity
    @staticmethod
    def count(shelf: str) -> int:
        return len(shelf)


# The signature stays the user's own, whether a plain def or an async one, bare or with arguments.
assert_type(charge(Order("1", 2)), Call[Receipt])
assert_type(price("a"), Call[int])
assert_type(price("a", discount=0.5), Call[int])
assert_type(refund("r"), Call[None])
assert_type(pack("a", "b", gift="yes"), Call[list[str]])
assert_type(Shop.count("a"), Call[int])
assert_type(checkout(Order("1", 2)), ChildCall[Receipt])
assert_type(nightly(), ChildCall[int])
assert_type(optional(), ChildCall[str])
assert_type(optional(Order("1", 2)), ChildCall[str])

# What a definition tells.
assert_type(charge.name, str)
assert_type(charge.version, str)
assert_type(checkout.name, str)
assert_type(checkout.version, str)
undecorated: Callable[[Order], Any] = charge.fn

# A registry takes any of them.
assert_type(Registry(charge, price, checkout), Registry)
assert_type(registry.add(refund, nightly), Registry)
assert_type(registry.update(Registry(pack)), Registry)
anything: list[Activity[..., Any] | Orchestration[..., Any]] = [
    charge,
    price,
    refund,
    pack,
    checkout,
    nightly,
    optional,
]


async def a_unit_test_needs_no_runtime(ctx: OrchestrationContext) -> None:
    assert_type(await charge(Order("1", 2)), Receipt)
    assert_type(await price("a"), int)
    assert_type(await checkout.fn(ctx, Order("1", 2)), Receipt)
    assert_type(await nightly.fn(ctx), int)
