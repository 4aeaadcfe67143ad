"""What a test may order of the server: time, settings, faults."""

from typing import TYPE_CHECKING, Any

from connectors.aws.testing.faults import When

PREFIX = "/_aws/"
"""Where it is steered, on the same port. No bucket can be called that, since bucket names have no underscore."""


class Clock:
    """The server's. It starts at 0 and moves by a second with every request, so that pollers get on; `run` changes that."""

    def __init__(self, server: "Steering") -> None:
        self._server = server

    def now(self) -> float:
        """Seconds since the start or the last reset."""
        return float(self._server.control("now"))

    def advance(self, seconds: float) -> None:
        """Raises ValueError for a negative number."""
        self._server.control("advance", seconds=seconds)

    def run(self, *, tick: float = 1.0, real: bool = False) -> None:
        """`tick`: seconds that each request takes. `real`: real time passes too."""
        self._server.control("run_clock", tick=tick, real=real)


class Steering:
    """`match` is `ec2:RunInstances`, `RunInstances` or a pattern such as `s3:*`. `times=None` is until cleared; `skip` lets some through first."""

    if TYPE_CHECKING:

        def control(self, verb: str, **arguments: Any) -> Any: ...

    def set(self, **seconds: float) -> None:
        """Changes how long things take; the names are those of `Settings`."""
        self.control("set", **seconds)

    def throttle(
        self, match: str = "*", *, times: int | None = None, rate: float | None = None, burst: float = 1.0
    ) -> None:
        """Refuses the next `times`, or all beyond `rate` a second of the server's clock and `burst` at once; with neither, all."""
        self.control("throttle", match=match, times=times, rate=rate, burst=burst)

    def no_capacity(
        self, *, zone: str | None = None, instance_type: str | None = None, times: int | None = None
    ) -> None:
        """No room for the type (any), in the zone (everywhere), for so many requests (until `capacity_back`)."""
        self.control("no_capacity", zone=zone, instance_type=instance_type, times=times)

    def capacity_back(self) -> None:
        self.control("capacity_back")

    def doom(self, times: int = 1, code: str = "Server.InternalError", message: str = "Server.InternalError") -> None:
        """The next instances end terminated, with this StateReason, instead of running."""
        self.control("doom", times=times, code=code, message=message)

    def expire(self, match: str = "*") -> int:
        """The access keys seen so far that match (`ASIA*`: of assumed roles) are expired from now on. How many these were."""
        return int(self.control("expire", match=match))

    def cut(self, match: str, *, when: When = "after", times: int | None = 1, skip: int = 0) -> None:
        """The connection is cut instead of an answer, before or after the server did what it was asked."""
        self.control("fault", kind="cut", match=match, when=when, times=times, skip=skip)

    def halve(self, match: str, *, times: int | None = 1, skip: int = 0) -> None:
        """Half the answer's body, then a cut."""
        self.control("fault", kind="half", match=match, times=times, skip=skip)

    def fail(
        self,
        match: str,
        *,
        status: int = 500,
        code: str = "InternalError",
        message: str = "An internal error has occurred",
        when: When = "before",
        times: int | None = 1,
        skip: int = 0,
    ) -> None:
        """An error instead of the answer, before or after the server did it."""
        self.control(
            "fault",
            kind="error",
            match=match,
            status=status,
            code=code,
            message=message,
            when=when,
            times=times,
            skip=skip,
        )

    def delay(self, match: str, seconds: float, *, when: When = "after", times: int | None = 1, skip: int = 0) -> None:
        """Seconds of real time."""
        self.control("fault", kind="delay", match=match, seconds=seconds, when=when, times=times, skip=skip)

    def hold(self, match: str, *, when: When = "after", times: int | None = 1, skip: int = 0) -> None:
        """The answer is held back until `release()`, for a minute at most: the time to kill whoever waits for it."""
        self.control("fault", kind="hold", match=match, when=when, times=times, skip=skip)

    def wait_held(self, count: int = 1, timeout: float = 30.0) -> None:
        """Until so many answers are held back. Raises TimeoutError."""
        if not self.control("wait_held", count=count, timeout=timeout):
            raise TimeoutError(f"after {timeout} s the server does not hold {count} answers back")

    def release(self) -> None:
        self.control("release")

    def clear_faults(self) -> None:
        self.control("clear_faults")
