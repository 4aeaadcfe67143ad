"""The public API as data (`api.pyi`) and the tests that hold the package against it."""
