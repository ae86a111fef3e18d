PY := .venv/bin/python

.venv/.done: pyproject.toml constraints.txt
	scripts/setup-venv
	touch $@

setup: .venv/.done
.PHONY: setup
