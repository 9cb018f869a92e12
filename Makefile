FITS := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for it in python3.11 python3 python3.12 python3.13 python3.14 python; do \
	$$it -c '$(FITS)' 2>/dev/null && command -v $$it && break; done)
BIN := .venv/bin
# PyPI's torch for Linux brings CUDA, several GB; without an NVIDIA GPU the CPU's wheels do.
NVIDIA ?= $(wildcard /proc/driver/nvidia) $(shell command -v nvidia-smi)
TORCH_CPU ?= https://download.pytorch.org/whl/cpu
ANSWERS := import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + "/torch/", timeout=3)
PROTOS := vae worker inference
SERVICES := vae inference
# Tests of faults wait more than they compute.
WORKERS = $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 2)))
PORT ?= 50051
.DEFAULT_GOAL := help
.PHONY: help install proto lint browser tools test unit check demo serve zoo study bench clean FORCE

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/installed ## create .venv and install everything
.venv/installed: pyproject.toml build/modules.txt
	@test -x $(BIN)/python || test -n "$(PYTHON)" || { \
		echo "no Python 3.11 or newer on PATH ($$(python3 --version 2>&1 || true)); install one, or name it: make PYTHON=/where/python3" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	@if test "$$(uname)" = Linux && test -z "$(strip $(NVIDIA))" && timeout 3 $(BIN)/python -c '$(ANSWERS)' $(TORCH_CPU) 2>/dev/null; \
	then cpu="--extra-index-url $(TORCH_CPU)"; echo "no NVIDIA GPU: torch for the CPU, from $(TORCH_CPU)"; fi; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$cpu -e '.[dev]' --config-settings editable_mode=strict
	@touch $@

# A strict editable install lists modules one by one, so it is stale once a file is added.
build/modules.txt: FORCE
	@mkdir -p build
	@find api proto wire data models trainer server client compare study loadtest cli zoo '(' -name '*.py' -o -name '*.schema.json' -o -path '*/templates/*' -o -path '*/pages/*' -o -name openapi.json ')' | sort > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

proto: install ## regenerate the wire code and openapi.json from proto/
	PATH=$(BIN):$$PATH $(BIN)/python -m grpc_tools.protoc -I proto --python_out=proto --mypy_out=quiet:proto $(PROTOS:%=rdserve/v1/%.proto)
	PATH=$(BIN):$$PATH $(BIN)/python -m grpc_tools.protoc -I proto --grpc_python_out=proto --mypy_grpc_out=quiet:proto $(SERVICES:%=rdserve/v1/%.proto)
	$(BIN)/python tools/openapi.py

lint: install ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

browser: ## Chromium, in which the report is tested
	@{ command -v chromium && command -v chromedriver; } >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium chromium-driver >/dev/null; } || echo "no Chromium to be had here: the report's tests in a browser will be skipped"

tools: ## Prometheus, with which metrics and alerts are tested
	@{ command -v prometheus && command -v promtool; } >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null; } || echo "no Prometheus to be had here: the tests with it will be skipped"

test: install lint browser tools ## the whole suite, real TorchServe included
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=25

unit: install ## the tests that need no service and few seconds
	$(BIN)/python -m pytest -n auto --dist loadfile -m unit

check: lint unit ## before each commit: lint, and the unit tests; under a minute

demo: install ## the digits zoo on TorchServe, compared over gRPC; files in report/
	$(BIN)/rdserve compare --serve zoo/digits --data digits --out report

serve: install ## keep the digits zoo running on 127.0.0.1:$(PORT)
	$(BIN)/rdserve serve --models zoo/digits --port $(PORT)

zoo: install ## train the digits zoo again
	$(BIN)/rdserve zoo zoo/digits.toml

study: install ## train what zoo/digits-study lacks of the study's 220 models of digits; some 7 hours of a core
	$(BIN)/rdserve zoo zoo/digits-study.toml

bench: install ## throughput and latency, beside TorchServe alone and the bare model; about 7 minutes
	$(BIN)/python -m benchmarks

clean: ## remove what was built, not what was trained
	rm -rf .venv build report .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: docs
docs: install ## the documentation as a site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
