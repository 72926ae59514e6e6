# `make help` lists the commands. Everything runs from .venv, made here from the hashed lock.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Each process has a PostgreSQL of its own, and whole files: what a file's tests share is made once. The longest come first (tests/conftest.py).
WORKERS ?= 2
PARALLEL = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
RUN := PYTHONPATH=plugins:. PYTHONWARNINGS=ignore $(BIN)/python
BENCH_STAMP := .venv-bench/.installed-$(shell cat requirements-bench.txt requirements-uv.txt 2>/dev/null | cksum | cut -d' ' -f1)
STAMP := $(VENV)/.installed-$(shell cat requirements-dev.txt requirements-uv.txt 2>/dev/null | cksum | cut -d' ' -f1)

.PHONY: help install demo test faults truth bench lint docs up down dsn replay reconcile explain quarantine replay-quarantine dismiss-quarantine resolve review backup restore lock clean
# What part of the quarantine is meant; values go through the environment, so that they may hold any character.
MEANT = --class "$${CLASS:-}" --export "$${EXPORT:-}" --rule "$${RULE:-}" --day "$${DAY:-}"
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

install: $(STAMP) ## .venv from the lock (done by the other commands)

$(STAMP): requirements-dev.txt requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say which with PYTHON=...")'
	@echo "Installing into $(VENV) from the lock ..."
	@rm -f $(VENV)/.installed-*
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-uv.txt 2>/dev/null || true
	@if test -x $(BIN)/uv; then VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install -q --require-hashes --compile-bytecode -r requirements-dev.txt; \
	 else $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt; fi
	@echo "$(CURDIR)/plugins" > `$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'`/kinhteso.pth
	@touch $@

demo: install ## from nothing to the campaign's numbers, about five minutes
	@$(RUN) -m kinhteso.local demo

test: install ## everything that has to pass
	@$(RUN) -m pytest -q $(PARALLEL) -m "not only_faults and not only_truth"

faults: install ## every fault of the catalogue, one by one, about an hour; writes docs/faults.md
	@KINHTESO_FAULTS_REPORT=docs/faults.md $(RUN) -m pytest -q $(PARALLEL) tests/faults

truth: install ## every cell of the campaign's world, and of one that lives through a reform, recounted in plain Python, about ten minutes
	@$(RUN) -m pytest -q -m only_truth tests/e2e/test_truth.py

bench: install $(BENCH_STAMP) ## what it costs beside COPY, a hand-written script, dlt, pandas, openpyxl; writes bench/results.json and docs/performance.md: ONLY=csv,json ROUNDS=3
	@$(RUN) -m bench $(if $(ONLY),--only "$(ONLY)") $(if $(ROUNDS),--rounds "$(ROUNDS)") $(BENCH)

$(BENCH_STAMP): requirements-bench.txt | install
	@echo "Installing what is measured against into .venv-bench from the lock ..."
	@rm -f .venv-bench/.installed-*
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@if test -x $(BIN)/uv; then VIRTUAL_ENV=$(CURDIR)/.venv-bench $(BIN)/uv pip install -q --require-hashes --compile-bytecode -r requirements-bench.txt; \
	 else .venv-bench/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-bench.txt; fi
	@touch $@

lint: install ## ruff, mypy, sqlfluff, the dbt project's rules, docs up to date: check only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(RUN) -m mypy
	@$(BIN)/sqlfluff lint -q dbt_project/models dbt_project/macros dbt_project/tests
	@$(RUN) -m kinhteso.modelling
	@$(RUN) -m kinhteso.documenting --check

docs: install ## docs/kpi and the tables that are made from the code, and dbt's own pages as .local/dbt-docs.html
	@$(RUN) -m kinhteso.documenting
	@$(RUN) -m kinhteso.local.dbtdocs

up: install ## the stack kept running, Airflow at 127.0.0.1:8080
	@$(RUN) -m kinhteso.local up

down: install ## stop it; data stay in .local/
	@$(RUN) -m kinhteso.local down

dsn: install ## DSN of the warehouse for bi_reader
	@$(RUN) -m kinhteso.local dsn

replay: install ## business days through the DAGs: FROM=2021-09-13 TO=2021-09-15
	@test -n "$(FROM)" || { echo "Say which days: make replay FROM=2021-09-13 TO=2021-09-15"; exit 2; }
	@$(RUN) -m kinhteso.local replay "$(FROM)" "$(if $(TO),$(TO),$(FROM))"

explain: install ## a cell back to its rows: COMMUNE=06505 DATE=2021-09-15 KPI=store_rate (GEOGRAPHY=2025 RELEASE=n FORMAT=csv LIMIT=n LEVEL=district UNIT=187), LEVEL=hamlet UNIT=06505-thonmo, TARGET=store MEASURE=gap
	@test -n "$${DATE:-}" && test -n "$${KPI:-}$${TARGET:-}" || { echo "Say which cell: make explain COMMUNE=06505 DATE=2021-09-15 KPI=households_with_store, or TARGET=store" >&2; exit 2; }
	@$(RUN) -m kinhteso.local explain --commune "$${COMMUNE:-}" --level "$${LEVEL:-}" --unit "$${UNIT:-}" --date "$${DATE}" --kpi "$${KPI:-}" \
	 --target "$${TARGET:-}" --measure "$${MEASURE:-}" --geography "$${GEOGRAPHY:-}" --release "$${RELEASE:-}" --format "$${FORMAT:-}" --limit "$${LIMIT:-}"

quarantine: install ## what waits for a person: CLASS=postmart/orders EXPORT="postmart/orders 2021-09-14 v1" RULE=Q06 DAY=2021-09-14
	@$(RUN) -m kinhteso.local quarantine $(MEANT)

replay-quarantine: install ## judge it again after a correction, then a release: CLASS=… EXPORT=… RULE=…
	@$(RUN) -m kinhteso.local replay-quarantine $(MEANT)

dismiss-quarantine: install ## it is not to count: CLASS=… EXPORT=… RULE=… REASON="…"
	@$(RUN) -m kinhteso.local dismiss-quarantine $(MEANT) --reason "$${REASON:-}"

resolve: install ## addresses of a CSV to communes: FILE=in.csv OUT=out.csv (id, raw_text, record_date)
	@test -n "$(FILE)" -a -n "$(OUT)" || { echo "Say which file and where to: make resolve FILE=in.csv OUT=out.csv"; exit 2; }
	@$(RUN) -m kinhteso.addresses "$(FILE)" "$(OUT)"

review: install ## names of communes that no rule can tell, with what they can mean; docs/addresses.md says how to decide
	@$(RUN) -m kinhteso.local review

backup: install ## the database into a file of .local/*/backups, encrypted with KINHTESO_BACKUP_KEY
	@$(RUN) -m kinhteso.local backup

restore: install ## the database from such a file: FILE=.local/warehouse/backups/kinhteso-….dump.enc
	@test -n "$(FILE)" || { echo "Say which file: make restore FILE=.local/warehouse/backups/kinhteso-….dump.enc"; exit 2; }
	@$(RUN) -m kinhteso.local restore "$(FILE)"

reconcile: install ## the platforms' whole states against the warehouse: DATE=2021-09-18 (bulk, re-read, and the monthly file that is due)
	@test -n "$(DATE)" || { echo "Say which day: make reconcile DATE=2021-09-18"; exit 2; }
	@$(RUN) -m kinhteso.local reconcile "$(DATE)"

lock: install ## requirements*.txt anew from requirements*.in
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-header --no-annotate --no-emit-index-url requirements.in -o requirements.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-header --no-annotate --no-emit-index-url requirements-dev.in -o requirements-dev.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-header --no-annotate --no-emit-index-url requirements-simulators.in -o requirements-simulators.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-header --no-annotate --no-emit-index-url requirements-bench.in -o requirements-bench.txt

clean: ## away with .venv, .venv-bench and .local
	@rm -rf $(VENV) .venv-bench .local
