# make help lists the targets. Needs python3 (3.10 to 3.13) with pip and venv, make and git; the rest comes from pip.

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
DEMO_STEPS ?= 200
PYTEST_ARGS ?=

BIN := $(CURDIR)/$(VENV)/bin
PLAIN := $(CURDIR)/.venv-plain
STAMP := $(VENV)/.installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help env lint format types imports plain test test-camera demo bench bench-train bench-graph bench-footprint \
	bench-run clean distclean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(STAMP) ## Make .venv and install the package in it, with everything for development

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV); the first time this fetches torch and takes minutes"
	$(BIN)/python -m pip install -q -e '.[dev]'
	@touch $@

lint: env ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: env ## Mend style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Type checker and import linter read the package as it is installed: they do not follow an editable install,
# whose stages lie beside the package. Made anew each time, so that a deleted file does not linger.
plain: env
	@rm -rf $(PLAIN) build
	@$(BIN)/python -m pip install -q --no-deps --target $(PLAIN) .

types: plain ## Check types
	cd $(PLAIN) && $(BIN)/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache -p dmdd_edge

imports: plain ## Check who imports whom
	cd $(PLAIN) && PYTHONPATH=$(PLAIN) $(BIN)/lint-imports --config $(CURDIR)/pyproject.toml --no-cache

test: env lint types imports ## Style, types, import rules and tests with coverage; PYTEST_ARGS="-k name" chooses
	$(BIN)/python -m pytest --cov --cov-report=term $(PYTEST_ARGS)

test-camera: env ## The runtime on a real V4L2 device: the kernel's virtual camera in an emulated guest; minutes
	PYTHON=$(BIN)/python tests/camera/run.sh $(PYTEST_ARGS)

demo: env ## The whole way on drawn images: train, export, run; ends by naming the pictures it wrote
	$(BIN)/dmdd-edge sample $(DEMO)/data --overwrite
	$(BIN)/dmdd-edge train --data $(DEMO)/data --category plate --steps $(DEMO_STEPS) --runs-dir $(DEMO)/runs --overwrite
	$(BIN)/dmdd-edge export --category plate --runs-dir $(DEMO)/runs --models-dir $(DEMO)/models
	@rm -rf $(DEMO)/out
	$(BIN)/dmdd-edge run --category plate --models-dir $(DEMO)/models --source $(DEMO)/data/plate/test --save $(DEMO)/out
	@echo
	@echo "The pictures of this demo:"
	@find $(DEMO)/runs -name '*.png' | sort
	@find $(DEMO)/out -name '000.png' | sort
	@echo "and $$(find $(DEMO)/out -name '*.png' | wc -l) in all in $(DEMO)/out"

bench: bench-train bench-graph bench-footprint ## Every figure that is measured here; wants an idle machine

bench-train: env ## Training throughput against a straightforward loop
	$(BIN)/python benchmarks/train_throughput.py

bench-graph: env ## What the fused graph costs against the two bare backbones
	$(BIN)/python benchmarks/graph_cost.py

bench-run: env ## The run loop on the demo's images; wants `make demo` first
	$(BIN)/python benchmarks/run_loop.py --model $(DEMO)/models/plate --source $(DEMO)/data/plate/test

bench-footprint: env ## Size and start of the lean install
	$(BIN)/python benchmarks/footprint.py

clean: ## Remove what was built and the demo
	rm -rf $(PLAIN) build dist *.egg-info $(DEMO) .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

distclean: clean ## Remove .venv too
	rm -rf $(VENV)
