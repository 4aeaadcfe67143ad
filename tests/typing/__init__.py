"""A user's view of the API, read by mypy --strict and pyright (strict) and never run: see `make check`."""
