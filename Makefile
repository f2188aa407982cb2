# make demo: the main job on synthetic CT.  make test: the tests.  Both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo setup test test-pythons test-cluster test-faults test-images test-radosgw test-mutants bench lint types format lock \
  pictures docs clean

INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml
	$(NEW_VENV)
	$(INSTALL) -r requirements.lock
	$(INSTALL) --no-deps --editable .
	@touch .venv/.demo $@

# What users need: without what tests, lint and documentation need besides.
.venv/.demo: requirements.lock pyproject.toml
	$(NEW_VENV)
	$(INSTALL) --constraint requirements.lock --editable ".[cpu]"
	@touch $@

define NEW_VENV
@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else f"Python 3.11 to 3.13 is needed, got {sys.version.split()[0]}; set PYTHON=python3.12 or the like")'
$(PYTHON) -m venv .venv
endef

demo: .venv/.demo
	$(BIN)/lidcflow demo

# Modules are compiled once and not in each of the processes that tests start; the longest files begin first.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

test test-pythons test-cluster test-faults: export PYTHONDONTWRITEBYTECODE :=

test: setup
	$(BIN)/pytest $(PARALLEL)

test-pythons:
	$(PYTHON) tests/pythons.py $(PARALLEL)

test-cluster: setup
	$(BIN)/pytest tests/cluster -m "not faults and not images" -n 2 --dist loadfile --no-loadscope-reorder

test-faults: setup
	$(BIN)/pytest tests/cluster -m faults --write-table

# Needs root and the Debian packages buildah and debootstrap; what it builds stays in build/images.
test-images: setup
	$(BIN)/pytest tests/cluster/test_images.py -m images -s

# The tests of buckets with Ceph's gateway instead of moto; needs the Debian packages radosgw, ceph-mon and ceph-osd.
test-radosgw: setup
	LIDCFLOW_RADOSGW=1 $(BIN)/pytest tests/store tests/source tests/test_objects.py tests/flows/test_bucket.py -m objects

# Small changes to the modules that decide values must make their tests fail; MODULE=delivery tries one of them.
# Its packages stay out of .venv: Dask renames its processes where setproctitle is installed.
test-mutants: setup
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target build/mutmut -r tests/mutants.lock
	PYTHONPATH=$(CURDIR)/build/mutmut $(BIN)/python tests/mutants.py $(MODULE)

# Ratios of all comparisons at small sizes, into docs/measured.md; BENCH="read_sectors pacs" runs some.
bench: setup
	$(BIN)/python -m benchmarks.run $(BENCH)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Pages made from code are written again; no network is needed.
docs: setup
	$(BIN)/python -m docs.generate
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo 'build/site/index.html; python3 -m http.server --directory build/site shows it, with its search'

pictures: setup
	$(BIN)/python docs/pictures.py demo

COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --fork-strategy fewest --python-version 3.11 \
  --no-emit-index-url --no-header --no-annotate

lock:
	$(COMPILE) --extra cpu --extra dev --extra docs --output-file requirements.lock
	$(COMPILE) --extra mutants --constraint requirements.lock --quiet \
	  | grep -vxFf requirements.lock > tests/mutants.lock
	$(COMPILE) --extra gpu --extra server --constraint requirements.lock --quiet \
	  | grep -E '^(nvidia-|tensorflow==)' > infra/gpu.lock

clean:
	rm -rf .venv .pythons demo build dist *.egg-info
