# Two commands do all set-up: make demo, make test.  What is slow and rarely tells more than
# a faster test does is in make test-slow.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow check docs format clean bench bench-quick peers

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/installed
	$(BIN)/precond analyze models/digits-mlp.onnx --inputs digits --domain ball:0.1 --budget 60 --out demo

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m slow

# The documentation as a site in site/, which opens from the disk; no network is needed.
docs: .venv-docs/installed
	.venv-docs/bin/python docs/build_site.py

.venv-docs/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --constraint constraints.txt mkdocs 'mkdocstrings[python]'
	touch $@

check: .venv/installed docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/vermin --quiet --no-tips --violations --target=3.10- precond attribution

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Benchmarks: their names and questions are in benchmarks/registry.py (python -m benchmarks.run --list).
bench-quick: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.run --quick

bench: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.run $(NAME) --size $(or $(SIZE),full)

# The other tools that some benchmarks stand beside, in an environment of their own.
peers: .venv-peers/bin/python

.venv-peers/bin/python: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --requirement benchmarks/peers/requirements.txt
	touch $@

clean:
	rm -rf .venv .venv-peers demo build dist site *.egg-info
