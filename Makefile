# Every command a developer needs; CI runs the same ones (.ci/run). ARGS goes to the program: make test ARGS="-k window -n0"
.DEFAULT_GOAL := help
.PHONY: help demo test storm soak faults bench lint format types imports check wheel deb man lock clean venv
PY := .venv/bin/python
ARGS ?=

help: ## what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

demo: venv ## the daemon at work between a simulated Google and a simulated Salesloft; no account needed
	@$(PY) -m connector demo $(ARGS)

test: venv ## all tests but the long ones (three at a time: many of them wait)
	@$(PY) -m pytest -n 3 --dist worksteal $(ARGS)

storm: venv ## the long tests: storms, soaks, a real systemd
	@$(PY) -m pytest -m long $(ARGS)

soak: venv ## the daemon for half an hour under constant edits: memory, leaks, differences
	@$(PY) -m benchmarks.soak $(ARGS)

faults: venv ## what several nodes do when something breaks (as root: all of it)
	@$(PY) -m benchmarks.faults $(ARGS)

bench: venv ## what it does in figures, written to docs/benchmarks.md
	@$(PY) -m benchmarks $(ARGS)

lint: venv ## ruff: rules and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

format: venv ## ruff: mend what can be mended
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

types: venv ## mypy, strict
	@$(PY) -m mypy

imports: venv ## imports point one way (import-linter)
	@.venv/bin/lint-imports --no-cache --no-logo

check: lint types imports test ## everything that CI checks, but the wheel

wheel: venv ## install the last commit as users do, and try it
	@sh scripts/check-wheel.sh

deb: venv ## a Debian package for this machine's python3, in dist/
	@$(PY) -m scripts.deb $(ARGS)

man: venv ## the manual page, from the command line itself, in dist/
	@$(PY) -m scripts.man dist/gcal-salesloft.1

lock: ## pin all dependencies anew (needs uv)
	@sh scripts/lock.sh $(ARGS)

clean: ## remove what was made here
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find connector tests -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@sh scripts/venv.sh
