"""Random programs give the same history and result, however their messages come and whenever they leave memory."""

import logging
import os

import pytest

from tests.replay.programs import run_programs


@pytest.mark.rule(3, 5, 7, 8, 9, 10, 11, 13, 14, 16, 21)
@pytest.mark.timeout(600)
# A `finally` that is closed (rule 21) may make coroutines for a gather that is then refused; they never begin.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_batches_and_evictions_change_neither_history_nor_result() -> None:
    logging.getLogger("dtf_runtime").setLevel(logging.CRITICAL)
    try:
        run_programs(int(os.environ.get("DTF_EXAMPLES", "200")))
    finally:
        logging.getLogger("dtf_runtime").setLevel(logging.NOTSET)
