"""CloudWatch: the state of an alarm, the recent values of a metric."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from connectors.aws.models import AwsCall
from connectors.aws.thin.operation import Answer
from connectors.core import NotFound


class AlarmName(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    name: str


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    arn: str
    state: Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
    reason: str
    since: datetime | None
    actions_enabled: bool
    metric: str
    """Namespace and name, empty for a composite alarm."""


class GetMetric(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    namespace: str
    """Such as "AWS/EC2"."""
    metric: str
    dimensions: Mapping[str, str] = msgspec.field(default_factory=dict)
    """All of the metric's: CloudWatch doesn't add up over those that are missing."""
    statistic: str = "Average"
    """Average, Sum, Minimum, Maximum, SampleCount, p99, ..."""
    period: int = 60
    """Seconds a value stands for."""
    window: float = 3600.0
    """Seconds back from now."""


class MetricPoint(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    """The beginning of its period."""
    value: float


class MetricResult(msgspec.Struct, frozen=True, kw_only=True):
    points: list[MetricPoint]
    """Oldest first; periods without data are missing."""


def send_alarm(call: AlarmName, key: str) -> dict[str, Any]:
    return {"AlarmNames": [call.name], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}


def read_alarm(call: AlarmName, key: str, answer: Answer) -> Alarm:
    found = next(iter([*(answer.get("MetricAlarms") or ()), *(answer.get("CompositeAlarms") or ())]), None)
    if found is None:
        raise NotFound(f"there is no alarm {call.name!r}", code="ResourceNotFound")
    metric = f"{found.get('Namespace')} {found['MetricName']}" if found.get("MetricName") else ""
    return Alarm(
        name=call.name,
        arn=found.get("AlarmArn") or "",
        state=found.get("StateValue") or "INSUFFICIENT_DATA",
        reason=found.get("StateReason") or "",
        since=found.get("StateTransitionedTimestamp") or found.get("StateUpdatedTimestamp"),
        actions_enabled=bool(found.get("ActionsEnabled")),
        metric=metric,
    )


def send_metric(call: GetMetric, key: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    metric = {
        "Namespace": call.namespace,
        "MetricName": call.metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in call.dimensions.items()],
    }
    stat = {"Metric": metric, "Period": call.period, "Stat": call.statistic}
    return {
        "MetricDataQueries": [{"Id": "wanted", "MetricStat": stat, "ReturnData": True}],
        "StartTime": now - timedelta(seconds=call.window),
        "EndTime": now,
        "ScanBy": "TimestampAscending",
    }


def read_metric(call: GetMetric, key: str, answer: Answer) -> MetricResult:
    found: Answer = next(iter(answer.get("MetricDataResults") or ()), {})
    pairs = sorted(zip(found.get("Timestamps") or (), found.get("Values") or (), strict=True))
    return MetricResult(points=[MetricPoint(at=at.astimezone(UTC), value=value) for at, value in pairs])
