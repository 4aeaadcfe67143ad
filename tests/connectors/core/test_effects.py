"""Declarations of effects, and the key that a call carries to its service."""

import pytest

from connectors.core import Effect, InvalidRequest, Mutation, call_key, declaration_of, declare
from dtf_runtime import OrchestrationContext, Registry, RetryPolicy, activity, orchestration
from dtf_runtime.testing import TestHub
from tests.connectors.core.samples import Order

KEYS: list[str] = []


@activity(registry=Registry(), retry=RetryPolicy(max_attempts=2))
def key_of(order: Order, attempt: str = "", fail: bool = False) -> str:
    KEYS.append(call_key(order, attempt=attempt))
    if fail and len(KEYS) == 1:
        raise OSError("once")
    return KEYS[-1]


@orchestration(registry=Registry())
async def orders(ctx: OrchestrationContext) -> list[str]:
    apple = Order(item="apple")
    one = await key_of(apple, "", True)
    return [one, await key_of(apple), await key_of(apple, "zone b")]


async def keys_of_one_instance(instance_id: str) -> list[str]:
    KEYS.clear()
    async with TestHub(registry=Registry(key_of, orders)) as hub:
        return await (await hub.client.start(orders, instance_id=instance_id)).result(10)


async def test_a_key_is_the_same_for_every_attempt_of_one_call_and_another_for_every_other_call() -> None:
    first, second, third = await keys_of_one_instance("a")
    assert KEYS[0] == KEYS[1] == first, "the second attempt"
    assert len({first, second, third}) == 3
    assert set(await keys_of_one_instance("b")).isdisjoint({first, second, third})


def test_a_key_is_bound_to_the_parameters_and_the_logical_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        idempotency_key = "0" * 32

    monkeypatch.setattr("connectors.core.effects.activity_context", Context)
    apple = call_key(Order(item="apple"))
    assert apple == call_key(Order(item="apple", count=1))
    others = [
        call_key(Order(item="pear")),
        call_key(Order(item="apple", count=2)),
        call_key(Order(item="apple"), attempt="b"),
    ]
    assert len({apple, *others}) == 4
    assert call_key({"a": 1, "b": 2}) == call_key({"b": 2, "a": 1}), "the order of names says nothing"


@pytest.mark.parametrize("length", [16, 32, 64])
def test_a_key_has_as_many_hex_digits_as_the_service_takes(length: int) -> None:
    key = call_key(length=length)
    assert len(key) == length
    assert set(key) <= set("0123456789abcdef")


@pytest.mark.parametrize("length", [0, 15, 65])
def test_a_key_too_short_to_be_unique_or_longer_than_there_is_is_refused(length: int) -> None:
    with pytest.raises(InvalidRequest):
        call_key(length=length)


def test_outside_of_an_activity_every_call_is_one_of_its_own() -> None:
    assert call_key(1) != call_key(1)


def test_an_activity_says_how_it_is_effectively_once() -> None:
    @declare(Effect.TOKEN, "ClientToken", permissions=("shop:Buy",))
    @activity(registry=Registry(), name="shop.buy")
    def buy(order: Order) -> Mutation:
        return Mutation()

    found = declaration_of(buy)
    assert found is not None
    assert (found.effect, found.how, found.permissions) == (Effect.TOKEN, "ClientToken", ("shop:Buy",))
    assert declaration_of(buy.options(timeout=3)) == found, "a copy with other options says the same"


def test_two_activities_of_one_name_in_two_registries_keep_their_own_declarations() -> None:
    @declare(Effect.READ)
    @activity(registry=Registry(), name="shop.look")
    def look(order: Order) -> int:
        return 1

    @declare(Effect.NATURAL, "the name")
    @activity(registry=Registry(), name="shop.look")
    def look_again(order: Order) -> int:
        return 2

    one, other = declaration_of(look), declaration_of(look_again)
    assert one is not None and one.effect is Effect.READ
    assert other is not None and other.effect is Effect.NATURAL


def test_one_that_changes_something_must_say_how() -> None:
    with pytest.raises(ValueError, match=r"shop\.sell must say how it is natural"):

        @declare(Effect.NATURAL)
        @activity(registry=Registry(), name="shop.sell")
        def sell(order: Order) -> Mutation:
            return Mutation()


def test_one_that_says_nothing_has_no_declaration() -> None:
    @activity(registry=Registry())
    def silent(order: Order) -> int:
        return 1

    assert declaration_of(silent) is None
