# `make help` lists the targets. Each is one line over certify.py, locust or a tool.
PYTHON ?= python3
PLAN ?= plans/quickstart.yaml
HOST ?=
ALLOW_HOST ?=
RATE ?=
TIME_SCALE ?=
SEED ?=
RUN ?=
WEB_PORT ?= 8089

VENV := .venv
BIN := $(VENV)/bin
OPTIONS = $(if $(HOST),--host $(HOST)) $(if $(ALLOW_HOST),--allow-host $(ALLOW_HOST)) $(if $(RATE),--rate $(RATE)) \
          $(if $(TIME_SCALE),--time-scale $(TIME_SCALE)) $(if $(SEED),--seed $(SEED))

.DEFAULT_GOAL := help
.PHONY: help setup run web report plans test lint bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/run.stamp: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Proofload needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.txt
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@

setup: $(VENV)/run.stamp ## make .venv with the pinned requirements

run: $(VENV)/run.stamp ## run PLAN (HOST=, RATE=, TIME_SCALE=, SEED=, ALLOW_HOST=) and print the verdict
	@$(BIN)/python certify.py $(PLAN) $(OPTIONS)

web: $(VENV)/run.stamp ## Locust's web UI on http://127.0.0.1:8089 (WEB_PORT=), with PLAN in its start form
	@$(BIN)/python -m locust -f locustfile.py --web-host 127.0.0.1 --web-port $(WEB_PORT) --plan $(PLAN) $(OPTIONS)

report: $(VENV)/run.stamp ## make the report of RUN=runs/<id> again
	@$(BIN)/python -m reports $(RUN)

plans: $(VENV)/run.stamp ## list every plan with id, title and length
	@$(BIN)/python -m plans

test: $(VENV)/dev.stamp ## run all tests
	$(BIN)/python -m pytest

lint: $(VENV)/dev.stamp ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .

bench: $(VENV)/dev.stamp ## run the benchmarks (minutes)
	$(BIN)/python -m benchmarks

clean: ## remove .venv and caches; runs/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
