# Gyre. `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
CORES ?= all
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH="$(CURDIR)$${PYTHONPATH:+:$$PYTHONPATH}"
SNAKEMAKE := $(RUN) snakemake --cores $(CORES)

.DEFAULT_GOAL := help
.PHONY: help install install-dev system system-slurm demo full dynamics nowcasting all test test-slow test-gates test-kill test-mutations test-soak test-crate test-assimilation test-pysteps test-grib test-conda test-slurm lint format reference dry-run report clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

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

system-slurm:  ## Debian packages for the tests on a Slurm cluster (needs root)
	command -v slurmctld slurmd sbatch munged >/dev/null || { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
	  apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge >/dev/null; }

demo: install  ## The main job on real data: six to ten minutes on two cores, then open the report
	$(SNAKEMAKE) demo
	@echo "open results/eddies-mediterranean/report.html"

full: install  ## The complete comparison: all models, losses and seeds (about an hour on two cores)
	$(SNAKEMAKE) --config 'experiments=["eddies-mediterranean-full"]' -- all

DYNAMICS := lorenz63-forecast binn-forecast binn-forecast-rk4 binn-forecast-noisy lorenz96 binn-assimilation \
  assimilation-partial assimilation-partial-lorenz96 closure-burgers closure-qg closure-3d shallow-water-forcing \
  closure-scalar-flux pde-netgen lorenz96-two-scale lorenz96-assimilation lorenz63-schemes \
  lorenz63-partial-history ode-schemes

dynamics: install  ## Every experiment on simulated systems at full size (many hours on two cores)
	set -e; for name in $(DYNAMICS); do $(SNAKEMAKE) --config "experiments=[\"$$name\"]" -- all; done

NOWCASTING := nowcast-growth cloud-cover wind wind-vector persiann persiann-advection deeprain nowcast-knmi nowcast-meteonet nowcast-rain \
  nowcast-moving-digits nowcast-moving-digits-ood nowcast-moving-digits-plus

nowcasting: install  ## Every experiment on nowcasts and forecasts at a site at full size (hours on two cores)
	set -e; for name in $(NOWCASTING); do $(SNAKEMAKE) --config "experiments=[\"$$name\"]" -- all; done

all: install  ## Everything that config/config.yaml names
	$(SNAKEMAKE)

dry-run: install  ## What would be done
	$(SNAKEMAKE) --dry-run

report: install  ## Snakemake's own report: report-snakemake.zip
	$(SNAKEMAKE) --report report-snakemake.zip

test: export PYTHONDONTWRITEBYTECODE =  # it starts hundreds of processes; only the first should compile the package
test: install-dev  ## The test suite (about a quarter of an hour on two cores)
	$(RUN) python -m pytest -n $${GYRE_TEST_WORKERS:-3} --dist loadfile --durations=25

test-slow: install-dev  ## Tests that take minutes
	$(RUN) python -m pytest -m slow

# GYRE_PROJECT: the folder that holds data and results; GYRE_AS_IS=1: results are taken as they lie there, nothing is run.
test-gates: install-dev  ## What full-size experiments must show; runs what make dynamics and make nowcasting have not
	$(RUN) python -m pytest -m gates -n 0 tests/gates

test-slurm: install-dev  ## Runs and faults on a real Slurm cluster on this machine (needs root and make system-slurm)
	$(RUN) python -m pytest -m slurm -n 0

.venv/conda-tools: tests/conda/requirements.txt
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check -r tests/conda/requirements.txt
	touch $@

test-conda: install-dev .venv/conda-tools  ## snakemake --sdm conda, with wheels from PyPI in place of conda-forge (minutes, 5 GB)
	$(RUN) GYRE_CONDA_PYTHON="$(CURDIR)/.venv/conda-tools/bin/python" python -m pytest -m conda --log-cli-level=INFO

.venv-crate/.installed: requirements-crate.txt
	$(PYTHON) -m venv .venv-crate
	.venv-crate/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-crate.txt
	touch $@

test-crate: install-dev .venv-crate/.installed  ## The RO-Crate of a run against the community's validator
	$(RUN) python -m pytest -m crate

.venv-dapper/.installed: requirements-dapper.txt
	$(PYTHON) -m venv .venv-dapper
	.venv-dapper/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-dapper.txt
	touch $@

test-assimilation: install-dev .venv-dapper/.installed  ## Ensemble methods against DAPPER; long twins
	$(RUN) python -m pytest -m "dapper or slow" tests/assimilation

.venv-pysteps/.installed: requirements-pysteps.txt
	$(PYTHON) -m venv .venv-pysteps
	.venv-pysteps/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-pysteps.txt
	.venv-pysteps/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation pysteps==1.21.5
	touch $@

test-pysteps: install-dev .venv-pysteps/.installed  ## Optical flow against pysteps and OpenCV, its nowcasts (compiles pysteps)
	$(RUN) python -m pytest -m pysteps tests/motion tests/tasks/nowcasting

.venv-grib/.installed: requirements-grib.txt
	$(PYTHON) -m venv .venv-grib
	.venv-grib/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-grib.txt
	touch $@

test-grib: install-dev .venv-grib/.installed  ## GRIB files against ecCodes
	$(RUN) python -m pytest -m grib tests/readers

test-soak: install-dev  ## Thirty simulated nights of arrivals, with an outage, a re-issue and a late day
	$(RUN) python -m pytest -m soak -n 0 -rP

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
