# One target per thing a person does. The first use sets everything up: it needs only Python 3.11+
# with venv. `make help` lists the targets.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
    $$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
    && echo $$p && break; done)
# What runs tests at the same time, each with servers of its own: most wait more than they compute.
WORKERS ?= 4
FAST := -m "not e2e and not bench and not local_only" -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# What is added to the command of a target, for instance: make run ARGS="--seed 7"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run up down test test-unit test-integration test-e2e test-bench test-local \
    test-chaos test-full-system lint docs format bench mutants backup

help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(READY) ## Create .venv with everything that the other targets need

$(READY): requirements.txt requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed: install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the requirements into $(VENV) (once, a minute or two) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(READY)

run: $(READY) ## Paper trading on the synthetic market, without Docker
	$(BIN)/claire run-paper --fresh --source synthetic --speed 60 $(ARGS)

up: $(READY) ## The ten containers (writes .env on first use)
	$(BIN)/claire up $(ARGS)

down: $(READY) ## Stop the containers; the data stays
	$(BIN)/claire down $(ARGS)

test: $(READY) ## The fast suite: unit and integration tests
	$(BIN)/python -m pytest $(FAST) $(ARGS)

test-unit: $(READY) ## Unit tests only
	$(BIN)/python -m pytest -m unit $(ARGS)

test-integration: $(READY) ## Tests on a real Redis and PostgreSQL
	$(BIN)/python -m pytest -m "integration and not local_only" $(ARGS)

test-e2e: $(READY) ## Black-box tests of the compose stack; needs a Docker engine
	$(BIN)/python -m pytest -m "e2e and not slow" $(ARGS)

test-chaos: $(READY) ## Everything is killed, frozen, cut or filled up; about 15 minutes
	CDB_CHAOS=all CDB_CHAOS_KILLS=$${CDB_CHAOS_KILLS:-100} \
	    $(BIN)/python -m pytest tests/e2e/chaos $(ARGS)

test-bench: $(READY) ## Small runs of the benchmarks of pipeline, feed and store
	$(BIN)/python -m pytest -m bench $(ARGS)

test-local: $(READY) ## What is too long for the fast suite
	$(BIN)/python -m pytest -m local_only $(ARGS)

test-full-system: test test-bench test-local test-e2e test-chaos ## Every test there is

lint: $(READY) ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY) ## Build the documentation as a site into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(READY) ## Let ruff mend and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## Latency and sustained rate of the whole pipeline
	$(BIN)/claire bench pipeline $(ARGS)

mutants: $(READY) ## Break risk, sizing and portfolio on purpose; the tests must notice (half an hour)
	@test -x .mutants/bin/mutmut || { $(BIN)/python -m venv .mutants && \
	    .mutants/bin/python -m pip install --quiet -r requirements-dev.txt mutmut==3.8.1; }
	.mutants/bin/python -m mutmut run $(ARGS)
	.mutants/bin/python -m mutmut results

backup: ## Dump the compose stack's database into backups/
	@mkdir -p backups
	docker compose exec -T cdb_postgres pg_dump -U claire_user -Fc claire_de_binare \
	    > backups/claire_de_binare-$$(date -u +%Y%m%dT%H%M%SZ).dump
	@ls -l backups | tail -n 1
