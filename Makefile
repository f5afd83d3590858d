# Gyre. `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
CORES ?= all
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH="$(CURDIR)$${PYTHONPATH:+:$$PYTHONPATH}"
SNAKEMAKE := $(RUN) snakemake --cores $(CORES)

.DEFAULT_GOAL := help
.PHONY: help install install-dev system demo full all test test-slow test-kill test-mutations lint format reference dry-run report clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

.venv/.installed: requirements.txt constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt -c constraints.txt
	touch $@

install: .venv/.installed  ## Install into .venv, from pinned versions

install-dev: .venv/.installed-dev  ## Install what tests and linters need as well

system:  ## Debian packages for the tests that look at the report in a browser (needs root)
	command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; }

demo: install  ## The main job on real data: about ten minutes on two cores, then open the report
	$(SNAKEMAKE) demo
	@echo "open results/eddies-mediterranean/report.html"

full: install  ## The complete comparison: all models, losses and seeds (hours on two cores)
	$(SNAKEMAKE) --config 'experiments=["eddies-mediterranean-full"]' -- all

all: install  ## Everything that config/config.yaml names
	$(SNAKEMAKE)

dry-run: install  ## What would be done
	$(SNAKEMAKE) --dry-run

report: install  ## Snakemake's own report: report-snakemake.zip
	$(SNAKEMAKE) --report report-snakemake.zip

test: install-dev  ## The test suite (under 15 minutes on two cores)
	$(RUN) python -m pytest -n $${GYRE_TEST_WORKERS:-2} --dist loadgroup

test-slow: install-dev  ## Tests that take minutes
	$(RUN) python -m pytest -m slow

test-kill: install-dev  ## Every stage, stopped 20 times by each of two signals at random moments
	$(RUN) python -m pytest -m kill -n $${GYRE_TEST_WORKERS:-2} --dist load tests/faults/test_kill_matrix.py

test-mutations: install-dev  ## Switch each counter-measure off, in a copy: its test must fail
	$(RUN) python -m tests.faults.mutations

lint: install-dev  ## ruff, mypy, snakefmt, codespell, snakemake --lint
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) snakefmt --check Snakefile rules
	$(RUN) codespell
	$(RUN) snakemake --lint

format: install-dev  ## Bring code and rules into shape
	$(RUN) ruff check --fix --quiet . || true
	$(RUN) ruff format .
	$(RUN) snakefmt Snakefile rules

reference: install-dev  ## Write the generated pages and the configuration schema again
	$(RUN) python -m pipeline_lib reference

clean:  ## Remove data, results and logs (not .venv)
	rm -rf data results logs .snakemake
