"""`dtf emulator`, and what importing costs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.management import ServiceBusAdministrationClient

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
PATIENCE = 30  # seconds


@contextmanager
def command(*words: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "dtf_runtime.cli", "emulator", "--port", "0", *words],
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_other_processes_until_it_is_told_to_stop(sent: signal.Signals) -> None:
    with command("--json", "--key", "c2VjcmV0", "--queue", "orders", "--session-queue", "turns") as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())
        assert "SharedAccessKey=c2VjcmV0;" in address["connection_string"]
        with ServiceBusAdministrationClient.from_connection_string(
            address["connection_string"], connection_verify=address["certificate_file"]
        ) as administration:
            queues = {queue.name: queue.requires_session for queue in administration.list_queues()}
        assert queues == {"orders": False, "turns": True}
        with (
            ServiceBusClient.from_connection_string(address["connection_string"]) as client,
            client.get_queue_sender("orders", keep_alive=0) as sender,
        ):
            sender.send_messages(ServiceBusMessage("one"))
        process.send_signal(sent)
        _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")
    assert not Path(address["certificate_file"]).exists()


def test_it_tells_people_the_connection_string_alone_on_stdout() -> None:
    with command() as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Endpoint=sb://127.0.0.1:") and line.endswith(";UseDevelopmentEmulator=true;\n")
        process.send_signal(signal.SIGTERM)
        rest, notes = process.communicate(timeout=PATIENCE)
    assert (process.returncode, rest) == (0, "")
    assert "connection_verify=" in notes


def test_a_queue_that_can_not_be_is_one_line_and_a_usage_error() -> None:
    with command("--queue", "or ders") as process:
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "'or ders'" in errors and "Traceback" not in errors


def output_of(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE, check=True
    ).stdout


def test_the_testing_tools_load_without_the_emulator_and_the_emulator_without_its_packages() -> None:
    loaded = output_of("import dtf_runtime.testing, sys; print(*sys.modules)").split()
    assert not [name for name in loaded if name.startswith(("dtf_runtime.testing.servicebus", "cryptography", "azure"))]
    loaded = output_of("from dtf_runtime.testing import ServiceBusEmulator; import sys; print(*sys.modules)").split()
    assert not [name for name in loaded if name.startswith(("cryptography", "azure"))]


def test_without_cryptography_it_says_what_to_install() -> None:
    code = """
import sys
sys.modules["cryptography"] = None
from dtf_runtime.testing import ServiceBusEmulatorThread
try:
    ServiceBusEmulatorThread().__enter__()
except ImportError as error:
    print(error)
"""
    assert "pip install 'dtf-runtime[azure]'" in output_of(code)
