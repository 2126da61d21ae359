# Two commands for a newcomer: `make demo` and `make test`. Needs Python 3.11 with pip, and make;
# python3-venv is not needed. Everything is installed into VENV from the hashed lock files.

PYTHON ?= python3
PORT ?= 8000
VENV ?= .venv
export PORT

BIN := $(VENV)/bin
# The system's pip installs into the environment: Debian without python3-venv has no ensurepip.
PIP := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check

.PHONY: help install install-dev demo test lint lock clean
.DEFAULT_GOAL := help

help:  ## Say what can be made.
	@grep -E '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 14

# --no-deps: the locks are complete. A resolver would look at newer releases and, for a package that
# is asked for with an extra (coverage[toml]), refuse the lock once one exists.
INSTALL := $(PIP) install --quiet --require-hashes --no-deps

# A file beside the packages says which lock they came from: the second call has nothing to do.
$(BIN)/python:
	@echo "Making the Python environment in $(VENV)"
	@$(PYTHON) -m venv --without-pip $(VENV)

$(VENV)/.runtime: requirements.txt | $(BIN)/python
	@echo "Installing what Neuraxis needs to run (about 1 GB on disk, once)"
	@$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.development: requirements-dev.txt $(VENV)/.runtime
	@echo "Installing what the tests need (once)"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@

install: $(VENV)/.runtime  ## Make the environment that runs Neuraxis.

install-dev: $(VENV)/.development  ## Add the tools that test it.

demo: export NEURAXIS_DEMO = on
demo: $(VENV)/.runtime  ## Start a demo with synthetic clinics; PORT=8000, Ctrl-C ends it.
	@$(BIN)/python manage.py demo

test: $(VENV)/.development  ## Run the tests that need no server and no browser.
	@$(BIN)/python -m pytest -n 2 -q -m "not (postgres or broker or browser)" $(ARGS)

lint: $(VENV)/.development  ## Check style, types, import contracts, templates, migrations.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy .
	@$(BIN)/lint-imports
	@$(BIN)/djlint --lint --quiet templates
	@DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python manage.py makemigrations --check --dry-run

# --no-emit-index-url and no find-links: a lock names packages and hashes, never a machine.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock"
lock:  ## Resolve requirements.txt and requirements-dev.txt again.
	@test -x $(BIN)/uv || $(PIP) install --quiet uv
	@$(COMPILE) pyproject.toml --extra report -o requirements.txt
	@$(COMPILE) pyproject.toml --extra report --group dev -c requirements.txt -o requirements-dev.txt

clean:  ## Delete the environment and the caches; data in var/ stay.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
