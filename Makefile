# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow test-faults test-cluster browser test-browser check format reference wheel bench clean

demo: .venv/installed
	$(BIN)/finegrid demo demo

# A file's tests share what it has made, and stay together. In the order of their names: sorted by how many tests
# they hold, the files that start processes, few and slow, would come last, and one core would wait for the other.
# A worker has a core of its own: with threads of linear algebra besides, the two would wait for each other.
# What Python has compiled is kept, whatever the environment says: two workers and a hundred processes import it.
test: .venv/dev-installed
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: .venv/dev-installed test-faults test-cluster
	$(BIN)/pytest -m slow --ignore tests/faults --ignore tests/running/test_ray.py

# Kills, cut ledgers, mutated files: docs/faults.md. FINEGRID_FAULTS=0.02 runs a fiftieth of it.
test-faults: .venv/dev-installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow -n 2 --dist worksteal --durations 12 --ignore tests/faults/test_cluster.py tests/faults

# A Ray cluster of three nodes on this machine, whose parts are killed: docs/cluster.md. One test at a time.
test-cluster: .venv/dev-installed
	$(BIN)/pytest -m slow --durations 12 tests/running/test_ray.py tests/faults/test_cluster.py

# Debian's Chromium and its driver, for the tests of the report's page.
browser:
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then \
	    echo "chromium and chromedriver are here"; \
	elif ! command -v apt-get >/dev/null; then \
	    echo "no apt-get here: install chromium and chromedriver of one version, and put both on the path" >&2; exit 2; \
	elif [ "$$(id -u)" != 0 ]; then \
	    echo "apt-get needs root: sudo apt-get install -y --no-install-recommends chromium chromium-driver" >&2; exit 2; \
	else \
	    apt-get update -q && apt-get install -y -q --no-install-recommends chromium chromium-driver; \
	fi

test-browser: .venv/dev-installed .venv/axe-installed
	$(BIN)/pytest -m browser -rs tests/browser

# Only the script of axe-core (MPL-2.0) that the package brings: without what it depends on, a browser of its own.
.venv/axe-installed: constraints.txt | .venv/dev-installed
	$(BIN)/pip install --quiet --no-deps --constraint constraints.txt axe-playwright-python
	touch $@

check: .venv/dev-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/dev-installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/bin/python:
	$(PYTHON) -m venv .venv

# Exact versions come from constraints.txt; pyproject.toml has the ranges that should work.
.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/dev-installed: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# Speed against the published study's loop and Hugging Face's Trainer; on two cores an hour and more. Ctrl-C
# prints what there is.
bench: .venv/bench-installed
	$(BIN)/python benchmarks/speed.py --out speed.json

.venv/bench-installed: .venv/dev-installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	touch $@

reference: .venv/dev-installed
	$(BIN)/python scripts/reference.py
	$(BIN)/python scripts/schemas.py

# A wheel and an archive of the sources, in dist/, and what the wheel holds.
wheel: .venv/dev-installed
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m zipfile --list dist/*.whl

clean:
	rm -rf .venv demo
