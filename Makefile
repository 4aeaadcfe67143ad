# The project's habits. Each target makes .venv by itself when it is missing or older than pyproject.toml; needs only
# make and a Python >= 3.11 (make PYTHON=/path/to/python to choose one).
#
#   make demo       a server on (a fake) EC2, provisioned across kill -9, in a minute
#   make demo-site  the same for a report on web pages
#   make test       the test suite
#   make test-all   all of it on the Python of .venv, the core's tests on the other two of 3.11, 3.12 and 3.13
#   make check      ruff, mypy --strict for three platforms, pyright on the typing tests, the architecture's import rules
#   make faults     kills, pauses and broken disks      ROUNDS=200
#   make sabotage   one guarantee removed at a time: do the tests notice?
#   make bench      the benchmarks, beside the bound and the peers

.DEFAULT_GOAL := help
.PHONY: help demo demo-site test test-all check faults sabotage bench
.DELETE_ON_ERROR:
.PRECIOUS: .venv-%/bin/python

ROUNDS ?= 200
ALL_CASES := $(filter 200,$(ROUNDS))
JOBS ?= 2
ARGS ?=
VERSIONS := 3.11 3.12 3.13

PY := .venv/bin/python
PIP := -m pip install --disable-pip-version-check --quiet
RUN_READY := .venv/.ready-to-run
DEV_READY := .venv/.ready-to-develop

# Left out on the other interpreters: what holds or breaks on all of them alike.
CORE := tests $(addprefix --ignore=tests/,packaging typing connectors suborchestrations cookbook bench docs azure)
SOURCES := $(wildcard dtf_runtime connectors suborchestrations cookbook bench)
SHIPPED := $(filter-out bench,$(SOURCES))

help:
	@sed -n 's/^#   //p' Makefile

demo: $(RUN_READY)
	$(PY) -m cookbook.provision_web_server --demo

demo-site: $(RUN_READY)
	$(PY) -m cookbook.site_report --demo

test: $(DEV_READY)
	$(PY) -m pytest -n $(JOBS) --dist worksteal $(ARGS) tests

# The interpreters are looked for first, so that a missing one is known before an hour of tests.
test-all: $(DEV_READY)
	@set -e; \
	main=$$($(PY) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	others=$$(for v in $(VERSIONS); do [ $$v = $$main ] || echo $$v; done); \
	for v in $$others; do scripts/find-python $$v > /dev/null; done; \
	echo "== Python $$main: everything"; \
	$(PY) -m pytest -n $(JOBS) --dist worksteal $(ARGS) tests; \
	for v in $$others; do \
		$(MAKE) --no-print-directory .venv-$$v/.ready-to-develop; \
		echo "== Python $$v: the core"; \
		.venv-$$v/bin/python -m pytest -n $(JOBS) --dist worksteal $(ARGS) $(CORE); \
	done

check: $(DEV_READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(SOURCES) tests
	$(PY) -m mypy --platform win32 $(SHIPPED)
	$(PY) -m mypy --platform darwin $(SHIPPED)
	$(PY) -m pyright --pythonpath $(PY)
	.venv/bin/lint-imports

# Fewer rounds: also ten cases of each of the rest, as in `make test`.
faults: $(DEV_READY)
	$(PY) -m tests.connectors.aws.once $(if $(ALL_CASES),,--cases 10)
	$(PY) -m tests.connectors.twilio.once $(if $(ALL_CASES),,--rounds 10)
	$(if $(ALL_CASES),$(PY) -m tests.connectors.social_once)
	$(PY) -m tests.suborchestrations.s3.failing $(if $(ALL_CASES),,10 1)
	$(PY) -m tests.suborchestrations.ec2.failing $(if $(ALL_CASES),,10 1)
	$(PY) -m tests.suborchestrations.ec2.killed $(if $(ALL_CASES),,10 1)
	$(PY) -m tests.faults --rounds $(ROUNDS)

sabotage: $(DEV_READY)
	$(PY) -m tests.sabotage

bench: $(DEV_READY)
	$(PY) -m bench
	$(PY) -m bench.kit

# == Set-up =======================================================================================================
# A stamp beside the environment says it is installed; the second run finds it and does nothing.

$(PY):
	@set -e; python="$(PYTHON)"; \
	[ -n "$$python" ] || python=$$(scripts/find-python); \
	echo "== making .venv with $$python"; \
	"$$python" -m venv --clear .venv

.venv-%/bin/python:
	@set -e; python=$$(scripts/find-python $*); \
	echo "== making .venv-$* with $$python"; \
	"$$python" -m venv --clear .venv-$*

$(RUN_READY): pyproject.toml | $(PY)
	$(PY) $(PIP) -e '.[testing]'
	@touch $@

$(DEV_READY): pyproject.toml | $(PY)
	$(PY) $(PIP) -e '.[dev]'
	@touch $@ $(RUN_READY)

.venv-%/.ready-to-develop: pyproject.toml | .venv-%/bin/python
	.venv-$*/bin/python $(PIP) -e '.[dev]'
	@touch $@
