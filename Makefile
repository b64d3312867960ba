# `make help` lists the commands. Each sets up .venv by itself; PYTHON=/path/to/python chooses the interpreter (3.11 or
# newer). ARGS="..." is passed on.

VENV := .venv
BIN := $(VENV)/bin
CODE := router policies tokenizer_cache loadtests docker tests
comma := ,
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --no-header
wanted = $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))$(1), sep="\n")'

# What Python has compiled is kept in .venv, beside no source: else each start compiles all again.
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test quick coverage check check-deploy bench format docs lock

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

run: $(VENV)/.installed-demo ## serve WORKERS=http://a:8000,http://b:8000; with none named, two emulated workers to try things on
ifdef WORKERS
	@exec $(BIN)/warmroute serve $(foreach worker,$(subst $(comma), ,$(WORKERS)),--worker '$(worker)') \
		$(if $(PORT),--port '$(PORT)') $(if $(TOKENIZER),--tokenizer '$(TOKENIZER)') $(ARGS)
else
	@exec $(BIN)/python -m loadtests.demo $(if $(PORT),--port '$(PORT)') $(ARGS)
endif

test: check ## format, lint, types, layers and all tests: what CI runs
	$(BIN)/pytest -n auto --dist loadfile -m 'not alone' $(ARGS)
	$(BIN)/pytest -m alone $(ARGS) || [ $$? -eq 5 ] # 5: ARGS leaves none of these

quick: $(VENV)/.installed-test ## the tests that start no server and are not slow, in parallel: under a minute
	$(BIN)/pytest -m 'not integration and not slow' -n auto $(ARGS)

coverage: $(VENV)/.installed-test ## the share of lines and branches that the tests run, in the processes that they start too
	$(BIN)/pytest --cov --timeout 300 -n auto --dist loadfile -m 'not alone' $(ARGS)

check: $(VENV)/.installed-test ## what `make test` does before the tests
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

bench: $(VENV)/.installed-test ## what a request costs the router, in CPU time and latency
	$(BIN)/python -m loadtests.evidence.cost $(ARGS)

format: $(VENV)/.installed-test ## write the format that `make check` wants
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

docs: $(VENV)/.installed-test ## write the pages and dashboards that are generated
	$(BIN)/python -m router.settings.page > docs/configuration.md
	$(BIN)/python -m docker.grafana

check-deploy: $(VENV)/.installed-deploy ## docker/ against the schemas of its tools; needs kubectl, haproxy and promtool
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml
	for folder in kubernetes kubernetes/sidecar; do for version in 1.30 1.37; do \
		kubectl kustomize docker/$$folder > build.yaml \
			&& $(BIN)/kubernetes-validate --kubernetes-version $$version --strict --quiet build.yaml || exit 1; \
	done; done; rm build.yaml
	kubectl kustomize docker/kubernetes/monitoring > /dev/null
	haproxy -c -f docker/haproxy/haproxy.cfg
	promtool check config docker/prometheus/prometheus.yaml
	cd docker/prometheus && promtool test rules alerts.test.yaml

lock: $(VENV)/.installed-lock ## choose anew, and with hashes, what the container image installs
	$(LOCK) pyproject.toml --extra embedded --extra otel --output-file docker/requirements.lock
	$(call wanted,["build-system"]["requires"]) | $(LOCK) - --output-file docker/build.lock
	$(call wanted,["project"]["optional-dependencies"]["demo"]) | $(LOCK) - --no-deps --output-file docker/demo.lock

# A stamp per set of extras, so that pip runs again only when pyproject.toml has changed.
$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --editable '.[$*]'
	@touch $@

$(BIN)/python:
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			"$$python" -m venv $(VENV) && exit 0; \
			rm -rf $(VENV); \
			echo "$$python could not make the virtual environment $(VENV)." >&2; \
			exit 1; \
		fi; \
	done; \
	echo "Warmroute needs Python 3.11 or newer$(if $(PYTHON),: $(PYTHON) is not). Name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
	exit 1
