# Everything runs in .venv, which the first target sets up. PYTHON picks the interpreter it is made from (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# one process a core, one thread a process: two busy processes of two threads each run several times slower
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint benchmark clean

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "spikec needs Python 3.11 or newer; name one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)  ## train, convert, run and compare two small networks
	$(BIN)/python -m examples.digits_demo --output demo_output

test: $(STAMP)  ## every test
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(STAMP)  ## style, and strict types on the installed wheel
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/typecheck_wheel.py

benchmark: $(STAMP)  ## accuracy over time steps beside other converters (needs what docs/benchmarks.md names)
	$(BIN)/python -m benchmarks.accuracy

clean:
	rm -rf $(VENV) build dist *.egg-info demo_output
