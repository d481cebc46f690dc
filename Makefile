# Each target sets up what it needs in .venv, from Python and a package index alone.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SOURCES := $(shell find hmac_guard examples -type f -not -path '*/__pycache__/*') pyproject.toml README.md LICENSE

.PHONY: help demo serve test slow test-versions test-pythons test-extras test-conformance test-browser test-languages test-explain \
	check test-wire fuzz fuzz-differential fuzz-atheris mutants bench bench-check bench-timing clean

help:
	@echo "make demo   three guarded applications on real servers, good and forged requests, one table"
	@echo "make serve  the same applications, kept up, with a page to try signatures on"
	@echo "make test   the tests, against the built wheel"
	@echo "make test-versions  the same with the oldest frameworks, and with none"
	@echo "make test-pythons   the tests on each CPython from 3.10 to 3.13 (ARGS=tests/test_reading.py for some of them)"
	@echo "make test-extras    each extra alone, in an environment of its own (ARGS=\"sql redis\" for some of them)"
	@echo "make test-conformance  every framework on every server, over real sockets"
	@echo "make test-wire  odd requests over raw sockets to every server, beside what each answered before"
	@echo "make slow   what takes minutes: rotation under load, a million made-up tenants"
	@echo "make test-browser  what a page on another origin sees; needs chromium and node"
	@echo "make test-languages  the code for customers, run in fourteen languages; installs them from Debian where it may"
	@echo "make test-explain  two thousand mistaken requests, explained"
	@echo "make check  format, lint, types"
	@echo "make fuzz   the generated requests of the tests, forty times as many"
	@echo "make bench  what a guard costs, beside its peers; writes docs/speed.md (ARGS=\"doors growth\" for some of it)"
	@echo "make bench-check  the instructions of one request against the ones that were kept; needs valgrind"
	@echo "make bench-timing  whether the time of a refusal tells who is a customer: 200,000 samples for each kind of keys"
	@echo "make fuzz-differential   half a million requests for each source, and what ten frameworks read in them"
	@echo "make mutants  mistakes made in the package on purpose, and whether the tests see them; takes an hour"
	@echo "make fuzz-atheris TARGET=multipart SECONDS=600   requests that coverage leads to"

demo: $(VENV)/demo $(VENV)/wheel
	$(BIN)/hmac-guard demo

serve: $(VENV)/demo $(VENV)/wheel
	$(BIN)/hmac-guard demo --serve

test: $(VENV)/test $(VENV)/wheel
	$(BIN)/coverage erase
	$(BIN)/coverage run $(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/coverage json --quiet -o .coverage.json
	$(BIN)/python tests/coverage_floor.py .coverage.json

slow: $(VENV)/test $(VENV)/wheel
	$(BIN)/pytest -m slow -s $(ARGS)

test-languages: $(VENV)/test $(VENV)/wheel
	tests/languages/install
	$(BIN)/pytest -m languages --timeout=600 tests/languages $(ARGS)

test-explain: $(VENV)/test $(VENV)/wheel
	$(BIN)/pytest -m corpus --timeout=900 tests/test_explain_corpus.py -s $(ARGS)

check: $(VENV)/check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# With the oldest supported release of each framework, and with no framework at all.
test-versions: $(VENV)-oldest/ready $(VENV)-litestar/ready $(VENV)-none/ready $(VENV)/wheel
	$(VENV)-oldest/bin/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	$(VENV)-oldest/bin/pytest tests/frameworks $(ARGS)
	$(VENV)-litestar/bin/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	$(VENV)-litestar/bin/pytest tests/frameworks/test_docs.py $(ARGS)
	$(VENV)-none/bin/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	$(VENV)-none/bin/pytest $(ARGS)

# The wheel on one CPython after another, each in a new environment.
test-pythons: $(VENV)/wheel
	cd tests && ../$(BIN)/python -m pythons ../dist/*.whl $(ARGS)

# The wheel with one extra after another, each in a new environment, where a package that an extra does not bring is missing.
test-extras: $(VENV)/wheel
	cd tests && ../$(BIN)/python -m extras ../dist/*.whl $(ARGS)

# Every application on every server; writes the tables of docs/frameworks.md.
test-conformance: $(VENV)/conformance $(VENV)/wheel
	$(BIN)/pytest -m conformance tests/conformance --write-matrix $(ARGS)

# Odd requests to every server; ARGS=--write-golden writes what they answered to tests/wire/golden.
test-wire: $(VENV)/wire $(VENV)/wheel
	$(BIN)/pytest -m wire tests/wire -s $(ARGS)

# A page on another origin, and the vendors' own packages, in Debian's chromium.
test-browser: $(VENV)/browser $(VENV)/wheel
	$(BIN)/pytest -m browser tests/browser $(ARGS)

fuzz: $(VENV)/test $(VENV)/wheel
	HMAC_GUARD_EXAMPLES=200000 $(BIN)/pytest --timeout=0 tests/test_wsgi_and_asgi_agree.py -k generated -s $(ARGS)

bench: $(VENV)/bench
	$(BIN)/python -m benchmarks --keep $(ARGS)

bench-check: $(VENV)/bench
	$(BIN)/python -m benchmarks.instructions $(ARGS)

bench-timing: $(VENV)/bench
	$(BIN)/python -m benchmarks.timing $(ARGS)

# From the folder of the tests, where the wheel is found and not the folder beside them.
fuzz-differential: $(VENV)/test $(VENV)/wheel
	cd tests && ../$(BIN)/python -m differential $(ARGS)

TARGET  ?= multipart
SECONDS ?= 600
fuzz-atheris: $(VENV)/fuzz $(VENV)/wheel
	cd tests && ../$(BIN)/python -m fuzz $(TARGET) $(SECONDS)

# First the mistakes that are written out, then those that mutmut makes (ARGS="hmac_guard.core.scheme*" for some of them).
# The package is not installed where they run: it is a changed copy that counts.
mutants: $(VENV)-mutation/ready
	cd tests && ../$(VENV)-mutation/bin/python -m mutants
	PYTHONPATH=tests/mutants HMAC_GUARD_EXAMPLES=150 $(VENV)-mutation/bin/mutmut run --max-children 2 $(ARGS)
	$(VENV)-mutation/bin/mutmut results

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "hmac_guard needs Python 3.10 or later; say which: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet '.[demo]'
	@touch $@

$(VENV)/test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --group test '.[cli]'
	@touch $@

$(VENV)/fuzz: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --group fuzz '.[cli]'
	@touch $@

$(VENV)/check: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --group check '.[cli]'
	@touch $@

# uWSGI is built where it is installed; where it cannot be, its tests say that they were not run.
$(VENV)/wire: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --group wire '.[cli]' || \
		$(BIN)/python -m pip install --quiet --group conformance '.[cli]'
	@touch $@

$(VENV)/browser $(VENV)/conformance: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --group $(@F) '.[cli]'
	@touch $@

$(VENV)-oldest/ready: tests/oldest.txt
$(VENV)-oldest/ready: packages := -r tests/oldest.txt
# Apart: it brings a module `multipart`, which the oldest Starlette takes for python-multipart.
$(VENV)-litestar/ready: packages := litestar==2.19.0
$(VENV)-%/ready: pyproject.toml | $(BIN)/python
	$(PYTHON) -m venv $(VENV)-$*
	$(VENV)-$*/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)-$*/bin/python -m pip install --quiet --group tools . $(packages)
	@touch $@

$(VENV)-mutation/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)-mutation
	$(VENV)-mutation/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)-mutation/bin/python -m pip install --quiet --group mutation
	@touch $@

$(VENV)/bench: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --group bench .
	@touch $@

# What is tested is what is shipped: the wheel, not the folder beside the tests.
$(VENV)/wheel: $(SOURCES) | $(BIN)/python
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-* dist build mutants .coverage .coverage.json .hypothesis .mypy_cache .pytest_cache .ruff_cache
