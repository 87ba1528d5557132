# Every target sets up what it needs in .venv/; the first one on a new machine takes a minute.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test check static format docs bench clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[cpu,export]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[cpu,export,torch,dev]'
	@touch $@ $(VENV)/.run

demo: $(VENV)/.run ## Export, verify and explain the toy birds, from nothing
	@sh examples/demo.sh $(BIN) $(DEMO)

test: $(VENV)/.dev ## Run the tests
	$(BIN)/pytest

static: $(VENV)/.dev ## Format, lint, types and generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python docs/generate_cli.py --check

check: static test ## All that must pass before a commit

format: $(VENV)/.dev ## Format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev ## Write the generated docs
	$(BIN)/python docs/generate_cli.py

clean: ## Remove the environment and what the demo made
	rm -rf $(VENV) $(DEMO)
