"""The table of behaviours in the README is what the tests show, row for row."""

import re
from pathlib import Path

import msgspec

import connectors.aws.testing
from connectors.aws.testing.settings import Settings
from tests.connectors.aws import test_proxy_ec2, test_proxy_refusals, test_proxy_ssm, test_testing_storage
from tests.connectors.aws.raw import ROWS

README = (Path(connectors.aws.testing.__file__).parent / "README.md").read_text()
STORAGE = {  # these say themselves what moto alone does
    "a new bucket has its tags": "test_a_bucket_has_the_tags_that_it_was_made_with",
    "BadDigest": "test_a_body_that_was_damaged_on_its_way_is_refused",
    "a copy keeps its condition": "test_a_copy_keeps_its_condition",
    "parts by their numbers": "test_parts_are_listed_by_their_numbers",
}


def test_each_row_of_the_table_has_a_test_that_moto_alone_fails() -> None:
    table = README.partition("## What it does that moto does not")[2].partition("## Time")[0]
    rows = re.findall(r"^\| (.+?) \|", table, re.MULTILINE)[1:]
    assert sorted(rows) == sorted({**ROWS, **STORAGE})
    assert all(hasattr(test_testing_storage, name) for name in STORAGE.values())
    for module in (test_proxy_ec2, test_proxy_refusals, test_proxy_ssm):
        assert any(name in ROWS.values() for name in vars(module))


def test_the_readme_names_every_setting_and_its_value() -> None:
    for name, value in msgspec.structs.asdict(Settings()).items():
        assert re.search(rf"`{name}`\s+{value:g}\b", README), name


def test_the_program_in_the_readme_runs() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(program, "README.md", "exec"), {})
