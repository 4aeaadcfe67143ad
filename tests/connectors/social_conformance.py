"""What the conformance tests of X, Teams and Facebook share: the parts that are the same for each."""

from pathlib import Path

from connectors.core.connections import Connection
from connectors.core.errors import ConnectorError
from connectors.core.testing import check_imports, error_table
from connectors.core.testing.error_tables import table_findings
from connectors.core.testing.imports import SDKS
from dtf_runtime import ConnectorInfo
from dtf_runtime.plugins import load_connector


def check_page(info: ConnectorInfo, package: str, kinds: dict[str, type[ConnectorError]] | None = None) -> None:
    """The README names every activity and orchestration, and its tables say nothing that can't be."""
    page = Path(package).parent / "README.md"
    assert table_findings(error_table(page), kinds) == []
    names = [each.name for each in info.activities] + [each.name for each in info.orchestrations]
    assert [name for name in names if f"| `{name}` |" not in page.read_text(encoding="utf-8")] == []


def check_loading(info: ConnectorInfo) -> None:
    """It is found by name, and importing it loads no SDK."""
    assert load_connector(info.name) is info
    for module in (f"connectors.{info.name}", f"connectors.{info.name}.webhooks", f"connectors.{info.name}.testing"):
        assert check_imports(module, (*SDKS, "requests", "oauthlib")) == []


def fields_of(connection: Connection, names: tuple[str, ...]) -> dict[str, str]:
    """The credentials in clear, for a fake that shall know them."""
    return {name: getattr(connection, name).reveal() for name in names}
