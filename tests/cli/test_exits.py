"""Each error of the hierarchy has its exit code."""

import pytest

import dtf_runtime
from dtf_runtime import DurableTaskError, InstanceNotFoundError, OrchestrationAlreadyExistsError, ProviderError
from dtf_runtime.cli.exits import Exit, exit_for

PUBLIC_ERRORS = [
    value for value in vars(dtf_runtime).values() if isinstance(value, type) and issubclass(value, DurableTaskError)
]


@pytest.mark.parametrize("kind", PUBLIC_ERRORS, ids=lambda kind: kind.__name__)
def test_no_error_of_ours_counts_as_a_defect_of_the_command(kind: type[DurableTaskError]) -> None:
    assert exit_for(kind.__new__(kind)) not in (Exit.OK, Exit.BUG)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InstanceNotFoundError("x"), 3),
        (OrchestrationAlreadyExistsError("x"), 4),
        (ProviderError("x"), 5),
        (TimeoutError(), 124),
        (ZeroDivisionError(), 70),
    ],
    ids=lambda value: value if isinstance(value, int) else type(value).__name__,
)
def test_the_codes_are_those_that_scripts_rely_on(error: Exception, code: int) -> None:
    assert exit_for(error) == code
