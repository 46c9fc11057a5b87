# make help lists the targets. Needs python3 (3.10 to 3.13) with pip and venv, make and git; the rest comes from pip.

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
# Enough steps to find every defect type of the drawn plates. Half of the good images set the threshold, which a
# false-alarm rate of 1 % needs. The limit ends training early on a machine that is busy.
DEMO_GOOD ?= 200
DEMO_STEPS ?= 110
DEMO_MINUTES ?= 15
PYTEST_ARGS ?=
# Of `make wheelhouse`: the target of deploy/targets.toml, its extras if others are wanted, a further package index.
TARGET ?= cpu-x86
EXTRAS ?=
INDEX ?=
# A process per core and one more, since many tests wait; up to four: each needs about a gigabyte.
# PYTEST_ARGS="-n 0" runs the tests in one.
TEST_PROCESSES := -n $(shell cores=$$(nproc); echo $$((cores < 3 ? cores + 1 : 4))) --dist worksteal

BIN := $(CURDIR)/$(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_STAMP := $(VENV)/.installed-demo
COMPILED := $(VENV)/.compiled

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help env lint format types imports check test coverage test-long test-camera demo docs docs-serve images bench bench-train \
	bench-graph bench-footprint bench-run wheelhouse clean distclean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(STAMP) ## Make .venv and install the package in it, with everything for development

$(STAMP): pyproject.toml
	@$(call install,dev)
	@touch $@ $(DEMO_STAMP)

$(DEMO_STAMP): pyproject.toml
	@$(call install,all)
	@touch $@

# pip says nothing for minutes, so a line every 25 s says that it works. What is installed is compiled when it is first
# imported: compiling all of it takes 45 s of CPU time, and most is never imported.
define install
set -e; test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
echo "installing into $(VENV); the first time this fetches torch and takes minutes"; \
while sleep 25 >/dev/null; do echo "still installing"; done & ticker=$$!; \
code=0; $(BIN)/python -m pip install -q --no-compile -e '.[$(1)]' || code=$$?; kill $$ticker; exit $$code
endef

lint: env ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: env ## Fix style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: env ## Check types
	$(BIN)/mypy

imports: env ## Check who imports whom
	$(BIN)/lint-imports --no-cache

# Types and import rules are checked beside the tests, many of which wait. What these two find is printed at the end.
# The first time, one process collects the tests before: several would each compile what they import.
define tests_and_rules
found=$$(mktemp); $(MAKE) --no-print-directory -k types imports >"$$found" 2>&1 & rules=$$!; \
trap 'kill $$rules 2>/dev/null; rm -f "$$found"' EXIT; trap 'exit 130' INT TERM; failed=; \
if [ ! $(COMPILED) -nt $(STAMP) ]; then \
echo 'compiling what the tests import, once'; $(BIN)/python -m pytest -q --collect-only >/dev/null 2>&1; touch $(COMPILED); fi; \
$(BIN)/python -m pytest -q $(TEST_PROCESSES) $(1) $(PYTEST_ARGS) || failed=tests; \
if wait $$rules; then echo 'Types and import rules: nothing found.'; \
else echo; cat "$$found"; failed="$${failed:+$$failed and }types or import rules"; fi; \
if [ "$$failed" ]; then echo "Failed: $$failed. See above."; exit 1; fi
endef

# The tests start the program hundreds of times: each start is quicker with its modules compiled.
check test test-long coverage: export PYTHONDONTWRITEBYTECODE :=

check: env lint ## What to run before a commit: style, types, import rules, quick tests; under two minutes
	@$(call tests_and_rules,-m "not slow and not network")

test: env lint ## What CI runs: style, types, import rules, and all tests but the long ones; PYTEST_ARGS="-k name" chooses
	@$(call tests_and_rules,-m "not long")

test-long: env ## The tests that take half a minute of CPU time, before a release
	$(BIN)/python -m pytest -q $(TEST_PROCESSES) -m long $(PYTEST_ARGS)

coverage: env ## All tests, and which lines they run: a third more CPU time
	$(BIN)/python -m pytest -q $(TEST_PROCESSES) --cov --cov-report=term $(PYTEST_ARGS)

test-camera: env ## The runtime on a real V4L2 device: the kernel's virtual camera in an emulated guest; minutes
	PYTHON=$(BIN)/python tests/camera/run.sh $(PYTEST_ARGS)

demo: $(DEMO_STAMP) ## The whole way on drawn images in minutes: train, export, run, report; ends by naming what to open
	$(BIN)/dmdd-edge sample $(DEMO)/data --train $(DEMO_GOOD) --overwrite
	$(BIN)/dmdd-edge train --data $(DEMO)/data --category plate --steps $(DEMO_STEPS) --max-minutes $(DEMO_MINUTES) \
		--holdout 0.5 --runs-dir $(DEMO)/runs --overwrite
	$(BIN)/dmdd-edge export --category plate --runs-dir $(DEMO)/runs --models-dir $(DEMO)/models --target onnx
	$(BIN)/dmdd-edge evaluate --category plate --runs-dir $(DEMO)/runs --report $(DEMO)/report.html
	@rm -rf $(DEMO)/out
	$(BIN)/dmdd-edge run $(DEMO)/data/plate/test/good $(DEMO)/data/plate/test --category plate --models-dir $(DEMO)/models \
		--save $(DEMO)/out
	@echo
	@echo "The report of this demo:    $(abspath $(DEMO))/report.html"
	@echo "The overlays of each type:  $(abspath $(DEMO))/out ($$(find $(DEMO)/out -name '*.png' | wc -l) in all), such as"
	@find $(abspath $(DEMO))/out -name '000.png' | sort | sed 's/^/  /'
	@echo "The live page at http://127.0.0.1:8080 on the same images, until Ctrl-C:"
	@echo "next: $(VENV)/bin/dmdd-edge run --category plate --models-dir $(DEMO)/models --watch $(DEMO)/data/plate/test --watch-existing --serve 8080"

docs: env ## The tables and reference pages of the docs, then the site, strictly, into build/site
	$(BIN)/python docs/make_results.py
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_diagrams.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict -q
	@echo "The site: $(CURDIR)/build/site/index.html"

docs-serve: env ## The site on this machine, rebuilt on each change
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

images: env ## The docs' images from the drawn plates; wants `make demo` first
	$(BIN)/python docs/make_images.py --data $(DEMO)/data/plate --models-dir $(DEMO)/models

bench: bench-train bench-graph bench-footprint ## Every figure that is measured here; wants an idle machine

bench-train: env ## Training throughput against a straightforward loop
	$(BIN)/python benchmarks/train_throughput.py

bench-graph: env ## What the fused graph costs against the two bare backbones
	$(BIN)/python benchmarks/graph_cost.py

bench-run: env ## The run loop on the demo's images; wants `make demo` first
	$(BIN)/python benchmarks/run_loop.py --model $(DEMO)/models/plate --source $(DEMO)/data/plate/test

bench-footprint: env ## Size and start of the lean install
	$(BIN)/python benchmarks/footprint.py

wheelhouse: env ## Every wheel for a site without internet, with hashes; TARGET=cpu-x86|cpu-arm64|cuda-x86|jp6|jp7
	$(BIN)/python deploy/wheelhouse.py $(TARGET) $(if $(EXTRAS),--extras $(EXTRAS)) $(if $(INDEX),--index $(INDEX))

clean: ## Remove what was built and the demo
	rm -rf build dist *.egg-info $(DEMO) .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

distclean: clean ## Remove .venv too
	rm -rf $(VENV)
