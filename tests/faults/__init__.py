"""`python -m tests.faults --rounds N`: kill -9 of a worker under load, at every step of a turn and at random, and proof that nothing is lost."""
