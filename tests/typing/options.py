"""`.options(...)` gives a copy with the same signature."""

from datetime import timedelta
from typing import assert_type

from dtf_runtime import Call, ChildCall, RetryPolicy

from .shop import Order, Receipt, charge, checkout, nightly, price, refund

policy = RetryPolicy(
    max_attempts=4,
    first_interval=timedelta(seconds=1),
    backoff_coefficient=1.5,
    max_interval=60,
    timeout=timedelta(hours=1),
    jitter=0.1,
    retry_if=lambda failure: not failure.is_caused_by(KeyError),
    non_retriable=(ValueError, "shop.errors.Declined"),
)

assert_type(charge.options(retry=policy)(Order("1", 2)), Call[Receipt])
assert_type(charge.options(retry=None, timeout=None, heartbeat_timeout=None)(Order("1", 2)), Call[Receipt])
assert_type(price.options(timeout=timedelta(seconds=3), heartbeat_timeout=1, tags={"a": "b"})("sku"), Call[int])
assert_type(price.options(timeout=3).options(tags={})("sku", discount=1.0), Call[int])
assert_type(refund.options()("r"), Call[None])

assert_type(checkout.options(instance_id="order-7", version="2")(Order("1", 2)), ChildCall[Receipt])
assert_type(checkout.options(instance_id=None, version=None, retry=policy, tags={})(Order("1", 2)), ChildCall[Receipt])
assert_type(nightly.options(retry=None)(), ChildCall[int])
