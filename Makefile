# `make` alone lists the tasks. Everything is installed into .venv, from requirements.lock, by the first task that needs it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
NOTEBOOKS := notebooks/*.ipynb
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
JOBS ?= 2
WORKSPACE ?= workspace
# Kernels run in the folder of their notebook: the path has to be absolute.
export CX_WORKSPACE := $(if $(filter /%,$(WORKSPACE)),$(WORKSPACE),$(CURDIR)/$(WORKSPACE))
# The sample workspace is made anew when the code or the data it comes from changed; any other one is the user's.
SAMPLE := $(if $(filter workspace,$(WORKSPACE)),workspace/.made)
.NOTPARALLEL:

.PHONY: help
help:  ## this list
	@echo 'Tasks (make TASK):'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'Variables: PORT=8866 (demo, dashboards), WORKSPACE=folder, PYTHON=/path/to/python3.12 (3.11 or newer), JOBS=2'

$(INSTALLED): requirements.lock pyproject.toml tools/install.sh
	@PYTHON='$(PYTHON)' bash tools/install.sh $(VENV)

workspace/.made: $(INSTALLED) $(shell find cxlib data -type f -not -name '*.pyc' 2>/dev/null)
	@$(BIN)/cx demo --out workspace --no-serve
	@touch $@

.PHONY: install demo dashboards lab
install: $(INSTALLED)  ## the environment in .venv, without anything else

demo: $(INSTALLED)  ## the sample shop from raw log to served dashboards, at a printed address
	@$(BIN)/cx demo --out workspace $(if $(PORT),--port $(PORT))

dashboards: $(INSTALLED) $(SAMPLE)  ## serve the dashboards of WORKSPACE
	@$(BIN)/cx serve '$(WORKSPACE)' $(if $(PORT),--port $(PORT))

lab: $(INSTALLED) $(SAMPLE)  ## JupyterLab with the stage-by-stage notebooks
	@$(BIN)/cx lab '$(WORKSPACE)'

PYTEST := $(BIN)/python -m pytest
SPREAD := -n $(JOBS) --dist loadfile
NBVAL := --nbval-sanitize-with tests/nbval_sanitize.cfg --nbval-cell-timeout 120 --nbval-current-env

.PHONY: test test-all test-unit test-notebooks test-browser check format
# All three run even when one fails, so that one run tells everything.
test: $(INSTALLED)  ## everything: units, doctests, notebooks, dashboards in a browser
	@$(MAKE) --keep-going test-unit test-notebooks test-browser

test-unit: $(INSTALLED)  ## unit tests and doctests only
	$(PYTEST) $(SPREAD) --doctest-modules -m 'not browser and not slow' tests cxlib

test-notebooks: $(INSTALLED) $(SAMPLE)  ## every notebook against its stored outputs, every dashboard without an error
	$(PYTEST) $(SPREAD) --nbval $(NBVAL) $(NOTEBOOKS)
	$(PYTEST) --nbval-lax $(NBVAL) dashboards/*.ipynb

test-browser: $(INSTALLED) $(SAMPLE)  ## the dashboards in a real Chromium
	$(PYTEST) -m 'browser and not slow' tests

test-all: test test-lowest  ## the same, what is slow, and the oldest versions allowed
	$(PYTEST) -m slow tests

.PHONY: wheel test-wheel test-lowest
wheel: $(INSTALLED)  ## the package as people install it, notebooks, dashboards and sample in it: dist/
	@rm -rf build
	$(BIN)/uv build --quiet --sdist --wheel --no-build-isolation --python $(BIN)/python --out-dir dist .
	@ls dist

test-wheel: $(INSTALLED)  ## build the wheel, install it into an empty folder, and use it there
	$(PYTEST) -m slow tests/test_wheel.py

# What pyproject.toml allows at least has to install, and to work. Some columns and measures stand for all.
LOWEST := build/lowest
test-lowest: $(INSTALLED)  ## a small part of the tests with the oldest versions that pyproject.toml allows
	@mkdir -p $(LOWEST)
	$(BIN)/uv pip compile pyproject.toml --resolution lowest-direct --python-version 3.11 --quiet \
	  --no-emit-index-url -o $(LOWEST)/requirements.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)/venv
	$(BIN)/uv pip install --quiet --python $(LOWEST)/venv/bin/python --only-binary :all: \
	  -r $(LOWEST)/requirements.txt hypothesis lifelines pytest pytest-timeout
	$(LOWEST)/venv/bin/python -m pytest -q -p no:cacheprovider \
	  tests/test_columns.py tests/measures/test_transitions.py tests/measures/test_funnels.py tests/ingest/test_formats.py

check: $(INSTALLED)  ## format, lint, types; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED)  ## format and sort imports, in place
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: spark
spark: $(VENV)/.spark  ## also what `cx ingest --engine spark` needs (480 MB), but for Java
$(VENV)/.spark: requirements-spark.lock $(INSTALLED)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --require-hashes -r requirements-spark.lock
	@touch $@

.PHONY: notebooks pictures bench lock clean
notebooks: $(INSTALLED) $(SAMPLE)  ## run the notebooks and store their outputs, figures as small pictures
	$(BIN)/python tools/render_notebooks.py $(NOTEBOOKS)

pictures: $(INSTALLED) $(SAMPLE)  ## the pictures of README and docs/images, from the sample
	$(BIN)/python tools/pictures.py workspace

bench: $(INSTALLED) $(SAMPLE)  ## speed and memory, as ratios within one run (some minutes)
	@for script in benchmarks/*.py; do $(BIN)/python "$$script"; done

LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --quiet \
  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(LOCK_ARGS)
lock: $(INSTALLED)  ## resolve pyproject.toml anew into the lock files (LOCK_ARGS=--upgrade for newer versions)
	$(LOCK) pyproject.toml --group dev -o requirements.lock
	printf '%s\n' pyspark pyarrow | $(LOCK) - -c requirements.lock -o requirements-spark.lock

clean:  ## remove everything that can be made again
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis workspace benchmarks/work
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
