"""The errors of this connector beyond those of `connectors.core`."""

from connectors.core import Permanent


class UnexpectedAnswer(Permanent):
    """The answer has a good status, but is not what the call's `check` wants. The request itself did happen."""

    may_have_happened = True


UnexpectedAnswer.__module__ = "connectors.http"
