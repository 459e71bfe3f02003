# The commands of a Hearth checkout. Each sets up .venv first; when nothing changed that takes a second.
#
#   BACKEND=cpu|cuda|vulkan|rocm|metal   what the language model runs on (cpu)
#   LLAMA=stock                          llama.cpp as it is, without Hearth's patches (patched)
#   LLAMA_WHEEL=file                     a ready llama-cpp-python wheel instead of a compile
#   NATIVE=0                             code for any machine of this architecture, not just for this one (images)
#   ISA=avx2                             bench-engine on AVX2 code only; .venv keeps its build (native)
#   WORKERS=3                            processes that share the tests; 0 runs them in one, in order (3)
#   PYTHON=python3.12                    the Python to use (the newest of 3.13, 3.12, 3.11)
#   HEARTH_CACHE=folder                  where compiled wheels and model files are kept (~/.cache/hearth)

SETUP  = deploy/build/python -m deploy.build.setup
PYTEST = .venv/bin/python -m pytest
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help demo demo-matrix test soak check bench bench-engine lock clean environment

help: ## Show these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'
	@sed -n 's/^#   /  /p' $(MAKEFILE_LIST)

demo: ## Set up, fetch two small models, index the demo documents and chat (QUESTION="..." asks once)
	@$(SETUP)
	@.venv/bin/python -m bot demo

demo-matrix: ## The same in an encrypted Matrix chat, on a homeserver of its own that is gone afterwards
	@$(SETUP)
	@.venv/bin/python -m deploy.demo.matrix

environment: ## Only set up .venv with what Hearth runs on
	@$(SETUP)

test: ## All tests: unit, contract and integration, with real models
	@$(SETUP) --dev
	$(PYTEST) -n $(WORKERS)

soak: ## The long form of the loops that `make test` runs a few rounds of, and new examples for property tests
	@$(SETUP) --dev
	HEARTH_SOAK=1 $(PYTEST) -m "soak or hypothesis" -o timeout=7200

check: ## Formatting, lint, types, layers and unit tests, in seconds
	@$(SETUP) --dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	$(PYTEST) -n $(WORKERS) -q tests/unit

bench: ## Measure against the bar: one JSON object, non-zero below it
	@$(SETUP) --dev
	@.venv/bin/python -m tests.benchmarks

bench-engine: ## Measure the engine against its bar, and beside llama.cpp's own server (compiled once): one JSON object
	@$(SETUP) --dev
	@.venv/bin/python -m deploy.build.llama_server
	@engine=$$(.venv/bin/python -m deploy.build.engine_folder) && PYTHONPATH=$$engine .venv/bin/python -m tests.benchmarks.engine

lock: ## Resolve the locks anew after pyproject.toml changed (UPGRADE=1 takes the newest versions)
	@deploy/build/python -m deploy.build.lock

clean: ## Remove .venv and tool caches; compiled wheels and models stay in the cache folder
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
