# Needs python3.11 or newer with venv, and make. Everything else is installed into .venv.
# For another Python beside it: make test PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do $$name -c '' 2>/dev/null && break; done; echo $$name)
VENV := .venv
BIN := $(VENV)/bin
N ?= 100000
# Tests wait for servers half of their time, so there are more than most machines have processors.
# They are dealt out by worksteal: with loadscope, a run waits for ever once a worker has crashed.
WORKERS ?= 4
METADATA := setup.cfg setup.py pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help demo test coverage fuzz lint format types docs lowest bench clean

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; give it as PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# One stamp for each extra: made anew only when the metadata changes.
$(VENV)/installed-%: $(METADATA) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

demo: $(VENV)/installed-demo  ## Run the demo: a local provider, an app and a database (BACKEND=mongo|redis|sqla|file|session)
	@exec $(BIN)/python -m examples.demo

# With bytecode the package is compiled once, and not by each of the processes that tests start.
test coverage: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/installed-test  ## Run every test, against real servers too
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

coverage: $(VENV)/installed-test  ## Run every test, and say which lines it has not run
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report= $(ARGS)
	$(BIN)/python -m coverage report

fuzz: $(VENV)/installed-test  ## Try N random inputs on whatever comes in (N=100000)
	FUZZ_RANDOM=1 FUZZ_INPUTS=$(N) $(BIN)/python -m pytest -n logical --show-capture=no tests/fuzz/test_fuzz.py $(ARGS)

lint: $(VENV)/installed-dev  ## Check style, formatting, and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(VENV)/installed-dev  ## Mend style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/installed-dev  ## Check the types, also as users see them
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/installed-docs  ## Build the documentation, with warnings as errors
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

lowest: $(METADATA) tests/lowest.txt  ## Run the tests with the lowest versions that are supported
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check -r tests/lowest.txt
	$(VENV)-lowest/bin/python -m pytest tests/backend tests/consumer tests/test_servers.py

bench: $(VENV)/installed-test  ## Measure, side by side with Flask-Dance
	$(BIN)/python -m benchmarks

clean:  ## Remove everything that these commands made
	rm -rf $(VENV) .venv .venv-* build *.egg-info docs/_build docs/providers .coverage .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
