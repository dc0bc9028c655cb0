# Two commands do everything on a machine with Python 3.11 or 3.12, make and git: `make run` and `make test`.
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: run test test-fast lint bench zoo clean
run: $(VENV)/.app
	$(PY) app.py

# The suite, then the page in real browsers, each on two processes. The embedded family is prepared first, so that a
# download shows its own progress.
# A browser test that fails beside others is tried once more alone: what fails twice fails.
test: $(VENV)/.dev zoo
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not browser" -n 2 --dist loadfile; quick=$$?; \
	{ OMP_NUM_THREADS=1 $(PY) -m pytest -m browser -n 2 --dist loadgroup || OMP_NUM_THREADS=1 $(PY) -m pytest -m browser --lf --lfnf=none; } && exit $$quick

test-fast: $(VENV)/.dev
	$(PY) -m pytest -m "not zoo and not browser and not slow"

lint: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pyright

bench: $(VENV)/.app
	$(PY) -m benchmarks.live
	$(PY) -m benchmarks.probe

zoo: $(VENV)/.app
	$(PY) -m merging.zoo

$(VENV)/.app: requirements.txt scripts/setup.sh
	sh scripts/setup.sh requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt requirements-training.txt requirements-tasks.txt requirements-judges.txt requirements.txt scripts/setup.sh
	sh scripts/setup.sh requirements-dev.txt --browser
	touch $@ $(VENV)/.app

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
