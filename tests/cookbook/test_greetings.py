"""The hello world of the README."""

from tests.cookbook.conftest import Kitchen


def test_it_greets_everyone_and_keeps_its_progress_in_the_folder(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("greetings")
    assert (code, printed) == (0, "Hello, Tokyo! Hello, Seattle! Hello, London!\n")
    assert (kitchen.folder / "dtf.db").exists()
    assert not kitchen.refused
