"""Claims: what one call has, no other call gets, in one process and in several."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connectors.core.claims import Claims, claims_of


@pytest.fixture(params=["memory", "file"])
def claims(request: pytest.FixtureRequest, tmp_path: Path) -> Claims:
    return Claims(None if request.param == "memory" else tmp_path / "deep" / "claims.db")


def test_who_comes_first_has_it_and_may_ask_again(claims: Claims) -> None:
    assert claims.claim("x/post/1", "mine")
    assert claims.claim("x/post/1", "mine")
    assert not claims.claim("x/post/1", "another's")
    assert claims.claim("x/post/2", "another's")


def test_of_many_that_ask_at_once_one_gets_it(claims: Claims) -> None:
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda number: claims.claim("x/post/1", f"key {number}"), range(40)))
    assert got.count(True) == 1


def test_another_process_knows_what_was_claimed(tmp_path: Path) -> None:
    path = tmp_path / "claims.db"
    code = f"from connectors.core.claims import Claims; print(Claims(__import__('pathlib').Path({str(path)!r})).claim('x', 'theirs'))"
    assert Claims(path).claim("x", "mine")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.stdout.strip() == "False", ended.stderr
    assert Claims(path).claim("x", "mine")


def test_there_is_one_of_a_file(tmp_path: Path) -> None:
    assert claims_of(tmp_path / "claims.db") is claims_of(tmp_path / "claims.db")
    assert claims_of(None) is claims_of(None)
