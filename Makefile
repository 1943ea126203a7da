# `make demo` and `make test` do everything on a fresh machine, one after the other or each alone.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMPS = $(VENV)/stamps
WORKERS ?= 2
PYTHONS ?= 3.12 3.13
# Plants of tests are in memory where there is room (4 GB), since tests would wait for the disk longer than they compute.
IN_MEMORY = $(shell test "$$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 4000000 2>/dev/null && echo TMPDIR=/dev/shm)
PYTEST = $(IN_MEMORY) KERAS_BACKEND=jax $(BIN)/python -m pytest --dist worksteal -o tmp_path_retention_policy=failed

.PHONY: demo lab quick test suite test-pythons test-oldest coverage lint docs bench pictures nightly clean

# An environment with an extra installed; made anew when the dependencies change.
$(STAMPS)/%: pyproject.toml
	@test -x $(BIN)/python || { echo "Making an environment in $(VENV) ..."; $(PYTHON) -m venv $(VENV); }
	@echo "Installing pyplant[$*] ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@mkdir -p $(STAMPS) && touch $@

# Other kernels that the notebook layer must work on, in folders of their own.
$(STAMPS)/kernels: tests/notebook/kernels.py | $(STAMPS)/dev
	@$(BIN)/python -m tests.notebook.kernels
	@touch $@

demo: $(STAMPS)/demo
	@$(BIN)/python notebooks/demo.py

# Jupyter refuses root, who in a container is the only user there is, unless it is told so.
lab: $(STAMPS)/demo
	@$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) $(ARGS) notebooks/01-quickstart.ipynb

# Linters and documentation take a core each; tests take all. Tests start hundreds of interpreters, which compile the
# package each time where bytecode is not written. They wait for browsers and kernels a quarter of the time, so there is
# one more process than cores.
test: $(STAMPS)/dev $(STAMPS)/kernels
	@$(MAKE) --no-print-directory --jobs 2 lint docs
	@$(BIN)/python -m compileall -q pyplant tests
	$(PYTEST) -n $$(( $(WORKERS) + 1 )) -m "not nightly" $(ARGS)

# What an edit is tried with: no browser, no kernel, no interpreter of its own, and no linter.
quick: $(STAMPS)/dev
	@$(BIN)/python -m compileall -q pyplant tests
	$(PYTEST) -n $(WORKERS) -m "not slow" -q $(ARGS)

# The suite on whatever Python and packages an environment has; no linter, browser or notebook.
suite: $(STAMPS)/test
	$(PYTEST) -n $(WORKERS) -m "not nightly and not browser" \
		--ignore tests/notebook --ignore tests/test_notebooks.py --ignore tests/typing $(ARGS)

# Each Python has an environment of its own; pyenv finds it, or the path.
test-pythons: $(PYTHONS:%=python-%)

python-%:
	@test ! -e .venv-$* -o -e .venv-$*/bin/python$* || { echo "The Python in .venv-$* is another one; remove the folder."; exit 1; }
	@$(MAKE) --no-print-directory suite VENV=.venv-$* PYTHON="$$( \
		PYENV_VERSION=$$(pyenv latest $* 2>/dev/null) pyenv which python 2>/dev/null || command -v python$*)"

# With every dependency as old as pyproject.toml allows.
test-oldest:
	@mkdir -p build && $(PYTHON) -m tests.oldest > build/oldest.txt
	@PIP_CONSTRAINT=$(CURDIR)/build/oldest.txt $(MAKE) --no-print-directory suite VENV=.venv-oldest

# Apart from the tests, which take half as long again with it.
coverage: ARGS += --cov=pyplant --cov-report=term:skip-covered
coverage: test

lint: $(STAMPS)/dev
	$(BIN)/ruff check .
	$(BIN)/biome check
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

# Any warning is an error, so that the reference never names what does not exist.
docs: $(STAMPS)/dev
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs build/docs

bench: $(STAMPS)/bench
	$(BIN)/python -m benchmarks $(ARGS)

pictures: $(STAMPS)/dev
	$(BIN)/python -m tests.browser.pictures

nightly: $(STAMPS)/dev $(STAMPS)/kernels $(STAMPS)/bench
	HYPOTHESIS_PROFILE=nightly PYPLANT_LAWS_EXAMPLES=200 KERAS_BACKEND=jax $(BIN)/python -m pytest --timeout 7200 -m "nightly or not nightly" $(ARGS)
	$(BIN)/python -m reliability --full --write
	@mkdir -p build
	$(BIN)/python -m benchmarks --long --json build/growth.json growth executions sweeps
	$(MAKE) test-pythons

clean:
	rm -rf $(VENV) .venv-* build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
