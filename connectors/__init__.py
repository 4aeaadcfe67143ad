"""Ready activities, one folder a service: `from connectors.http import request`."""
