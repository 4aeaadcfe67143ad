"""For tests of programs that use this library: a hub on virtual time, replay of recorded histories, the checks every provider must pass.

Never needs pytest, and must not be imported by what runs in production.
"""

from dtf_runtime.testing.conformance import ProviderConformance
from dtf_runtime.testing.hub import TestHub
from dtf_runtime.testing.replayer import replay

__all__ = ["ProviderConformance", "TestHub", "replay"]
