# make run: the main job on a real table that scikit-learn ships. make test: the core suite. make test-all: with all
# extras, so that nothing is skipped for want of a package.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: run test test-all install lint constraints clean

run: $(VENV)/installed
	$(BIN)/finefold run

test: $(VENV)/installed-test
	$(BIN)/python -m pytest

test-all: $(VENV)/installed-all
	$(BIN)/python -m pytest

install: $(VENV)/installed

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/mypy

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[test]"
	@touch $@

$(VENV)/installed-all: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable ".[dask,neural,postgresql,ray,test]"
	@touch $@

# Pins for Linux and macOS on Python 3.11 to 3.13; needs uv.
constraints:
	uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --upgrade \
		--all-extras pyproject.toml --output-file constraints.txt

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
