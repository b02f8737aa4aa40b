# Everything from a fresh clone: `make demo` and `make test` need Python 3.11 or newer, make and git, nothing else.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
SAMPLE := engine/sample
STORE := build/demo/store
PICTURE := build/demo/search.png
SPACES := build/demo/spaces.png

.PHONY: help demo test lint bench clean

help:
	@echo "make demo    ingest and search the bundled sample"
	@echo "make test    run all tests"
	@echo "make lint    check style, format and types"
	@echo "make bench   run the benchmarks on the data sets in ENGINE_DATA, rewrite the tables of the README"
	@echo "make clean   remove the environment and all that was made"

# Shows a command the way a person would type it, then runs it.
run = @printf '\n$$ %s\n' "$(1)"; PATH="$(CURDIR)/$(BIN):$$PATH"; $(1)

demo: $(INSTALLED)
	@rm -rf build/demo
	@mkdir -p build/demo
	$(call run,engine ingest $(SAMPLE)/images.tar --labels $(SAMPLE)/labels.csv --store $(STORE))
	$(call run,engine search --id 3 -k 8 --grid $(PICTURE) --store $(STORE))
	$(call run,engine search --id 3 -k 7 --exclude-self --grid $(SPACES) --beside autoencoder --beside fused --store $(STORE))
	$(call run,engine info --store $(STORE))
	$(call run,engine verify --store $(STORE))
	@echo
	@echo "The picture of the search: $(CURDIR)/$(PICTURE)"
	@echo "The same in three spaces: $(CURDIR)/$(SPACES)"
	@echo "Next, with photos of your own:"
	@echo "  . .venv/bin/activate"
	@echo "  engine ingest FOLDER"
	@echo "  engine search --image PHOTO -k 8 --grid hits.png"

# A process a core, at most four: each imports torch and makes stores of its own.
test: $(INSTALLED)
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

lint: $(INSTALLED)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

# The race of the indexes has other libraries in it; those that cannot be installed here have rows that say so.
bench: $(INSTALLED)
	-@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@$(BIN)/engine bench all
	@$(BIN)/python -m benchmarks.readme build/bench

clean:
	rm -rf .venv build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is made again whenever what it is made from changes.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed and $(PYTHON) is not; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up .venv (a few minutes the first time)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
