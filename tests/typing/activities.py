"""Inside an activity: its context, and what it may raise."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, assert_type

from dtf_runtime import ActivityContext, NonRetriableError, RetryAfter, activity, activity_context


@activity
def resumes_from_its_last_heartbeat(path: str) -> int:
    context = activity_context()
    assert_type(context, ActivityContext)
    assert_type(context.instance_id, str)
    assert_type(context.execution_id, str)
    assert_type(context.name, str)
    assert_type(context.version, str)
    assert_type(context.task_id, int)
    assert_type(context.attempt, int)
    assert_type(context.idempotency_key, str)
    assert_type(context.deadline, datetime | None)
    assert_type(context.tags, Mapping[str, str])
    assert_type(context.logger, logging.LoggerAdapter[logging.Logger])
    assert_type(context.cancelled, asyncio.Event)
    assert_type(context.last_heartbeat, Any)
    context.heartbeat()
    context.heartbeat({"line": 7})
    context.raise_if_cancelled()
    return len(path)


@activity
async def says_how_it_failed(status: int) -> None:
    if status == 429:
        raise RetryAfter(timedelta(seconds=30), "slow down")
    if status == 503:
        raise RetryAfter(1.5)
    if status == 400:
        raise NonRetriableError("bad request")


assert_type(RetryAfter(1).delay, float)
