# Any Python from 3.11 on will do: make test PYTHON=python3.13
PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo/live-board
TEMPLATE := {{cookiecutter.project_slug}}
NPM := $(shell command -v npm)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Cookiecutter copies all of the template, so no byte code may appear in it.
export PYTHONDONTWRITEBYTECODE := 1

# Another interpreter that is asked for, or one that was upgraded away, has the environment made anew.
release = $(shell $(1) -c 'import sys; print(*sys.version_info[:2], sep=".")' 2>/dev/null)
ifneq ($(wildcard $(VENV)),)
HAS := $(call release,$(BIN)/python)
WANTS := $(if $(filter file,$(origin PYTHON)),$(HAS),$(call release,$(PYTHON)))
ANEW := $(if $(and $(HAS),$(filter $(HAS),$(WANTS))),,anew)
endif

.DEFAULT_GOAL := help
.PHONY: help demo test bench fairness lint format clean

help: ## List the commands
	@grep -E '^[a-z]+:.*## ' Makefile | awk -F ':.*## ' '{printf "make %-8s  %s\n", $$1, $$2}'

demo: $(VENV)/.demo ## Generate a default project into build/demo and run all of it on PORT (5000)
	@$(BIN)/cookiecutter --no-input --default-config --overwrite-if-exists --output-dir $(dir $(DEMO)) . >/dev/null
	@$(MAKE) --no-print-directory -C $(DEMO) install $(if $(NPM),assets)
	@$(MAKE) --no-print-directory -C $(DEMO) stack PORT=$(or $(PORT),5000)

# Any number is an order of its own, the same one each time: make test ORDER=7
ORDERED := $(if $(ORDER),-p randomly --randomly-seed=$(ORDER) --randomly-dont-reset-seed)

test: $(VENV)/.test javascript ## Run every test
	$(BIN)/python -m pytest $(ORDERED) -m 'not alone' --numprocesses 4 --dist worksteal; status=$$?; \
	$(BIN)/python -m pytest $(ORDERED) -m alone && exit $$status

bench: $(VENV)/.test javascript ## Measure the service beside stock Flask-SocketIO and Node, for about seven minutes
	PYTHONPATH=tests $(BIN)/python -m bench

fairness: $(VENV)/.test ## Measure what a client notices of others that send without pause, for about half an hour
	PYTHONPATH=tests $(BIN)/python -m bench.fairness

lint: $(VENV)/.test ## Check style and types of the template's own code and of the layer
	$(BIN)/ruff check --config pyproject.toml template_extension.py existing_project.py hooks bench tests '$(TEMPLATE)/production'
	$(BIN)/ruff format --check --config pyproject.toml template_extension.py existing_project.py hooks bench tests '$(TEMPLATE)/production'
	$(BIN)/mypy template_extension.py existing_project.py hooks bench tests '$(TEMPLATE)/production'

format: $(VENV)/.test ## Rewrite the code in the agreed style
	$(BIN)/ruff check --fix --config pyproject.toml template_extension.py existing_project.py hooks bench tests '$(TEMPLATE)/production'
	$(BIN)/ruff format --config pyproject.toml template_extension.py existing_project.py hooks bench tests '$(TEMPLATE)/production'

clean: ## Remove .venv, the demo and every cache
	rm -rf $(VENV) .cache build tests/js/node_modules .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: anew
anew:

$(VENV)/bin/python: $(ANEW)
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: name one with make PYTHON=python3.13.")'
	$(PYTHON) -m venv $(if $(ANEW),--clear) $(VENV)
	$(BIN)/python -m pip install -qq 'pip>=25.1'

$(VENV)/.demo: pyproject.toml $(ANEW) | $(VENV)/bin/python
	$(BIN)/python -m pip install -qq --group demo
	@touch $@

$(VENV)/.test: pyproject.toml $(TEMPLATE)/pyproject.toml tests/requirements.py $(ANEW) | $(VENV)/bin/python
	$(BIN)/python -m pip install -qq --group test
	$(BIN)/python tests/requirements.py > $(VENV)/requirements.txt
	$(BIN)/python -m pip install -qq --requirement $(VENV)/requirements.txt
	@touch $@

# Without Node the tests that need it say so and are skipped.
.PHONY: javascript
javascript: $(if $(NPM),tests/js/node_modules/.installed)

tests/js/node_modules/.installed: tests/js/package.json
	npm --prefix tests/js install --no-audit --no-fund --no-package-lock --silent
	@touch $@
