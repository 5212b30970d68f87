# Everything happens in .venv; nothing is installed globally but Java, and that only where no
# password is needed. The Python that makes .venv can be chosen: make test PYTHON=python3.12
PYTHON ?=
BIN := .venv/bin
READY := .venv/.installed

# Tests start a hundred programs, which would compile the package each time.
unexport PYTHONDONTWRITEBYTECODE

# The demo's network: ours, or the paper's, which takes long and so sees few images.
NETWORK ?= $(if $(WEIGHTS),vgg16,squeezenet)
DEMO_CONFIG = conf/demo$(patsubst %,-%,$(filter-out squeezenet,$(NETWORK))).yaml
DEMO_IMAGES = $(if $(filter squeezenet,$(NETWORK)),out/demo-corpus,out/demo-few --few)

.PHONY: help setup java demo test cluster-test package lint types check bench constraints clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make the virtual environment and install the package with its dependencies

# Made anew only when these files change, and the environment itself only when its Python is gone.
# Twenty thousand modules are compiled by all cores, which pip does by one. Some are no Python.
$(READY): setup.py pyproject.toml constraints.txt
	@$(BIN)/python -c '' 2>/dev/null || \
	  { python=$$(scripts/find-python $(if $(PYTHON),'$(PYTHON)')) && "$$python" -m venv --clear .venv; }
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile \
	  --editable '.[test,s3]' --constraint constraints.txt
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib || true
	@# Spark starts without it, too, but slower; and there may be no Java yet.
	-@$(BIN)/python -m kdsspark.engine.starting.archive
	@touch $@

java:
	@scripts/java-check

demo: java $(READY) ## run the main job on painted images (NETWORK=vgg16; WEIGHTS=IMAGENET1K_V1)
	$(BIN)/python -m demo $(DEMO_IMAGES)
	$(BIN)/kdsspark run --config $(DEMO_CONFIG) $(if $(WEIGHTS),\
	  --set networks.0.weights='$(WEIGHTS)' --set output='out/demo-$(NETWORK)-$(notdir $(WEIGHTS))')

test: java $(READY) ## run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

cluster-test: java $(READY) ## run the tests that take long: most start clusters and break them
	$(BIN)/python -m pytest -m cluster

package: $(READY) ## write dist/kdsspark.zip, for spark-submit --py-files
	$(BIN)/python scripts/package dist

lint: $(READY) ## check style, formatting and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo

types: $(READY) ## check types
	$(BIN)/mypy

check: lint types test ## lint, types and test

bench: java $(READY) ## run the benchmarks that fit ten minutes, and print one table
	$(BIN)/python benchmarks/summary.py

constraints: ## resolve all dependencies afresh and write constraints.txt
	python=$$(scripts/find-python $(if $(PYTHON),'$(PYTHON)')) && scripts/constraints "$$python"

clean: ## remove caches, builds and the demo's output; .venv stays
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache \
	  .hypothesis spark-warehouse metastore_db derby.log out/demo*
	find kdsspark demo tests jobs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
