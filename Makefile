# `make help` lists the targets. Each is one line over certify.py, locust or a tool.
PYTHON ?= python3
WORKERS ?= 4
PLAN ?= $(if $(filter llama,$(TARGET)),plans/llama/quickstart.yaml,plans/quickstart.yaml)
HOST ?=
ALLOW_HOST ?=
RATE ?=
TIME_SCALE ?=
SEED ?=
RUN ?=
NAME ?=
A ?=
B ?=
TOLERANCE ?=
KEEP ?= 20
DAYS ?= 30
DELETE ?=
ALERT ?=
ID ?=
SERVICE ?=
KIND ?= llm
CASES ?= plans/hxp
SEEDS ?=
CLEAN ?=
ONLY ?=
WEB_PORT ?= 8089
CLIENTS ?=
DURATION ?=
SECONDS ?= 300
TARGET ?=
VERBOSE ?=
OTEL ?=
METRICS_PORT ?=
DB ?=
RUNS ?=
CONCURRENT ?=
SCENARIO ?=
BASELINE ?=
SOAK ?=
ENV ?=
IMAGE ?=
BY ?=
FOR ?=
AT_LEAST ?=

VENV := .venv
BIN := $(VENV)/bin
OPTIONS = $(if $(HOST),--host $(HOST)) $(if $(ALLOW_HOST),--allow-host $(ALLOW_HOST)) $(if $(RATE),--rate $(RATE)) \
          $(if $(TIME_SCALE),--time-scale $(TIME_SCALE)) $(if $(SEED),--seed $(SEED)) \
          $(if $(METRICS_PORT),--metrics-port $(METRICS_PORT)) $(if $(VERBOSE),--verbose) $(if $(OTEL),--otel)

SUITE = $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(SOAK),--include-soak)

# The plans in plans/eval have these as ${VARIABLES}, and a default for each that is empty.
export RUNS CLIENTS CONCURRENT DURATION CLEAN BASELINE
ifneq ($(DB),)
export DATABASE_URL := $(DB)
endif

.DEFAULT_GOAL := help
.PHONY: docker-run docker-up docker-down docker-test help setup llama otel run distributed api websocket database all ci web report plans test longtest retest fuzz lint calibrate bench peers clean case baseline compare history prune certificate selftest stresstest leaktest

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/run.stamp: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Proofload needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.txt
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@

$(VENV)/llama.stamp: $(VENV)/run.stamp requirements-llama.txt
	$(BIN)/python -m pip install --quiet --requirement requirements-llama.txt
	@touch $@

$(VENV)/otel.stamp: $(VENV)/run.stamp requirements-otel.txt
	$(BIN)/python -m pip install --quiet --requirement requirements-otel.txt
	@touch $@

setup: $(VENV)/run.stamp ## make .venv with the pinned requirements

otel: $(VENV)/otel.stamp ## install what the export by OpenTelemetry needs: make run OTEL=1

llama: $(VENV)/llama.stamp ## install llama.cpp's server, a real engine for make run TARGET=llama

run: $(VENV)/$(or $(filter llama,$(TARGET)),run).stamp ## run PLAN (HOST=, RATE=, TIME_SCALE=, SEED=, ALLOW_HOST=, METRICS_PORT=, TARGET=llama) and print the verdict
	@$(if $(filter llama,$(TARGET)),$(BIN)/python -m target.llama) $(BIN)/python certify.py $(PLAN) $(OPTIONS)

distributed: $(VENV)/run.stamp ## run PLAN with the load made by WORKERS=4 processes (HOST=, RATE=, TIME_SCALE=, SEED=)
	@$(BIN)/python certify.py $(PLAN) --workers $(WORKERS) $(OPTIONS)

api: $(VENV)/run.stamp ## the evaluation platform's API alone (CONCURRENT=120, DURATION=2m for each of two phases, HOST=)
	@$(BIN)/python certify.py plans/eval/api.yaml $(OPTIONS)

websocket: $(VENV)/run.stamp ## hold CLIENTS=100 WebSockets for DURATION=1m (HOST=) and judge them
	@$(BIN)/python certify.py plans/eval/websocket.yaml $(OPTIONS)

database: $(VENV)/run.stamp ## its queries alone (RUNS=1000, CONCURRENT=50, DURATION=60s, CLEAN=true, DB=sqlite or postgresql://...)
	@$(BIN)/python certify.py plans/eval/database.yaml $(OPTIONS)

all: $(VENV)/run.stamp ## LLM, API, WebSocket and SQL at once, under one verdict (CLIENTS=50, CONCURRENT=50, RUNS=1000, DURATION=1m, DB=)
	@$(BIN)/python certify.py plans/eval/all.yaml $(OPTIONS)

ci: CLIENTS := $(or $(CLIENTS),10)
ci: CONCURRENT := $(or $(CONCURRENT),10)
ci: RUNS := $(or $(RUNS),500)
ci: DURATION := $(or $(DURATION),15s)
ci: $(VENV)/run.stamp ## the same with short settings, for a pipeline: it fails unless the verdict is PASS
	@$(BIN)/python certify.py plans/eval/all.yaml $(OPTIONS)

.PHONY: quick scalability benchmark regression victor catalytic nightly rehearse
quick: $(VENV)/run.stamp ## half a minute of chat sessions, and the verdict (CONCURRENT=10, DURATION=30s, HOST=)
	@$(BIN)/python certify.py plans/victor/quick.yaml $(OPTIONS)

scalability: $(VENV)/run.stamp ## 10, 100 and 500 requests at once: what is left of the best throughput (DURATION=1m each, HOST=)
	@$(BIN)/python certify.py plans/victor/scalability.yaml $(OPTIONS)

benchmark: $(VENV)/run.stamp ## chat sessions in figures: 10, 100 and 500 users, tools, conversations of 1000 turns (HOST=)
	@$(BIN)/python certify.py plans/victor --scenario concurrency,tools,contexts $(OPTIONS)

regression: $(VENV)/run.stamp ## chat sessions under an even load, held against BASELINE=data/baselines/victor.json (DURATION=5m, HOST=)
	@$(BIN)/python certify.py plans/regression/victor.yaml $(OPTIONS)

victor: $(VENV)/run.stamp ## all plans of the assistant with chat sessions but the hour of endurance (SCENARIO=, SOAK=yes, HOST=)
	@$(BIN)/python certify.py plans/victor $(SUITE) $(OPTIONS)

catalytic: $(VENV)/run.stamp ## the scenarios of a SaaS platform (SCENARIO=spike,mixed, SOAK=yes for the 4 hours, CONCURRENT=, DURATION=, HOST=)
	@$(BIN)/python certify.py plans/catalytic $(SUITE) $(OPTIONS)

nightly: $(VENV)/run.stamp ## both of these at full length, the soak and the hour of endurance among them (six and a half hours)
	@$(BIN)/python certify.py plans/catalytic plans/victor --include-soak $(OPTIONS)

rehearse: $(VENV)/run.stamp ## run every plan (PLANS= some) for a second on the embedded platform: does each come to a verdict?
	@$(BIN)/python -m selftest.rehearsal $(PLANS)

web: $(VENV)/run.stamp ## Locust's web UI on http://127.0.0.1:8089 (WEB_PORT=), with PLAN in its start form
	@$(BIN)/python -m locust -f locustfile.py --web-host 127.0.0.1 --web-port $(WEB_PORT) --plan $(PLAN) $(OPTIONS)

docker-run: ## run PLAN in Docker, one master and WORKERS= worker containers: the report in runs/, the verdict as exit code
	@$(PYTHON) deploy/compose.py run $(PLAN) --workers $(WORKERS) $(if $(ENV),--env $(ENV)) $(OPTIONS)

docker-up: ## the web UI in Docker, with WORKERS= workers, the platform, its databases and Prometheus
	@$(PYTHON) deploy/compose.py up --workers $(WORKERS)

docker-down: ## bring run folders to runs/ and remove all containers, networks and volumes (IMAGE=yes: the image too)
	@$(PYTHON) deploy/compose.py down $(if $(IMAGE),--image)

docker-test: $(VENV)/dev.stamp ## the tests that need a Docker engine (minutes)
	$(BIN)/python -m pytest tests/docker

report: $(VENV)/run.stamp ## make the report of RUN=runs/<id> again
	@$(BIN)/python -m reports $(RUN)

plans: $(VENV)/run.stamp ## list every plan with id, title and length
	@$(BIN)/python -m plans

case: $(VENV)/run.stamp ## write a new test case: ID=TC-L3-PERF-LOAD-042 SERVICE=name (KIND=llm or api)
	@$(BIN)/python -m plans new "$(ID)" "$(SERVICE)" --kind $(KIND)

baseline: $(VENV)/run.stamp ## keep the figures of RUN=runs/<id> as data/baselines/NAME.json (NAME=)
	@$(BIN)/python -m reports $(RUN) --quiet --keep "$(NAME)"

compare: $(VENV)/run.stamp ## is B=runs/<id> a regression after A=runs/<id> or a baseline file? (TOLERANCE=10%)
	@$(BIN)/python -m reports.compare $(if $(TOLERANCE),--tolerance "$(TOLERANCE)") "$(A)" "$(B)"

history: $(VENV)/run.stamp ## how the figures of every plan went from run to run, and where they changed (ALERT=1: exit code)
	@$(BIN)/python -m reports.history $(if $(ALERT),--alert)

prune: $(VENV)/run.stamp ## list the runs that may go: not the newest KEEP=20 of a plan, older than DAYS=30 (DELETE=1 removes them)
	@$(BIN)/python -m reports.prune --keep $(KEEP) --days $(DAYS) $(if $(DELETE),--delete)

.PHONY: capacity
capacity: $(VENV)/run.stamp ## search the highest load at which every limit of PLAN holds (BY=users, FOR=500, AT_LEAST=50, HOST=, SEED=)
	@$(BIN)/python -m capacity $(PLAN) $(if $(HOST),--host $(HOST)) $(if $(ALLOW_HOST),--allow-host $(ALLOW_HOST)) \
	    $(if $(SEED),--seed $(SEED)) $(if $(BY),--by $(BY)) $(if $(FOR),--for $(FOR)) \
	    $(if $(AT_LEAST),--at-least $(AT_LEAST))

certificate: $(VENV)/run.stamp ## one page over the cases in CASES=plans/hxp, from the runs that are there
	@$(BIN)/python -m reports.certificate $(CASES)

test: $(VENV)/dev.stamp ## run all tests, in WORKERS= processes
	@$(MAKE) --silent otel || echo "the OpenTelemetry SDK could not be installed: its tests are skipped"
	@$(MAKE) --silent llama || echo "llama.cpp's server could not be installed: its tests are skipped"
	$(BIN)/python -m pytest --numprocesses $(WORKERS)

longtest: $(VENV)/dev.stamp ## run the tests that take minutes: whole searches, faults and overloads for real
	$(BIN)/python -m pytest -m long

retest: $(VENV)/dev.stamp ## run what failed in the last `make test` once more, one by one
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none

selftest: $(VENV)/run.stamp ## show known faults and none: does Proofload find them? (15 minutes; SEEDS=, CLEAN=, ONLY=)
	@$(BIN)/python -m selftest $(if $(SEEDS),--seeds $(SEEDS)) $(if $(CLEAN),--clean $(CLEAN)) $(if $(ONLY),--only "$(ONLY)")

stresstest: $(VENV)/run.stamp ## known overloads: are breaking point, degradation and recovery named rightly? (10 minutes; SEEDS=, ONLY=)
	@$(BIN)/python -m selftest.stress $(if $(SEEDS),--seeds $(SEEDS)) $(if $(ONLY),--only "$(ONLY)")

leaktest: $(VENV)/run.stamp ## leaks of 0, 1, 5 and 50 MB/min beneath a sawtooth, and of handles: are they found? (7 minutes; SEEDS=)
	@$(BIN)/python -m selftest.leaks $(if $(SEEDS),--seeds $(SEEDS))

fuzz: $(VENV)/dev.stamp ## harmed bytes for the clients' parsers, for SECONDS=300
	$(BIN)/python -m tests.clients.fuzz --seconds $(SECONDS)

lint: $(VENV)/dev.stamp ## ruff, and mypy for this system and for Windows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --silent --jobs=2 types types-of-windows

.PHONY: types types-of-windows
types:
	$(BIN)/mypy .

types-of-windows:
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32 certify.py locustfile.py target monitoring reports

calibrate: $(VENV)/run.stamp ## say how much load this machine can honestly generate (two minutes)
	@$(BIN)/python -m calibration

bench: $(VENV)/dev.stamp ## run the benchmarks (minutes)
	$(BIN)/python -m benchmarks

.PHONY: screenshots
screenshots: $(VENV)/dev.stamp ## run the quickstart and take the pictures of its report for the docs
	@$(BIN)/python -m benchmarks.pictures

PEERS := build/peers
$(PEERS)/%.stamp: benchmarks/peers.txt
	$(PYTHON) -m venv $(PEERS)/$*
	-$(PEERS)/$*/bin/python -m pip install --quiet $$(sed -n 's/^$*: //p' benchmarks/peers.txt)
	@touch $@

peers: $(VENV)/dev.stamp $(PEERS)/sdk.stamp $(PEERS)/aiperf.stamp $(PEERS)/guidellm.stamp $(PEERS)/genai-bench.stamp ## measure other tools beside Proofload, each in an environment under build/peers (2 GB)
	$(BIN)/python -m benchmarks streams peers

clean: ## remove .venv and caches; runs/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
