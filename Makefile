# One command each. `make demo` and `make test` do all the set-up a fresh Debian/Ubuntu machine needs.
PY := .venv/bin/python
SEEDS ?= 200
ROUNDS ?= 10

.PHONY: setup docker tools demo test sim fuzz system check bench generate docs lock clean

setup: .venv/.done
.venv/.done: pyproject.toml constraints.txt scripts/setup-venv
	scripts/setup-venv
	@touch $@

docker:
	scripts/setup-docker

tools:
	scripts/setup-tools

demo: setup docker            ## a real task on a real engine, in under a minute
	$(PY) -m homeport.cli.demo

test: setup docker tools check      ## every test
	$(PY) -m pytest -n 2 --dist loadfile
	$(MAKE) sim
	$(MAKE) system

sim: setup                    ## whole regions in virtual time, with faults; SEEDS=200
	$(PY) -m tests.sim --seeds $(SEEDS)

fuzz: setup                   ## every property with examples nobody has tried; ROUNDS=10
	for round in $$(seq $(ROUNDS)); do \
	  $(PY) -m pytest tests/unit tests/wire tests/api tests/contract -m hypothesis \
	    --hypothesis-profile fuzz -n 2 --dist loadfile || exit; done

system: setup docker tools          ## real processes, real containers, real kills
	$(PY) -m pytest tests/system -p no:randomly --timeout 400 -n 3 --dist loadfile

check: setup                  ## format, lint, types, layers, generated files
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	$(PY) -m homeport.shapes.generate --check
	$(PY) -m homeport.api.coverage --check

bench: setup docker           ## ratios against peers measured in the same run
	scripts/setup-bench
	$(PY) -m bench

generate: setup               ## rewrite what is generated: shapes, coverage table
	$(PY) -m homeport.shapes.generate
	$(PY) -m homeport.api.coverage

lock: setup                   ## renew constraints.txt from what is installed
	.venv/bin/pip freeze --exclude-editable > constraints.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis
