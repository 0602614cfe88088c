# make run   set up, then the main job on real data: scores, ranking, next experiments, report
# make test  set up, then every check: lint, types, tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export MLFLOW_DISABLE_TELEMETRY := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test setup setup-dev clean

run: setup
	@echo "== nascreen run: scores, ranking, next experiments, report (about a minute on 2 cores)"
	$(BIN)/nascreen run --out results

test: setup-dev
	@echo "== lint"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo "== types"
	$(BIN)/mypy
	@echo "== tests"
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not timing"

setup: .make/run
setup-dev: .make/dev

.make/venv:
	@echo "== set-up: a virtual environment in $(VENV)"
	$(PYTHON) -c "import sys; sys.exit('nascreen needs Python 3.11 or newer; this is ' + sys.version.split()[0]) if sys.version_info < (3, 11) else None"
	$(PYTHON) -m venv $(VENV) || { echo "Python cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	@mkdir -p .make && touch $@

.make/run: .make/venv pyproject.toml .constraints.txt
	@echo "== set-up: nascreen and what it needs (about 800 MB; a minute or two, once)"
	$(BIN)/python -m pip install --quiet --constraint .constraints.txt --editable '.[train,screen,serve,client]'
	@touch $@

.make/dev: .make/run
	@echo "== set-up: what the tests need"
	$(BIN)/python -m pip install --quiet --constraint .constraints.txt --group dev
	@touch $@

clean:
	rm -rf $(VENV) .make results build dist
