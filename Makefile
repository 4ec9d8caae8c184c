# `make` lists the targets. Everything they need they install themselves, into .venv and the cache.

.DEFAULT_GOAL := help
.PHONY: help install dev demo check test forget-last test-unit test-contract test-envoy test-kubernetes test-e2e \
	test-compose test-cluster chaos lint bench bench-quick bench-peers soak bench-envoys bench-trials nats-server cluster cluster-demo cluster-down images lock docs clean

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/osm
# In CI a test that fails is tried once more, and named at the end: others' changes need not wait until it is mended.
PYTEST := .venv/bin/python -m pytest -q $(if $(CI),--reruns 1)
NOT_RUN := .pytest_cache/not-run
SECOND_TRY := .pytest_cache/second-try
# What networks of their own are made with.
NETWORK := unshare=util-linux ip=iproute2 iptables-restore=iptables

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## install what running needs into .venv
	@scripts/install run

dev: ## install what developing needs too
	@scripts/install dev

demo: install ## the bookstore mesh, live, with real Envoys
	@.venv/bin/osm demo

check: install ## the same mesh without a person: every claim proven, step by step
	@.venv/bin/osm demo --check

test: forget-last lint test-unit test-contract test-envoy test-kubernetes test-e2e test-compose test-cluster ## everything that must hold, with real parts
	@[ ! -s $(SECOND_TRY) ] || { echo "passed at the second try only, so something is timed badly:"; sort -u $(SECOND_TRY); }
	@if [ -s $(NOT_RUN) ]; then echo "what this machine can run has passed; not run:"; cat $(NOT_RUN); \
	else echo "all tests passed"; fi

forget-last:
	@rm -f $(NOT_RUN) $(SECOND_TRY)

test-unit: dev ## pure code and small services
	@scripts/kubernetes helm >/dev/null && scripts/bench proxies >/dev/null || : # the tests say what is missing
	$(PYTEST) -n 2 tests/unit

test-contract: dev nats-server ## the bus, in memory and over a real nats-server
	@scripts/nats-server oldest
	$(PYTEST) tests/contract

test-envoy: dev ## translation and protocol against a real Envoy
	@scripts/packages $(NETWORK)
	$(PYTEST) tests/envoy

test-kubernetes: dev ## clients and services against a real Kubernetes API server (needs Go the first time)
	@scripts/kubernetes api >/dev/null && scripts/kubernetes helm >/dev/null && \
		scripts/authorities cert-manager >/dev/null || : # the tests say what is missing
	$(PYTEST) tests/kubernetes

test-e2e: dev nats-server ## the product as a user meets it
	@scripts/packages $(NETWORK)
	@scripts/authorities step-ca >/dev/null || : # the test says what is missing
	$(PYTEST) tests/e2e

test-compose: dev nats-server ## docker-compose.yml as it is, with podman (needs root)
	$(PYTEST) tests/compose

test-cluster: dev nats-server ## on a real Kubernetes cluster (needs root; Go the first time)
	@[ "$$(id -u)" != 0 ] || { scripts/kubernetes >/dev/null && scripts/authorities cert-manager >/dev/null && \
		scripts/images; } || : # the tests say what is missing
	$(PYTEST) tests/cluster

chaos: dev nats-server ## kill and pause the processes of a mesh for five minutes, from a printed seed (ARGS="--seed 7 --minutes 30")
	.venv/bin/python -m tests.e2e.chaos $(ARGS)

lint: dev ## ruff, mypy, import contracts, stale generated files
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python scripts/generated.py --check

bench: dev ## from a change to the last acknowledgement, as tables and JSON in bench/results (needs Go)
	.venv/bin/python -m bench

bench-quick: dev ## the same within two minutes
	.venv/bin/python -m bench --quick

bench-peers: dev ## the same mesh and proxies before go-control-plane and Istio
	.venv/bin/python -m bench.peers

soak: dev ## an hour of churn; fails unless memory and descriptors are flat after it (ARGS="--minutes 5 --streams 50")
	.venv/bin/python -m bench.soak $(ARGS)

bench-envoys: dev ## from an endpoint's change to its being in 60 real Envoys
	.venv/bin/python -m bench.envoys

bench-trials: dev ## an edit among a thousand services, and a thousand proxies with a bad neighbour
	.venv/bin/python -m bench.trials

nats-server: ## build nats-server into the cache (needs Go), unless it is there
	@scripts/nats-server

cluster: ## a Kubernetes cluster of one node (needs root; Go the first time); prints what to export
	@scripts/cluster up

cluster-demo: install ## the bookstore on such a cluster, live (it stays until make cluster-down)
	@scripts/cluster-demo $(ARGS)

cluster-down: ## end it, and leave nothing behind
	@scripts/cluster down

images: ## build our container images, and load them into the cluster if it runs
	@scripts/images $(ARGS)

docs: dev ## write the generated pages anew, and add samples of new documents to tests/corpus
	.venv/bin/python scripts/generated.py
	.venv/bin/python -m tests.corpus.samples

lock: dev ## pin every dependency by hash
	.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --group build pyproject.toml -o requirements.lock
	.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --group build --group dev pyproject.toml -o requirements-dev.lock

clean: ## remove what these targets made in this folder
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist bench/results
	find . -name __pycache__ -prune -exec rm -rf {} +
