# Each target installs what it needs in .venv. It needs only Python and a package index.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SPHINX := PYTHONPATH=. $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --builder html docs build/docs
SOURCES := $(shell find hmac_guard examples -type f -not -path '*/__pycache__/*') pyproject.toml hatch_build.py README.md LICENSE

.PHONY: help demo serve test slow test-versions test-pythons test-extras test-docs test-conformance test-browser test-languages test-explain \
	screenshots check lint types docs dist sbom test-wire test-chaos test-soak test-forks test-races test-vendors fuzz fuzz-differential fuzz-atheris \
	mutants bench bench-check bench-timing clean

help:
	@echo "make demo   send good and forged requests to three guarded applications on real servers"
	@echo "make serve  run the same applications, with a page where you can try signatures"
	@echo "make test   run the tests against the built wheel"
	@echo "make test-versions  run the tests with the oldest supported frameworks, and without frameworks"
	@echo "make test-pythons   run the tests with each CPython from 3.10 to 3.13 (ARGS=tests/unit/core for some of them)"
	@echo "make test-extras    test each extra alone, in a new environment (ARGS=\"sql redis\" for some of them)"
	@echo "make test-docs  run every code block of README and docs, with the packages that its page names (ARGS=README.md for one page)"
	@echo "make test-conformance  test every framework on every server, over sockets"
	@echo "make test-wire  send malformed requests to every server, and compare the answers with the recorded ones"
	@echo "make test-chaos  send requests while databases and networks fail (ARGS=\"-k frozen\" for some of the rows)"
	@echo "make test-soak  send requests for twenty minutes while keys rotate, and from clients that hang up"
	@echo "make test-forks  send requests to servers that fork, reload and replace workers, and count the answers"
	@echo "make test-races  send one signed request from fifty clients at once to each single-use store"
	@echo "make test-vendors  test webhooks with the vendors' own libraries; needs node"
	@echo "make slow   run the slow tests: rotation under load, a million unknown tenants"
	@echo "make test-browser  test pages on another origin; needs chromium and node"
	@echo "make screenshots  write each page of the console as a PNG; needs chromium"
	@echo "make test-languages  run the code for customers in fourteen languages; installs them from Debian if possible"
	@echo "make test-explain  explain two thousand generated requests with mistakes"
	@echo "make check  check format, lint, types, imports and documentation"
	@echo "make lint   check format, lint and imports"
	@echo "make types  check the types of the package and of code that uses it"
	@echo "make docs   write the site of the documentation to build/docs, and test it"
	@echo "make dist   build the sdist and the wheel, and check their metadata; nothing is published"
	@echo "make sbom   write dist/sbom.cdx.json: the packages that all extras bring along (CycloneDX)"
	@echo "make fuzz   send 200,000 generated requests over WSGI and ASGI"
	@echo "make bench  measure the cost of a guard and of its peers; writes docs/speed.md (ARGS=\"interfaces growth\" for some of it)"
	@echo "make bench-check  compare the instructions of one request with the recorded ones; needs valgrind"
	@echo "make bench-timing  test whether the time of a refusal reveals a tenant: 200,000 samples for each kind of keys"
	@echo "make fuzz-differential   compare the guard with ten frameworks: half a million requests for each source"
	@echo "make mutants  change the code of the package and check that a test fails; takes an hour"
	@echo "make fuzz-atheris TARGET=multipart SECONDS=600   coverage-guided fuzzing"

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

# Prints a row as it ends. Needs PostgreSQL, MariaDB and redis-server, and root for the rows that lose packets.
# Three processes share the rows, each with its own servers. Then the floods run alone, since they measure latency.
# The status 5 of pytest means that ARGS selects no test there.
test-chaos: $(VENV)/conformance $(VENV)/wheel
	@processes=; status=0; for part in 0/3 1/3 2/3; do \
		CHAOS_PART=$$part $(BIN)/pytest -m chaos tests/acceptance/chaos/test_chaos.py -s $(ARGS) & processes="$$processes $$!"; \
	done; for process in $$processes; do \
		wait $$process || test $$? = 5 || status=1; \
	done; \
	$(BIN)/pytest -m chaos tests/acceptance/chaos/test_load.py -s $(ARGS) || test $$? = 5 || status=1; \
	exit $$status

test-soak: $(VENV)/conformance $(VENV)/wheel
	$(BIN)/pytest -m soak tests/acceptance/chaos -s $(ARGS)

# Prints a row as it ends. Needs PostgreSQL and Redis. uWSGI 2.0.26 is the last one that runs no threads by itself.
test-forks: $(VENV)/wire $(VENV)-uwsgi/ready $(VENV)/wheel
	HMAC_GUARD_OLD_UWSGI=$(abspath $(VENV)-uwsgi/bin/uwsgi) $(BIN)/pytest -m forks tests/acceptance/forks -s $(ARGS)

slow: $(VENV)/test $(VENV)/wheel
	$(BIN)/pytest -m slow -s $(ARGS)

# One signed request from fifty clients at once, to four workers: Redis, PostgreSQL, SQLite, Django's cache.
test-races: $(VENV)/test $(VENV)/wheel
	$(BIN)/pytest -m races tests/acceptance/test_races.py -s $(ARGS)

# Webhooks that the vendors' own libraries sign or verify; some of them are packages of npm.
test-vendors: $(VENV)/vendors $(VENV)/wheel
	npm install --silent --no-audit --no-fund --prefix $(VENV)/node standardwebhooks stripe @octokit/webhooks-methods \
		@paddle/paddle-node-sdk @shopify/shopify-api
	HMAC_GUARD_NODE=$(abspath $(VENV)/node) $(BIN)/pytest -m vendors tests/acceptance/vendors -s $(ARGS)

test-languages: $(VENV)/test $(VENV)/wheel
	tests/acceptance/languages/install
	$(BIN)/pytest -m languages --timeout=600 tests/acceptance/languages $(ARGS)

test-explain: $(VENV)/test $(VENV)/wheel
	$(BIN)/pytest -m corpus --timeout=900 tests/acceptance/test_explain_corpus.py -s $(ARGS)

# With `--jobs=2`, its parts run at the same time.
check: lint types docs

lint: $(VENV)/check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(VENV)/check
	$(BIN)/mypy
	$(BIN)/pytest --quiet -m types tests/acceptance/test_types.py

# The site, in build/docs. A warning is an error, and nothing is fetched.
docs: $(VENV)/check
	$(SPHINX)
	$(BIN)/pytest --quiet -m site tests/docs/test_site.py

# What is published. `.github/workflows/release.yml` publishes it.
dist: $(VENV)/build
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	@grep -q '^Homepage = .*\.example"' pyproject.toml && echo "WARNING: the address in pyproject.toml does not exist" || true

# Of a new environment with all extras and no tools.
sbom: $(VENV)/sbom
	rm -rf $(VENV)-sbom
	$(PYTHON) -m venv --without-pip $(VENV)-sbom
	$(BIN)/python -m pip --python $(VENV)-sbom/bin/python install --quiet \
		'.[cache,cli,console,crypto,demo,opentelemetry,prometheus,redis,sql]'
	mkdir -p dist
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-format JSON \
		--output-file dist/sbom.cdx.json $(VENV)-sbom/bin/python

# The tests of the handles, and of the guard in each framework.
FRAMEWORK_TESTS := tests/unit/django tests/unit/console/test_mounts.py tests/unit/once/test_used_once.py \
	$(patsubst %,tests/unit/test_%.py,fastapi flask mount_points refused_again starlette taken_over) \
	tests/acceptance/test_bridges.py tests/docs/test_frameworks.py

# With the oldest supported version of each framework, and without frameworks.
test-versions: $(VENV)-oldest/ready $(VENV)-litestar/ready $(VENV)-none/ready $(VENV)/wheel
	$(VENV)-oldest/bin/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	$(VENV)-oldest/bin/pytest $(FRAMEWORK_TESTS) $(ARGS)
	$(VENV)-litestar/bin/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	$(VENV)-litestar/bin/pytest tests/docs/test_frameworks.py $(ARGS)
	$(VENV)-none/bin/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	$(VENV)-none/bin/pytest $(ARGS)

# The wheel with each CPython, in a new environment.
test-pythons: $(VENV)/wheel
	cd tests && ../$(BIN)/python -m acceptance.pythons ../dist/*.whl $(ARGS)

# The wheel with each extra in a new environment. So a package that an extra lacks is missing there.
test-extras: $(VENV)/wheel
	cd tests && ../$(BIN)/python -m acceptance.extras ../dist/*.whl $(ARGS)

# Every code block runs in a test, and then those of each page in a new environment with what the page installs.
test-docs: $(VENV)/test $(VENV)/wheel
	cd tests && ../$(BIN)/python -m documentation ../dist/*.whl $(ARGS)

# Tests every application on every server; writes the tables of docs/frameworks.md.
test-conformance: $(VENV)/conformance $(VENV)/wheel
	$(BIN)/pytest -m conformance tests/acceptance/conformance --write-matrix $(ARGS)

# Malformed requests to every server; ARGS=--write-golden writes the answers to tests/acceptance/wire/golden.
test-wire: $(VENV)/wire $(VENV)/wheel
	$(BIN)/pytest -m wire tests/acceptance/wire -s $(ARGS)

# A page on another origin, and the packages of vendors, in Debian's chromium.
test-browser: $(VENV)/browser $(VENV)/wheel
	$(BIN)/pytest -m browser tests/acceptance/browser $(ARGS)

# Writes each page of the console as a PNG, wide and narrow, light and dark.
screenshots: $(VENV)/browser $(VENV)/wheel
	cd tests && ../$(BIN)/python -m acceptance.browser.screenshots $(abspath build/screenshots) $(ARGS)
	@echo "the pages are in build/screenshots"

fuzz: $(VENV)/test $(VENV)/wheel
	HMAC_GUARD_EXAMPLES=200000 $(BIN)/pytest --timeout=0 tests/acceptance/test_wsgi_and_asgi_agree.py -k generated -s $(ARGS)

bench: $(VENV)/bench
	$(BIN)/python -m benchmarks --keep $(ARGS)

bench-check: $(VENV)/bench
	$(BIN)/python -m benchmarks.instructions $(ARGS)

bench-timing: $(VENV)/bench
	$(BIN)/python -m benchmarks.timing $(ARGS)

# Runs in the folder of the tests, so that the installed wheel is imported and not the source folder.
fuzz-differential: $(VENV)/test $(VENV)/wheel
	cd tests && ../$(BIN)/python -m acceptance.differential $(ARGS)

TARGET  ?= multipart
SECONDS ?= 600
fuzz-atheris: $(VENV)/fuzz $(VENV)/wheel
	cd tests && ../$(BIN)/python -m acceptance.fuzz $(TARGET) $(SECONDS)

# First the written-out mutants, then those of mutmut (ARGS="hmac_guard.core.scheme*" for some of them).
# The package is not installed there, because a changed copy is tested.
mutants: $(VENV)-mutation/ready
	cd tests && ../$(VENV)-mutation/bin/python -m acceptance.mutants
	PYTHONPATH=tests/acceptance/mutants HMAC_GUARD_EXAMPLES=150 $(VENV)-mutation/bin/mutmut run --max-children 2 $(ARGS)
	$(VENV)-mutation/bin/mutmut results

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "hmac_guard needs Python 3.10 or later; name one: make PYTHON=python3.12 ..."; exit 1; }
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

# pip compiles uWSGI. If this fails, the tests of uWSGI report that they were not run.
$(VENV)/wire: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --group wire '.[cli]' || \
		$(BIN)/python -m pip install --quiet --group conformance '.[cli]'
	@touch $@

$(VENV)/browser $(VENV)/conformance $(VENV)/vendors: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --group $(@F) '.[cli]'
	@touch $@

$(VENV)/build $(VENV)/sbom: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --group $(@F)
	@touch $@

$(VENV)-oldest/ready: tests/oldest.txt
$(VENV)-oldest/ready: packages := -r tests/oldest.txt
# Separate: it installs a module `multipart`, which the oldest Starlette takes for python-multipart.
$(VENV)-litestar/ready: packages := litestar==2.19.0
$(VENV)-%/ready: pyproject.toml | $(BIN)/python
	$(PYTHON) -m venv $(VENV)-$*
	$(VENV)-$*/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)-$*/bin/python -m pip install --quiet --group tools . $(packages)
	@touch $@

# If it cannot be compiled, its tests report that they were not run.
$(VENV)-uwsgi/ready: | $(BIN)/python
	$(PYTHON) -m venv $(VENV)-uwsgi
	-$(VENV)-uwsgi/bin/python -m pip install --quiet uwsgi==2.0.26
	@touch $@

$(VENV)-mutation/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)-mutation
	$(VENV)-mutation/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)-mutation/bin/python -m pip install --quiet --group mutation
	@touch $@

$(VENV)/bench: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --group bench .
	@touch $@

# The tests run against the wheel, which is what users install.
$(VENV)/wheel: $(SOURCES) | $(BIN)/python
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-* dist build mutants .coverage .coverage.json .hypothesis .mypy_cache .pytest_cache .ruff_cache
