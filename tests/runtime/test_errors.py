"""What FailureDetails remembers of an exception, and that describing one never fails."""

import asyncio
import copy
import pickle
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from dtf_runtime import errors
from dtf_runtime.errors import (
    DurableTaskError,
    FailureDetails,
    InvalidArgumentError,
    NonRetriableError,
    OrchestrationFailedError,
    RetryAfter,
    SubOrchestrationFailedError,
    TaskFailedError,
    seconds,
)


class Declined(ConnectionError):
    def __init__(self, code: int) -> None:
        super().__init__(f"declined with {code}")
        self.code = code

    def failure_properties(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "handle": object(),
            "ratio": float("nan"),
            "name": "\ud800",
            "at": timedelta(seconds=1),
        }


def caught(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as raised:
        return raised


def depth(failure: FailureDetails | None) -> int:
    levels = 0
    while failure is not None:
        failure, levels = failure.inner_failure, levels + 1
    return levels


def stored(failure: FailureDetails) -> FailureDetails:
    return msgspec.json.decode(msgspec.json.encode(failure), type=FailureDetails)


def test_every_public_error_is_stored_under_the_package_and_not_its_module() -> None:
    public = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert {error.__module__ for error in public} == {"dtf_runtime"}
    assert FailureDetails.of(DurableTaskError("x")).type == "dtf_runtime.DurableTaskError"
    assert len(public) > 20


def test_a_failure_has_the_type_message_and_stack_of_the_exception() -> None:
    failure = FailureDetails.of(caught(ValueError("no such sku")))
    assert failure.type == "builtins.ValueError"
    assert failure.message == "no such sku"
    assert "in caught" in failure.stack_trace
    assert failure.stack_trace.endswith("ValueError: no such sku\n")
    assert failure.bases == ("builtins.Exception", "builtins.BaseException")
    assert stored(failure) == failure


def test_the_cause_is_the_inner_failure_and_comes_before_the_context() -> None:
    try:
        try:
            raise KeyError("context")
        except KeyError:
            raise ValueError("outer") from OSError("cause")
    except ValueError as error:
        assert FailureDetails.of(error).inner_failure == FailureDetails.of(OSError("cause"))


def test_the_context_is_the_inner_failure_unless_it_was_suppressed() -> None:
    def fail(*, suppressed: bool) -> FailureDetails:
        try:
            try:
                raise KeyError("context")
            except KeyError:
                if suppressed:
                    raise ValueError("outer") from None
                raise ValueError("outer")  # noqa: B904
        except ValueError as error:
            return FailureDetails.of(error)

    inner = fail(suppressed=False).inner_failure
    assert inner is not None
    assert inner.type == "builtins.KeyError"
    assert fail(suppressed=True).inner_failure is None


def test_members_of_an_exception_group_are_kept_nested_ones_too() -> None:
    group = ExceptionGroup("two", [ValueError("a"), ExceptionGroup("one", [OSError("b")])])
    failure = stored(FailureDetails.of(group))
    assert [member.type for member in failure.group] == ["builtins.ValueError", "builtins.ExceptionGroup"]
    assert failure.is_caused_by(OSError)


def test_a_chain_that_leads_back_to_itself_ends() -> None:
    first, second = ValueError("first"), OSError("second")
    first.__cause__, second.__cause__ = second, first
    assert depth(FailureDetails.of(first)) == 2


def test_a_long_chain_is_cut_and_a_wide_group_is_bounded() -> None:
    error: Exception = ValueError("0")
    for number in range(1, 500):
        outer = ValueError(str(number))
        outer.__cause__ = error
        error = outer
    assert depth(FailureDetails.of(error)) == errors.MAX_DEPTH + 1
    wide = ExceptionGroup("wide", [ExceptionGroup("w", [ValueError("x")] * 100) for _ in range(100)])
    assert len(msgspec.json.encode(FailureDetails.of(wide))) < 200_000


def test_texts_are_bounded_and_keep_both_ends() -> None:
    failure = FailureDetails.of(ValueError("<" + "x" * 1_000_000 + ">"))
    assert len(failure.message) <= errors.MAX_MESSAGE
    assert failure.message.startswith("<x")
    assert failure.message.endswith("x>")
    assert len(failure.stack_trace) <= errors.MAX_STACK_TRACE


def test_the_stack_of_an_endless_recursion_is_bounded() -> None:
    def forever(n: int) -> int:
        return forever(n + 1) + 1

    with pytest.raises(RecursionError) as caught_error:
        forever(0)
    failure = FailureDetails.of(caught_error.value)
    assert "forever" in failure.stack_trace
    assert len(failure.stack_trace) <= errors.MAX_STACK_TRACE


def test_lone_surrogates_in_a_message_can_be_stored() -> None:
    failure = FailureDetails.of(FileNotFoundError("report-\udcff.txt"))
    assert failure.message == "report-\\udcff.txt"
    assert stored(failure) == failure


class BrokenText(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text today")


class BrokenProperties(Exception):
    def failure_properties(self) -> dict[str, Any]:
        raise asyncio.CancelledError


class OddProperties(Exception):
    def failure_properties(self) -> Any:
        return ["not", "a", "mapping"]


class BrokenGetattr(Exception):
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.parametrize("kind", [BrokenText, BrokenProperties, OddProperties, BrokenGetattr])
def test_a_broken_exception_is_still_described(kind: type[Exception]) -> None:
    failure = FailureDetails.of(caught(kind("x")))
    assert failure.type.endswith(kind.__name__)
    assert failure.properties == {}
    assert stored(failure) == failure


def test_error_classes_that_skip_their_constructor_are_still_described() -> None:
    class Task(TaskFailedError):
        def __init__(self) -> None:
            pass

    class Again(RetryAfter):
        def __init__(self) -> None:
            pass

    assert FailureDetails.of(Task()).inner_failure is None
    assert FailureDetails.of(Again()).retry_after is None


def test_properties_are_json_values_and_others_are_left_out_with_a_note() -> None:
    failure = FailureDetails.of(Declined(51))
    assert failure.properties == {"code": 51, "at": "PT1S"}
    for left_out in ("handle", "ratio", "name"):
        assert f"property '{left_out}' left out" in failure.stack_trace


def test_properties_that_are_too_large_are_left_out() -> None:
    class Huge(Exception):
        def failure_properties(self) -> dict[str, Any]:
            return {"small": 1, "huge": "x" * 1_000_000}

    assert FailureDetails.of(Huge()).properties == {"small": 1}


def test_is_caused_by_sees_base_classes_causes_and_names() -> None:
    failure = stored(FailureDetails.of(caught(RuntimeError("outer"), Declined(1))))
    assert failure.is_caused_by(Declined)
    assert failure.is_caused_by(OSError)
    assert failure.is_caused_by(BaseException)
    assert failure.is_caused_by("Declined")
    assert failure.is_caused_by(f"{__name__}.Declined")
    assert failure.is_caused_by("OSError")
    assert not failure.is_caused_by(KeyError)
    assert not failure.is_caused_by("other.Declined")
    assert not failure.is_caused_by("Decline")


@pytest.mark.parametrize("wrong", [None, 3, ValueError("an instance")])
def test_is_caused_by_refuses_what_is_neither_class_nor_name(wrong: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="exception class or its name"):
        FailureDetails.of(ValueError()).is_caused_by(wrong)


@pytest.mark.parametrize("kind", [TaskFailedError, SubOrchestrationFailedError, OrchestrationFailedError])
def test_a_failure_carried_by_an_error_becomes_its_inner_failure(
    kind: type[TaskFailedError | SubOrchestrationFailedError | OrchestrationFailedError],
) -> None:
    inner = FailureDetails.of(Declined(7))
    error = caught(kind(inner, "activity 'charge'", number=4), KeyError("not this one"))
    assert str(error) == f"activity 'charge' failed: {__name__}.Declined: declined with 7"
    failure = FailureDetails.of(error)
    assert failure.type == f"dtf_runtime.{kind.__name__}"
    assert failure.inner_failure == inner
    assert failure.number == 4
    assert failure.call_number == 4


def test_the_number_of_a_call_is_found_below_other_errors_and_in_groups() -> None:
    number = FailureDetails(type="builtins.ValueError", number=9)
    wrapped = caught(RuntimeError("mine"), TaskFailedError(number))
    assert FailureDetails.of(wrapped).number is None
    assert FailureDetails.of(wrapped).call_number == 9
    assert FailureDetails.of(ExceptionGroup("g", [KeyError(), TaskFailedError(number)])).call_number == 9
    assert FailureDetails.of(KeyError()).call_number is None


def test_what_can_not_be_retried_stays_so_on_its_way_up() -> None:
    class Refused(NonRetriableError):
        pass

    failure = FailureDetails.of(Refused("no"))
    assert failure.non_retriable
    assert FailureDetails.of(SubOrchestrationFailedError(failure)).non_retriable
    assert not FailureDetails.of(TaskFailedError(FailureDetails.of(ValueError()))).non_retriable


def test_retry_after_is_in_seconds_and_checked() -> None:
    assert FailureDetails.of(RetryAfter(timedelta(minutes=2), "busy")).retry_after == 120.0
    assert str(RetryAfter(5, "busy")) == "busy"
    assert str(RetryAfter(5)) == "try again in 5 s"
    with pytest.raises(InvalidArgumentError):
        RetryAfter(-1)


def test_errors_that_carry_a_failure_can_be_copied_and_pickled_whole() -> None:
    error = TaskFailedError(FailureDetails(type="builtins.ValueError", message="x"), "activity 'a'", number=3)
    again = copy.copy(error)
    assert (str(again), again.failure, again.number) == (str(error), error.failure, 3)
    reduced = pickle.loads(pickle.dumps(error.__reduce__()[1]))
    assert reduced == (error.failure, "activity 'a'")


@pytest.mark.parametrize(("given", "expected"), [(3, 3.0), (0.5, 0.5), (0, 0.0), (timedelta(milliseconds=1), 0.001)])
def test_durations_are_timedeltas_or_seconds(given: Any, expected: float) -> None:
    assert seconds(given, "delay") == expected


@pytest.mark.parametrize(
    "wrong", [-1, timedelta(seconds=-1), float("nan"), float("inf"), True, "3", None, 10**400, 1j, b"1"]
)
def test_other_durations_are_refused_by_name(wrong: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="the delay must"):
        seconds(wrong, "the delay")
