# The few verbs. Each makes the environment in .venv first, if it is missing.
#
#   make lab                              JupyterLab on the course (PORT=9999, ARGS=--no-browser)
#   make test                             the whole suite (ARGS="-k 02" for a part)
#   make browser-test                     JupyterLab in a real browser, as a newcomer meets it (needs Chromium)
#   make run LECTURE=02                   one lecture from top to bottom, into runs/
#   make full LECTURE=07                  the same with the values of notebooks/full.toml
#   make build                            notebooks, exercises and modules from sources/
#   make bench                            the classic training loop and ours, timed here (LECTURE="03 06" for a part)
#   make data                             the data sets that there are (ARGS=shakespeare fetches one)
#   make format                           ruff over everything that is written by hand
#
# PYTHON=python3.12 chooses the Python to make the environment with.

.PHONY: lab test browser-test run full build bench data format
.DEFAULT_GOAL := lab

define COURSE
@python=; \
for each in $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14 python; do \
  command -v $$each >/dev/null 2>&1 || continue; \
  $$each -c '' >/dev/null 2>&1 || continue; \
  python=$${python:-$$each}; \
  if $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then python=$$each; break; fi; \
done; \
if [ -z "$$python" ]; then \
  echo "The course needs Python 3.11 or newer, and there is none on this machine: install it from python.org or with your system's package manager, then run this again." >&2; \
  exit 1; \
fi; \
exec $$python course_utils/tools/bootstrap.py
endef

lab:
	$(COURSE) lab $(if $(PORT),--port $(PORT)) $(ARGS)

test:
	$(COURSE) test $(ARGS)

browser-test:
	$(COURSE) test tests/browser $(ARGS)

run:
	$(COURSE) run $(LECTURE) $(ARGS)

full:
	$(COURSE) run $(LECTURE) --profile full $(ARGS)

build:
	$(COURSE) build $(LECTURE) $(ARGS)

bench:
	$(COURSE) bench $(LECTURE) $(ARGS)

data:
	$(COURSE) data $(ARGS)

format:
	$(COURSE)
	@.venv/bin/ruff format --quiet . && .venv/bin/ruff check --fix --quiet .
