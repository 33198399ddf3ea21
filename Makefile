# Everything a developer, a newcomer and CI run. `make help` lists it.
PYTHON ?= python3
VENV := .venv
# Arguments of `make soak`, such as SOAK="--minutes 2 --calls 20".
SOAK ?=
# Arguments of `make bench`, such as BENCH="--quick --json figures.json".
BENCH ?=
# Arguments of `make cluster`, such as CLUSTER="--only rollout".
CLUSTER ?=
# Compiled modules are kept: tests start hundreds of processes, which would each compile the project anew.
unexport PYTHONDONTWRITEBYTECODE
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help demo clients go-client java-client typescript-client rust-client test check chaos soak mutations alerts cluster cluster-test compat bench rollouts docs protos locks clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.runtime  ## recognise the bundled recordings with the embedded recogniser
	@$(BIN)/python clients/demo.py

clients: go-client java-client typescript-client rust-client  ## build the clients in other languages, and run their unit tests

go-client: $(VENV)/.generator
	@clients/go/generate.sh --check
	@cd clients/go && test -z "$$(gofmt -l .)" && go vet ./... && go test ./... && go build -trimpath -o bin/ ./cmd/asr-client-go

java-client:
	@cd clients/java && mvn --quiet --batch-mode package && install -m 755 launcher.sh target/asr-client-java

typescript-client: $(VENV)/.development clients/typescript/node_modules/.package-lock.json
	@clients/typescript/generate.sh --check
	@cd clients/typescript && npm run --silent lint && npm run --silent build && npm test --silent

clients/typescript/node_modules/.package-lock.json: clients/typescript/package-lock.json
	@cd clients/typescript && npm ci --no-audit --no-fund --silent
	@touch $@

rust-client:
	@cd clients/rust && cargo fmt --check && cargo clippy --quiet --release --locked --all-targets -- -D warnings
	@cd clients/rust && cargo test --quiet --release --locked && cargo build --quiet --release --locked

test: $(VENV)/.development $(VENV)/.riva  ## run the tests, several files at once
	@$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder --ignore tests/cluster

check: $(VENV)/.development $(VENV)/.generator  ## format, lint, types, contract, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/buf lint protos
	@$(BIN)/buf breaking protos --against protos/baseline.binpb
	@$(VENV)/protos/bin/python protos/generate.py --check
	@$(BIN)/python docs/generate.py --check
	@$(BIN)/python docs/generate_values.py --check
	@$(BIN)/python docs/generate_metrics.py --check
	@$(BIN)/python docs/generate_options.py --check
	@$(BIN)/python docs/generate_emulator.py --check
	@$(BIN)/python -m pytest tests/test_layering.py

chaos: $(VENV)/.development  ## try 3,000 calls under random faults; CHAOS_SEED=7 repeats a run; 40 minutes
	@CHAOS_SCHEDULES=3000 $(BIN)/python -m pytest tests/chaos

soak: $(VENV)/.development  ## 100 calls at a time for 30 minutes while every connection fails; memory and files over time
	@PYTHONPATH=tests $(BIN)/python -m soak $(SOAK)

bench: $(VENV)/.development  ## measure gateway, official SDK and a bare relay side by side; 8 minutes
	@PYTHONPATH=tests $(BIN)/python -m benchmarks $(BENCH)

rollouts: $(VENV)/.development  ## count calls that fail while gateways are replaced: 10,000 for each of two clients; 15 minutes
	@PYTHONPATH=tests $(BIN)/python -m rollouts

mutations: $(VENV)/.development  ## decode 10,000 changed recordings of each encoding; AUDIO_SEED=7 repeats a run; 20 minutes
	@AUDIO_MUTATIONS=10000 $(BIN)/python -m pytest tests/audio/test_hostile.py --timeout 3600

alerts: $(VENV)/.development  ## force every alert of the chart by a real fault, 60 times faster than in production; 6 minutes
	@ASRGATEWAY_LONG_TESTS=1 $(BIN)/python -m pytest tests/observability/test_forced_alerts.py --numprocesses 4

cluster-test: $(VENV)/.development  ## install the chart on API servers of the oldest and the newest Kubernetes, which it builds first
	@PYTHONPATH=tests $(BIN)/python -m cluster
	@KUBECACHEDIR=.pytest_cache/kube $(BIN)/python -m pytest tests/cluster --numprocesses 2 --dist loadgroup

cluster: $(VENV)/.development  ## run the chart on two Kubernetes nodes of its own, as root; 7 minutes, the first time 20
	@PYTHONPATH=tests $(BIN)/python -m node $(CLUSTER)

compat: $(VENV)/.development  ## try the client on the oldest and newest libraries
	@$(BIN)/python tests/compat.py

docs: $(VENV)/.runtime  ## write the pages of settings and metrics, and the chart's table of values
	@$(BIN)/python docs/generate.py
	@$(BIN)/python docs/generate_values.py
	@$(BIN)/python docs/generate_metrics.py
	@$(BIN)/python docs/generate_options.py
	@$(BIN)/python docs/generate_emulator.py

protos: $(VENV)/.generator  ## write the Python stubs from the contract
	@$(VENV)/protos/bin/python protos/generate.py

locks: $(VENV)/.development  ## resolve every requirements.in anew
	@$(LOCK) server/requirements.in -o server/requirements.txt
	@$(LOCK) tests/requirements.in -o tests/requirements.txt
	@$(LOCK) protos/requirements.in -o protos/requirements.txt
	@$(LOCK) tests/riva_client/requirements.in -o tests/riva_client/requirements.txt
	@$(LOCK) tests/compat/oldest.in -o tests/compat/oldest.txt
	@$(LOCK) tests/compat/newest.in -o tests/compat/newest.txt

clean:  ## remove everything that was installed or built here
	rm -rf $(VENV) dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf clients/go/bin clients/java/target clients/rust/target clients/typescript/dist clients/typescript/node_modules

$(VENV)/.runtime: server/requirements.txt pyproject.toml clients/python/pyproject.toml
	@echo "Installing the gateway and its client into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r server/requirements.txt
	@$(PIP) install --no-deps --no-build-isolation -e ./clients/python -e .
	@touch $@

$(VENV)/.development: $(VENV)/.runtime tests/requirements.txt
	@echo "Installing what the tests need ..."
	@$(PIP) install --require-hashes -r tests/requirements.txt
	@touch $@

# Its tests are skipped where it cannot be installed, and fail in CI.
$(VENV)/.riva: $(VENV)/.development tests/riva_client/requirements.txt
	@echo "Installing NVIDIA's client into $(VENV)/riva ..."
	@test -x $(VENV)/riva/bin/python || $(PYTHON) -m venv $(VENV)/riva
	@$(VENV)/riva/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes \
		-r tests/riva_client/requirements.txt && touch $@ || rm -rf $(VENV)/riva

$(VENV)/.generator: protos/requirements.txt
	@echo "Installing the stub generator into $(VENV)/protos ..."
	@test -x $(VENV)/protos/bin/python || $(PYTHON) -m venv $(VENV)/protos
	@$(VENV)/protos/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r protos/requirements.txt
	@touch $@
