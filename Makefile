# Two commands on a fresh machine (Python 3.11+ and make): make demo, make test. `make help` lists all.

# The first Python on PATH that is new enough and can make a virtual environment.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
VENV := .venv
PY := $(VENV)/bin/python
MANAGE := $(PY) manage.py
DEMO := env DEBUG=true DATABASE_URL=sqlite:///$(CURDIR)/demo.sqlite3 $(MANAGE)
PYTEST := $(PY) -m pytest
ROWS := 3000000

.DEFAULT_GOAL := help
.PHONY: help venv demo cleanup cleanup-dry-run cleanup-weekly cleanup-monthly test test-slow test-sqlite test-postgres test-libraries test-faults bench lint types contract \
	migrations-check package-check clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 18

venv: $(VENV)/dev ## make .venv with everything that development needs

# A stamp for each set of extras; both are made again when pyproject.toml changes.
$(VENV)/demo: EXTRAS := example,progress
$(VENV)/dev: EXTRAS := dev
$(VENV)/bench: EXTRAS := bench
$(VENV)/demo $(VENV)/dev $(VENV)/bench: pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with venv was found on PATH." \
		"Install one (Debian: python3 python3-venv), or say make PYTHON=/path/to/python3." >&2; exit 1; }
	@test -x $(PY) || { echo "Making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing session-cleanup[$(EXTRAS)]"
	@$(PY) -m pip --disable-pip-version-check install --quiet --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(VENV)/demo ## the example project: demo data, a dry run, a real run, the statistics
	$(DEMO) migrate --verbosity 0
	$(DEMO) load_demo --reset
	$(DEMO) cleanup_sessions --dry-run --verbose
	$(DEMO) cleanup_sessions
	$(DEMO) cleanup_sessions --type weekly
	$(DEMO) cleanup_sessions --stats
	@echo
	@echo "The admin shows the same: make yourself a user, start the server, and open"
	@echo "http://127.0.0.1:8000/admin/session_cleanup/"
	@echo "  export DEBUG=true DATABASE_URL=sqlite:///$(CURDIR)/demo.sqlite3"
	@echo "  $(MANAGE) createsuperuser"
	@echo "  $(MANAGE) runserver"

# The example project's own jobs, by the settings of example_project/.env.
cleanup: $(VENV)/demo ## run the daily jobs of the example project
	$(MANAGE) cleanup_sessions --type daily $(ARGS)

cleanup-dry-run: $(VENV)/demo ## show what that would change
	$(MANAGE) cleanup_sessions --type daily --dry-run --verbose $(ARGS)

cleanup-weekly: $(VENV)/demo ## run its weekly jobs
	$(MANAGE) cleanup_sessions --type weekly $(ARGS)

cleanup-monthly: $(VENV)/demo ## run its monthly jobs
	$(MANAGE) cleanup_sessions --type monthly $(ARGS)

WHICH := not slow and not fault and not packaging
SIDE_BY_SIDE := $(MAKE) --no-print-directory --jobs=2 --output-sync=target

test: $(VENV)/dev ## the suite on SQLite and on PostgreSQL, side by side, but for what test-slow does
	@$(SIDE_BY_SIDE) test-sqlite test-postgres test-libraries

test-slow: $(VENV)/dev ## the rest of it: kills, races, other programs, many rows
	@$(SIDE_BY_SIDE) test-sqlite test-postgres WHICH="(slow or fault) and not packaging"

test-sqlite: $(VENV)/dev ## the suite on SQLite
	TEST_DATABASE=sqlite $(PYTEST) -m "$(WHICH)" $(ARGS)

test-postgres: $(VENV)/dev ## the suite on the PostgreSQL of DATABASE_URL or PG_BIN, else on a packaged one
	TEST_DATABASE=postgres $(PYTEST) -m "$(WHICH) and not once" $(ARGS)

FAULT_RUNS := 20

test-faults: $(VENV)/dev ## kills, cuts, full disks, other writers, over and over (FAULT_RUNS=20), on both databases
	FAULT_RUNS=$(FAULT_RUNS) TEST_DATABASE=sqlite $(PYTEST) tests/faults $(ARGS)
	FAULT_RUNS=$(FAULT_RUNS) TEST_DATABASE=postgres $(PYTEST) tests/faults $(ARGS)

# A run of its own: some libraries connect receivers to every model. Their migrations are not ours to test.
LIBRARIES := $(PYTEST) --ds=tests.libraries.settings --no-migrations tests/libraries

test-libraries: $(VENV)/dev ## the presets for libraries beside the libraries, on both
	TEST_DATABASE=sqlite $(LIBRARIES)
	TEST_DATABASE=postgres $(LIBRARIES)

bench: $(VENV)/bench ## beside our peers: tables, charts and all figures in bench/ (ROWS=3000000, ARGS=--help)
	$(PY) -m benchmarks --rows $(ROWS) --json bench/runs.json --svg bench $(ARGS)

lint: $(VENV)/dev ## style, imports and likely mistakes
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(VENV)/dev ## mypy
	$(PY) -m mypy

contract: $(VENV)/dev ## which room may import which
	$(VENV)/bin/lint-imports

migrations-check: $(VENV)/dev ## no model change without its migration
	env DEBUG=true $(MANAGE) makemigrations --check --dry-run

package-check: $(VENV)/dev ## build the distribution, look into it, install and import it
	$(PYTEST) -m packaging tests/test_packaging.py tests/test_new_project.py

clean: ## remove what make made
	rm -rf $(VENV) bench build dist demo.sqlite3 .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
