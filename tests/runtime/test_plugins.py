"""Plugins come from entry points of really installed distributions: here, of folders on the path with metadata."""

from pathlib import Path
from typing import Any

import pytest

from dtf_runtime.errors import InvalidArgumentError
from dtf_runtime.plugins import (
    ConnectorInfo,
    MissingExtraError,
    PluginError,
    load_connector,
    load_connectors,
    provider_for,
    require,
)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dtf_plugin_sample.py").write_text(
        "from dtf_runtime.plugins import ConnectorInfo\n"
        "CONNECTOR = ConnectorInfo(name='sample', version='1', activities=())\n"
        "NOT_ONE = 3\n"
        "def connect(url, **options): return (url, options)\n"
    )
    (tmp_path / "dtf_plugin_broken.py").write_text("raise RuntimeError('half installed')\n")
    metadata = tmp_path / "dtf_plugin_sample-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: dtf-plugin-sample\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[dtf.connectors]\n"
        "sample = dtf_plugin_sample:CONNECTOR\n"
        "sample-broken = dtf_plugin_broken:CONNECTOR\n"
        "sample-odd = dtf_plugin_sample:NOT_ONE\n"
        "[dtf.providers]\n"
        "sample = dtf_plugin_sample:connect\n"
        "sample-odd = dtf_plugin_sample:NOT_ONE\n"
        "sample-gone = dtf_plugin_gone:connect\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("installed")
def test_a_broken_connector_does_not_stop_the_others_and_is_named() -> None:
    found = load_connectors()
    assert found.loaded["sample"] == ConnectorInfo(name="sample", version="1", activities=())
    assert "'sample-broken'" in str(found.broken["sample-broken"])
    assert "RuntimeError: half installed" in str(found.broken["sample-broken"])
    assert "must be a ConnectorInfo, but is int" in str(found.broken["sample-odd"])


@pytest.mark.usefixtures("installed")
def test_one_connector_is_loaded_by_name() -> None:
    assert load_connector("sample").name == "sample"
    with pytest.raises(PluginError, match=r"'sample-broken' of group 'dtf.connectors'"):
        load_connector("sample-broken")
    with pytest.raises(InvalidArgumentError, match=r"no connector 'unknown' is installed; installed are: .*sample"):
        load_connector("unknown")


@pytest.mark.usefixtures("installed")
def test_a_provider_is_found_by_its_scheme() -> None:
    assert provider_for("sample")("sample://x", size=3) == ("sample://x", {"size": 3})
    with pytest.raises(InvalidArgumentError, match=r"no provider serves nowhere://; there are: .*sqlite://"):
        provider_for("nowhere")
    with pytest.raises(PluginError, match=r"'sample-odd'"):
        provider_for("sample-odd")
    with pytest.raises(PluginError, match=r"'sample-gone'"):
        provider_for("sample-gone")


@pytest.mark.parametrize("scheme", ["sqlite", "memory"])
def test_the_built_in_providers_need_no_entry_point(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: pytest.fail("looked at entry points"))
    connect: Any = provider_for(scheme)
    assert connect.__module__.startswith(f"dtf_runtime.providers.{scheme}")


def test_a_missing_extra_names_the_line_to_run(installed: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"run: pip install 'dtf-runtime\[aws\]'"):
        require("dtf_plugin_sdk.client", "aws")
    assert require("dtf_plugin_sample", "aws").__name__ == "dtf_plugin_sample"
    (installed / "dtf_plugin_lame.py").write_text("import dtf_plugin_sdk_of_its_own\n")
    with pytest.raises(ModuleNotFoundError, match="dtf_plugin_sdk_of_its_own") as refusal:
        require("dtf_plugin_lame", "aws")
    assert not isinstance(refusal.value, MissingExtraError)
