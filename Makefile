# Everything a newcomer or CI runs. Needs Python 3.11+ and the package registries, nothing else.
SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: setup demo test check format clean

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.synced

setup: $(STAMP)

# uv comes from the registry into .venv where it is missing; then the lock decides everything.
$(STAMP): uv.lock pyproject.toml tools/setup
	@PYTHON="$(PYTHON)" sh tools/setup
	@touch $(STAMP)

check: setup
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
	$(BIN)/lint-imports --no-logo
	$(BIN)/pyright
	$(BIN)/python -m pytest tests/test_shape.py

test: setup
	$(BIN)/python -m pytest

format: setup
	$(BIN)/ruff check --fix src tests bench
	$(BIN)/ruff format src tests bench

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache node_modules .cache
