# Everything a newcomer or CI runs. Needs Python 3.11+ and the package registries, nothing else.
SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: setup demo demo-real test contract crash survival bench bench-compare bench-quick bench-instructions check audit format clean

PYTHON ?= python3
BIN := .venv/bin
CODE := src tests bench tools examples
STAMP := .venv/.synced

setup: $(STAMP)

# uv comes from the registry into .venv where it is missing; then the lock decides everything.
$(STAMP): uv.lock pyproject.toml tools/setup
	@PYTHON="$(PYTHON)" sh tools/setup
	@touch $(STAMP)

check: setup
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/lint-imports --no-logo
	$(BIN)/pyright
	$(BIN)/python -m pytest tests/test_shape.py

# Known vulnerabilities of what is locked. AUDIT_URL: a mirror of api.osv.dev; AUDIT=required: not to be asked is a failure.
audit: setup
	@tools/audit

demo: setup
	@$(BIN)/python tools/demo.py

# The same system with a real model, small enough to ship in a package. Builds llama.cpp's server the first time.
demo-real: setup
	@tools/demo-real

# Tests wait more than they work: WORKERS=2 at a time by default, each file in one of them; WORKERS=0 for a debugger.
test: setup
	$(BIN)/python -m pytest -n $(or $(WORKERS),2) --dist loadfile

# With PEER=1 the same behaviours are asked of the real opencode too.
contract: setup
	MIMOCODE_CONTRACT_PEER=$(PEER) $(BIN)/python -m pytest tests/contract tests/e2e/test_real_clients.py \
		tests/e2e/test_terminal_ui.py tests/e2e/test_terminal_ui_sessions.py

# kill -9, N times, and what became of every turn. The seed of a failure is printed; N=1 SEED=… kills there again.
# REPORT=bench/KILLS.md writes it down, MINUTES=… bounds it; COMMITS=1 dies at every transaction instead.
crash: setup
	PYTHONPATH=tests:. $(BIN)/python -m tests.crash $(or $(N),100) $(if $(SEED),--seed $(SEED)) $(if $(COMMITS),--commits) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(REPORT),--report $(REPORT))

# Every client through every proxy, about ten minutes; writes docs/survival.md. ONLY="nginx httpx" runs some of it.
survival: setup
	PYTHONPATH=tests:. $(BIN)/python -m tests.survival $(if $(ONLY),--only $(ONLY))

# Beside the least that could do it and, with PEER=1, beside the peer, in one run; writes bench/RESULTS.md. ONLY="turns
# blocked" measures some of it again, QUICK=1 only shows that it works, RUNS=5 says how often.
bench: setup
	$(BIN)/python -m bench $(if $(PEER),--peer) $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick) $(if $(RUNS),--runs $(RUNS))

# Two commits, measured alternately, or two results.json: make bench-compare A=HEAD~5 B=HEAD
bench-compare: setup
	$(BIN)/python -m bench.compare $(A) $(B) $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick) $(if $(RUNS),--runs $(RUNS))

# Counts, not seconds; fails where more than twice as much is done as bench/quick.json says. UPDATE=1 writes that.
bench-quick: setup
	$(BIN)/python -m bench.quick $(if $(UPDATE),--update)

# The machine's instructions of a turn, a reply, a delta, by library; needs valgrind. UNITS="turn", AT=HEAD~5, KEEP=folder
bench-instructions: setup
	$(BIN)/python -m bench.instructions $(UNITS) $(if $(COUNT),--count $(COUNT)) $(if $(AT),--at $(AT)) $(if $(KEEP),--keep $(KEEP))

format: setup
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache node_modules .cache
