"""`dtf connectors`: what is installed, what it offers and needs, and a skeleton whose own tests pass."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dtf_runtime.cli import connectors_new
from dtf_runtime.plugins import load_connectors
from tests.cli.conftest import ROOT, Dtf

SHOP = """
from dataclasses import dataclass, field
from dtf_runtime import ConnectorInfo, Registry, activity, orchestration
from dtf_runtime.plugins import MissingExtraError

@dataclass
class Said:
    effect: str = "token"
    how: str = "ClientToken"
    permissions: tuple = ("shop:Buy", "shop:Look")

@dataclass(frozen=True, kw_only=True)
class ShopConnection:
    name: str = "default"
    token: "Secret | None" = field(default=None, metadata={"help": "its key"})
    retries: int = field(default=3, metadata={"help": "attempts"})

@activity(name="shop.buy", registry=Registry())
def buy(item: str) -> int:
    '''Buys it,
    once.

    More about that.'''

vars(buy)["declaration"] = Said()

@activity(name="shop.look", registry=Registry())
def look(item: list[str]) -> "Nowhere":
    '''Looks.'''

@orchestration(name="shop.wait", registry=Registry())
async def wait(ctx, item: int) -> None:
    '''Waits.'''

CONNECTOR = ConnectorInfo(
    name="shop", version="2", activities=(buy, look), orchestrations=(wait,), connection=ShopConnection,
    environment={"SHOP_TOKEN": "its key"},
)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution with three connectors: one that works and needs an extra, one that needs it at import, one that is broken."""
    (tmp_path / "dtf_test_shop.py").write_text(SHOP)
    (tmp_path / "dtf_test_early.py").write_text(
        "from dtf_runtime.plugins import require\nrequire('dtf_test_sdk', 'early')\n"
    )
    (tmp_path / "dtf_test_broken.py").write_text("raise RuntimeError('half installed')\n")
    metadata = tmp_path / "dtf_test_shop-3.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: dtf-test-shop\nVersion: 3.1\nProvides-Extra: shop\n"
        "Requires-Dist: msgspec>=0.1\nRequires-Dist: dtf-test-sdk[fast]>=1; extra == 'shop'\n"
    )
    (metadata / "entry_points.txt").write_text(
        "[dtf.connectors]\nshop = dtf_test_shop:CONNECTOR\n"
        "shopearly = dtf_test_early:CONNECTOR\nshopbroken = dtf_test_broken:CONNECTOR\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def row(rows: Any, name: str) -> Any:
    return next(each for each in rows if each["name"] == name)


# == list =========================================================================================================


@pytest.mark.usefixtures("installed")
def test_the_list_says_what_is_there_what_it_needs_and_what_is_broken(dtf: Dtf) -> None:
    rows = dtf.json("connectors", "list")
    shop = row(rows, "shop")
    assert (shop["version"], shop["activities"], shop["orchestrations"]) == ("2", 2, 1)
    assert (shop["distribution"], shop["install"]) == ("dtf-test-shop 3.1", "pip install 'dtf-test-shop[shop]'")
    assert "RuntimeError: half installed" in row(rows, "shopbroken")["error"]
    assert "pip install 'dtf-runtime[early]'" in row(rows, "shopearly")["error"]
    printed = dtf("connectors", "list").stdout
    assert "pip install 'dtf-test-shop[shop]'" in printed and "half installed" in printed


def test_the_built_in_ones_are_listed_and_complete_here(dtf: Dtf) -> None:
    rows = dtf.json("connectors", "list")
    assert {"http", "aws"} <= {each["name"] for each in rows}
    for name in ("http", "aws"):
        assert row(rows, name)["error"] == "" and row(rows, name)["install"] == ""


@pytest.mark.usefixtures("installed")
def test_one_that_needs_its_extra_at_import_does_not_stop_the_others() -> None:
    found = load_connectors()
    assert "shop" in found.loaded and "pip install" in str(found.broken["shopearly"])


# == describe =====================================================================================================


@pytest.mark.usefixtures("installed")
def test_a_description_says_how_each_activity_is_once_and_what_the_connection_needs(dtf: Dtf) -> None:
    found = dtf.json("connectors", "describe", "shop")
    buy, look = found["activities"]
    assert buy == {
        "name": "shop.buy",
        "version": "",
        "summary": "Buys it, once.",
        "input": "str",
        "output": "int",
        "effect": "token",
        "how": "ClientToken",
        "permissions": ["shop:Buy", "shop:Look"],
    }
    assert (look["input"], look["output"], look["effect"]) == ("?", "?", ""), "whatever a third party writes"
    (wait,) = found["orchestrations"]
    assert (wait["name"], wait["input"], wait["output"]) == ("shop.wait", "int", "NoneType")
    fields = {each["name"]: each for each in found["connection"]["fields"]}
    assert fields["retries"] == {"name": "retries", "type": "int", "default": 3, "help": "attempts"}
    assert fields["token"]["default"] is None
    assert found["environment"] == {"SHOP_TOKEN": "its key"}


@pytest.mark.usefixtures("installed")
def test_people_see_the_same_and_the_line_that_installs_what_is_missing(dtf: Dtf) -> None:
    result = dtf("connectors", "describe", "shop")
    for words in ("shop 2", "shop.buy", "token: ClientToken", "it doesn't say", "shop.wait", "SHOP_TOKEN", "attempts"):
        assert words in result.stdout, words
    assert "it still needs: pip install 'dtf-test-shop[shop]'" in result.stderr


@pytest.mark.usefixtures("installed")
def test_what_can_not_be_described_says_why(dtf: Dtf) -> None:
    assert "installed are: " in dtf("connectors", "describe", "nothing", expect=3).stderr
    assert "pip install 'dtf-runtime[early]'" in dtf("connectors", "describe", "shopearly", expect=5).stderr
    assert "half installed" in dtf("connectors", "describe", "shopbroken", expect=5).stderr


@pytest.mark.usefixtures("installed")
def test_the_policy_has_a_statement_for_each_activity(dtf: Dtf) -> None:
    printed = json.loads(dtf("connectors", "describe", "shop", "--iam").stdout)
    assert printed == {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "ShopBuy", "Effect": "Allow", "Action": ["shop:Buy", "shop:Look"], "Resource": "*"},
        ],
    }
    assert "declare no permissions" in dtf("connectors", "describe", "http", "--iam", expect=2).stderr


def test_of_aws_it_can_be_narrowed_to_what_a_program_calls(dtf: Dtf) -> None:
    whole = json.loads(dtf("connectors", "describe", "aws", "--iam").stdout)["Statement"]
    assert len(whole) > 50
    assert all(statement["Action"] and statement["Sid"].isalnum() for statement in whole)
    assert len({statement["Sid"] for statement in whole}) == len(whole), "a Sid is unique in a policy"
    name = "aws.ec2.import_key_pair"
    (one,) = json.loads(dtf("connectors", "describe", "aws", "--iam", "--activity", name).stdout)["Statement"]
    assert one["Sid"] == "AwsEc2ImportKeyPair" and "ec2:ImportKeyPair" in one["Action"]
    assert (
        "no activity 'aws.nope'"
        in dtf("connectors", "describe", "aws", "--iam", "--activity", "aws.nope", expect=2).stderr
    )


def test_every_built_in_one_can_be_described(dtf: Dtf) -> None:
    for name in load_connectors().loaded:
        found = dtf.json("connectors", "describe", name)
        assert all(each["effect"] and each["summary"] for each in found["activities"]), name
        assert dtf("connectors", "describe", name).stdout.startswith(f"{name} ")


# == new ==========================================================================================================


@pytest.mark.timeout(300)
def test_the_skeleton_passes_its_own_tests_and_the_conformance_check(dtf: Dtf, tmp_path: Path) -> None:
    written = Path(dtf.json("connectors", "new", "acme", "--into", tmp_path / "new")["folder"])
    assert written == tmp_path / "new" / "dtf-connector-acme"
    texts = {path: path.read_text() for path in written.rglob("*") if path.is_file()}
    assert not [path for path, text in texts.items() if "@name@" in f"{path}{text}".lower()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:xdist"]
    ran = subprocess.run(command, cwd=written, env=environment, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "9 passed" in ran.stdout


def test_the_skeleton_is_clean_and_typed(tmp_path: Path) -> None:
    written = connectors_new.write("acme", tmp_path)
    ruff = [sys.executable, "-m", "ruff"]
    settings = ["--isolated", "--line-length", "120"]
    known = ["--config", 'lint.isort.known-third-party=["connectors","dtf_runtime"]']
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "--follow-imports=silent"]
    for command in (
        [*ruff, "check", *settings, *known, "--select", "E,F,I,B,UP,SIM,RUF", "--ignore", "E501", "."],
        [*ruff, "format", *settings, "--check", "."],
        [*mypy, "dtf_connector_acme", "tests"],
    ):
        ran = subprocess.run(
            command, cwd=written, env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True, text=True, timeout=100
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", ["Acme", "a", "9lives", "my-shop", "my_shop", "", "../up", "class", "ünder"])
def test_a_name_that_can_begin_no_activity_is_refused(dtf: Dtf, tmp_path: Path, name: str) -> None:
    result = dtf("connectors", "new", "--into", tmp_path / "new", "--", name, expect=2)
    assert "lower-case letters and digits" in result.stderr
    assert not (tmp_path / "new").exists()


def test_nothing_is_written_over_and_no_name_is_taken_twice(dtf: Dtf, tmp_path: Path) -> None:
    (tmp_path / "dtf-connector-acme").mkdir()
    assert (
        "exists: --into names another folder" in dtf("connectors", "new", "acme", "--into", tmp_path, expect=4).stderr
    )
    assert not list((tmp_path / "dtf-connector-acme").iterdir())
    assert "is installed already" in dtf("connectors", "new", "http", "--into", tmp_path, expect=4).stderr
    (tmp_path / "file").touch()
    assert "can't write" in dtf("connectors", "new", "acme", "--into", tmp_path / "file" / "x", expect=2).stderr
