"""New ids: 128 random bits, from a generator that the system seeds. As unique as uuid4, without a call to the system each time."""

import os
import random

_random = random.Random(os.urandom(32))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(32)))


def unique_id() -> str:
    """32 hexadecimal digits. Not a secret."""
    return f"{_random.getrandbits(128):032x}"
