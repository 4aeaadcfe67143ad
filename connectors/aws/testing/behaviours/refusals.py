"""Requests refused whatever they ask for: too many of them, credentials that have expired, no room in a zone."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from connectors.aws.testing.answers import Answer, error
from connectors.aws.testing.behaviours import Behaviour
from connectors.aws.testing.faults import matches
from connectors.aws.testing.launch import zone_asked
from connectors.aws.testing.wire import Request

_THROTTLED = {  # code and status; by service, then by protocol
    "ec2": ("RequestLimitExceeded", 503),
    "s3": ("SlowDown", 503),
    "lambda": ("TooManyRequestsException", 429),
    "sqs": ("RequestThrottled", 403),
    "query": ("Throttling", 400),
    "rest-xml": ("Throttling", 400),
}
_EXPIRED = {
    "ec2": ("RequestExpired", 400),
    "s3": ("ExpiredToken", 400),
    "query": ("ExpiredToken", 403),
    "rest-xml": ("ExpiredToken", 403),
}


@dataclass
class _Limit:
    match: str
    times: int | None
    rate: float | None
    tokens: float
    burst: float
    since: float

    def refuses(self, now: float) -> bool:
        if self.rate is None:
            if self.times is not None:
                self.times -= 1
            return self.times is None or self.times >= 0
        self.tokens = min(self.burst, self.tokens + (now - self.since) * self.rate)
        self.since = now
        if self.tokens < 1:
            return True
        self.tokens -= 1
        return False


class Throttling(Behaviour):
    """Rates count by the server's clock."""

    VERBS = ("throttle",)

    def reset(self) -> None:
        self._limits: list[_Limit] = []

    def throttle(
        self, match: str = "*", times: int | None = None, rate: float | None = None, burst: float = 1.0
    ) -> None:
        self._limits.append(_Limit(match, times, rate, burst, burst, self.world.now()))

    def before(self, request: Request) -> Answer | None:
        for limit in self._limits:
            if matches(limit.match, request) and limit.refuses(self.world.now()):
                default = ("ThrottlingException", 400)
                code, status = _THROTTLED.get(request.service) or _THROTTLED.get(request.protocol, default)
                return error(request, code, "Request limit exceeded.", status=status)
        return None


class Credentials(Behaviour):
    """`expire` marks keys that it has seen; new ones, of another AssumeRole say, are good."""

    VERBS = ("expire",)

    def reset(self) -> None:
        self._seen: set[str] = set()
        self._expired: set[str] = set()

    def expire(self, match: str = "*") -> int:
        """How many."""
        found = {key for key in self._seen if fnmatchcase(key, match)}
        self._expired |= found
        return len(found)

    def before(self, request: Request) -> Answer | None:
        self._seen.add(request.access_key)
        if request.access_key not in self._expired:
            return None
        default = ("ExpiredTokenException", 400)
        code, status = _EXPIRED.get(request.service) or _EXPIRED.get(request.protocol, default)
        return error(request, code, "The security token included in the request is expired", status=status)


@dataclass
class _Full:
    zone: str | None
    instance_type: str | None
    times: int | None


class Capacity(Behaviour):
    """No room for a type, in a zone or everywhere."""

    VERBS = ("no_capacity", "capacity_back")

    def reset(self) -> None:
        self._full: list[_Full] = []

    def no_capacity(self, zone: str | None = None, instance_type: str | None = None, times: int | None = None) -> None:
        self._full.append(_Full(zone, instance_type, times))

    def capacity_back(self) -> None:
        self._full.clear()

    def before(self, request: Request) -> Answer | None:
        for zone, instance_type in self._wanted(request):
            for full in self._full:
                if full.zone not in (None, zone) or full.instance_type not in (None, instance_type) or full.times == 0:
                    continue
                if full.times is not None:
                    full.times -= 1
                where = f"in the Availability Zone you requested ({zone})" if zone else "in this region"
                text = f"We currently do not have sufficient {instance_type} capacity {where}."
                return error(request, "InsufficientInstanceCapacity", text, status=500)
        return None

    def _wanted(self, request: Request) -> list[tuple[str, str]]:
        if request.name == "ec2:RunInstances":
            return [(zone_asked(request, self.world), request.text("InstanceType") or "m1.small")]
        if request.name == "ec2:StartInstances":
            found = [self.world.instance(request.region, one) for one in request.texts("InstanceId")]
            return [(one.placement.zone, one.instance_type) for one in found if one is not None]
        return []
