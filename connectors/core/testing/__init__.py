"""Checks that every connector passes, ours and yours. Plain functions: they need no pytest, and say everything that is wrong at once.

    async def test_it_conforms() -> None:
        await check_connector(CONNECTOR, samples=[Sample(activity=create_note, call=..., made=fake.count)], connections=[...])

`static_findings` reads, `delivered` delivers one call several times under one key, `check_errors` holds an error table against the wire,
`secret_scan` looks for planted credentials in everything that a run leaves behind.
"""

from connectors.core.testing.conformance import NotConforming, Sample, check_connector
from connectors.core.testing.delivering import delivered
from connectors.core.testing.error_tables import ErrorRow, check_errors, error_table
from connectors.core.testing.findings import Finding
from connectors.core.testing.imports import check_imports
from connectors.core.testing.secrets import Leak, Planted, Run, planted, secret_scan
from connectors.core.testing.static import static_findings

__all__ = [
    "ErrorRow",
    "Finding",
    "Leak",
    "NotConforming",
    "Planted",
    "Run",
    "Sample",
    "check_connector",
    "check_errors",
    "check_imports",
    "delivered",
    "error_table",
    "planted",
    "secret_scan",
    "static_findings",
]
