# Two commands matter: `make demo` and `make test`. Both set everything up first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test check needed compiled bench lock clean

help:
	@echo "make demo    set up and run the demonstration line; the panel is on http://localhost:8080"
	@echo "make test    set up, install what the tests need where that is allowed, run every check"
	@echo "make check   ruff, mypy and import rules only"
	@echo "make bench   the benchmarks (minutes; they print tables and never fail)"
	@echo "make lock    resolve the dependencies anew into requirements.lock"

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@echo "Setting up $(VENV) (a minute the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --quiet --require-hashes --requirement requirements.lock
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $(STAMP)
	@echo "Ready: $(BIN)/caselink"

demo: setup
	@$(BIN)/caselink demo --for 3m --troubles daily --story --stay

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

needed: setup
	@tests/install_needed $(BIN)/python

# What is compiled once need not be by each of the processes that begin together.
compiled: setup
	@$(BIN)/pytest -q --collect-only >/dev/null 2>&1 || true

# The checks while what the tests need is fetched. Four processes on two cores: half of a test's time
# is waiting for devices that move as fast as bottles do.
test: setup
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=line check needed compiled
	$(BIN)/pytest -q -n 4 --dist loadfile --no-loadscope-reorder

bench: setup
	@for bench in tests/bench/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench || exit 1; done

lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra demo --extra cloud --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet --upgrade \
		--output-file requirements.lock
	for extra in cameras hid; do $(BIN)/uv pip compile pyproject.toml --extra $$extra --constraint requirements.lock \
		--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
		--quiet --output-file tests/extra-$$extra.lock || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
