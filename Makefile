# Hooklog's front door. Needs make and Python 3.11 or newer; everything else arrives in .venv.
#
# requirements.lock was resolved on Python 3.11 for Linux x86_64; it carries the hashes of every platform's wheels.
# Everything that is installed, the build backend included, is checked against it.

PYTHON ?= python3
SEEDS ?= 1 2 3

bin := .venv/bin
stamp := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help up demo test check bench bench-queries bench-projections bench-audit bench-ingest bench-delay bench-clients bench-flood bench-isolation faults lock clean

help: ## Show what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

up: $(stamp) ## Run the whole gateway here: Kafka, ClickHouse and the services
	@$(bin)/hooklog up

demo: $(stamp) ## See it at work in half a minute, every count checked
	@$(bin)/hooklog demo

test: $(stamp) ## Prove it with real parts, short crash runs included
	$(bin)/python -m pytest -m "not faults"

check: $(stamp) ## Lint, format, types, import layers, tidiness
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports
	$(bin)/python -m pytest -q tests/test_tidy.py

bench: $(stamp) ## Measure start, memory, latency, and CPU stage by stage: nine minutes
	$(bin)/python -m benchmarks

bench-ingest: $(stamp) ## Measure what accepting costs beside an ordinary FastAPI route, and slow senders; four minutes
	$(bin)/python -m benchmarks.ingest

bench-delay: $(stamp) ## Measure how late 200,000 waiting deliveries are released; seven minutes
	$(bin)/python -m benchmarks.delay

bench-clients: $(stamp) ## Measure the HTTP clients that deliveries could use; two minutes
	$(bin)/python -m benchmarks.clients

bench-audit: $(stamp) ## Measure what an audit of ten million attempts takes; four minutes
	$(bin)/python -m benchmarks.audit

bench-queries: $(stamp) ## Measure what questions take over ten million attempts, beside full scans; four minutes
	$(bin)/python -m benchmarks.queries

bench-projections: $(stamp) ## Measure how fast records become rows, beside bare inserts; two minutes
	$(bin)/python -m benchmarks.projection

bench-flood: $(stamp) ## Measure what a million deliveries for one dead endpoint cost; ten minutes
	$(bin)/python -m benchmarks.flood

bench-isolation: $(stamp) ## Measure what endpoints in trouble cost the healthy ones; seven minutes
	$(bin)/python -m benchmarks.isolation

faults: $(stamp) ## Long seeded crash runs (SEEDS="1 2 3")
	HOOKLOG_FAULT_SEEDS="$(SEEDS)" $(bin)/python -m pytest -m faults -s --timeout=1800

lock: ## Resolve the requirements again (needs the network)
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet pip-tools
	build/lock/bin/pip-compile --quiet --upgrade --generate-hashes --extra dev --all-build-deps --allow-unsafe \
		--strip-extras --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		--no-emit-options --annotation-style=line --output-file requirements.lock pyproject.toml

clean: ## Remove the environment and caches; data in .hooklog stays
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(stamp): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Hooklog needs Python 3.11 or newer: make PYTHON=python3.12 up")'
	test -x $(bin)/python || $(PYTHON) -m venv .venv
	$(bin)/python -m pip install --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	$(bin)/python -m pip install --disable-pip-version-check --no-build-isolation --no-deps --quiet -e .
	@touch $@
