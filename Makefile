# Everything a developer or CI does. Needs Python 3.11 with venv and pip, nothing else;
# `make integration`, `make bench` and the tests with a real Kafka also Java 17 and Maven.

PYTHON := $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Pip is silent for minutes or says hundreds of lines: this says how far it is, and all of it when it has failed.
define install
	@{ PYTHONUNBUFFERED=1 $(PIP) install --no-compile --require-hashes --progress-bar off -r $(1) 2>&1 && echo @done; } | \
		awk -v total=$$(grep -c '^[a-z0-9].*==' $(1)) '{ said = said $$0 "\n" } \
		/^@done/ { done = 1 } \
		/^(Collecting|Requirement already satisfied)/ { if (++n % 20 == 1 || n == total) \
			{ printf "  %d of %d packages: %s\n", n, total, $$1 == "Collecting" ? $$2 : $$4; fflush() } } \
		/^Installing collected/ { print "  installing them: half a minute"; fflush() } \
		END { if (!done) { printf "%s", said; exit 1 } }'
	@$(PIP) --quiet install --no-build-isolation --no-deps -e .
endef
# Bytecode is made when a module is first imported: for all of the libraries it would take a minute, and few are used.
# An environment that forbids that would have every process compile all that it imports, two seconds each.
export PYTHONDONTWRITEBYTECODE =
# What is installed is remembered inside .venv, so deleting .venv is all it takes to start anew.
# A platform on one machine has all that it can do there; who installs hydrodask himself chooses by extras.
LOCKED := --generate-hashes --no-emit-index-url $(addprefix --extra ,build dashboard hdfs learn mongo services)
RUNTIME := .venv/.runtime-installed
DEV := .venv/.dev-installed

.DEFAULT_GOAL := help
.PHONY: help install run test check docs integration chaos mutation kubernetes image bench bench-full lock sbom clean

help:  ## this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(RUNTIME)  ## start the platform: embedded broker, simulated rig, live view
	$(BIN)/hydrodask run

test: check  ## what CI runs: check, then all tests; the few that fail once more, alone
	$(BIN)/python -m pytest -n 2 --dist loadfile || $(BIN)/python -m tests.again $$?

check: $(DEV)  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(DEV)  ## the documentation as a site, in build/site; strict: a link to nothing is an error
	$(BIN)/python -m docs.pages

integration: $(DEV)  ## only the tests with real services
	$(BIN)/python -m pytest -m "integration or cluster"

chaos: $(DEV)  ## every fault on real processes; SEEDS=10 for ten of each (hours)
	$(BIN)/python -m pytest tests/chaos --chaos --seeds $(or $(SEEDS),1) --timeout 900

mutation: $(DEV)  ## small faults in the engine, one at a time: which does no quick test notice? (hours)
	$(BIN)/python -m tests.mutation

kubernetes: $(DEV)  ## on a cluster of its own: the kit for tests is built first if it is not there (needs root)
	$(BIN)/python -m pytest tests/kubernetes --kubernetes --timeout 1800

image: $(DEV)  ## OCI images in build/images, without an engine; IMAGES="kafka mongo" for those of the tests
	$(BIN)/python -m cluster.images build $(IMAGES) $(if $(TAG),--tag $(TAG))

bench: $(DEV)  ## hydrodask next to five others on one Kafka, ten minutes; table in build/bench
	rm -f benchmarks/results/quick.json
	$(BIN)/python -m benchmarks run --name quick --rounds 1 --jobs both windows --records 436800 2184000 --limit 180 \
		--engines hydrodask flink spark-tuned kafka-streams bytewax-tuned quix-tuned "bare loop"
	$(BIN)/python -m benchmarks report --name quick --to build/bench
	@cat build/bench/benchmarks.md

bench-full: $(DEV)  ## every engine and job three times (hours); page in docs/benchmarks.md
	rm -f benchmarks/results/peers.json
	$(BIN)/python -m benchmarks run --records 873600 4368000 30000000 --jobs both windows raw
	$(BIN)/python -m benchmarks run --records 873600 4368000 --jobs disorder recovery live
	$(BIN)/python -m benchmarks run --records 43680 --jobs start
	$(BIN)/python -m benchmarks report

install: $(RUNTIME)  ## make .venv with .venv/bin/hydrodask
	@echo "compiling libraries"
	@$(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null || true  # some libraries have templates that don't compile

lock: $(DEV)  ## pin the newest allowed versions, with hashes (needs uv)
	uv pip compile --upgrade $(LOCKED) pyproject.toml -o requirements.lock
	uv pip compile --upgrade $(LOCKED) --extra s3 --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

sbom: $(DEV)  ## what a platform is made of, with hashes, as CycloneDX: build/sbom.json
	mkdir -p build
	PYTHONWARNINGS=ignore $(BIN)/python -m cyclonedx_py requirements requirements.lock --pyproject pyproject.toml \
		--mc-type application --short-PURLs --output-reproducible --output-format JSON --output-file build/sbom.json

clean:  ## delete .venv and caches; data directories stay
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "there is no python3 on the PATH; install Python 3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is too old; install Python 3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Debian, Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(RUNTIME): requirements.lock pyproject.toml | .venv/bin/python
	@echo "installing what hydrodask needs: a minute or two"
	$(call install,requirements.lock)
	@touch $@

# The dev lock holds the runtime lock's versions too: an environment made by `make run` is extended.
$(DEV): requirements-dev.lock requirements.lock pyproject.toml | .venv/bin/python
	@echo "installing what hydrodask and its tests need: some minutes"
	$(call install,requirements-dev.lock)
	@touch $(RUNTIME) $@
