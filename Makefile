# `make demo` and `make test` do all of their own set-up. `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
REPLAY_STAMP := $(VENV)/.replay-ready
PLOT_STAMP := $(VENV)/.plot-ready
FUZZ_STAMP := $(VENV)/.fuzz-ready
SEED ?= 1
STORE ?= 367
REGISTERS ?= 4
HOW := $(if $(SHORT),--short) $(if $(DAYS),--days $(DAYS)) $(if $(GENUINE),--genuine) $(if $(SQLITE),--sqlite $(SQLITE))
# Compiled once, whatever the environment says: tests start a hundred processes, and asserts are rewritten.
export PYTHONDONTWRITEBYTECODE :=
# Run under coverage, and nowhere else in `make test`.
PURE_TESTS := tests/unit/model tests/unit/protocol tests/unit/test_ids.py tests/unit/test_errors.py
# Folders with no fast test in them, whose imports are many.
ALL_SLOW := tests/integration tests/day

.DEFAULT_GOAL := check
.PHONY: help env demo check fast test tests sim deep defects mutants fuzz coverage replay bench bench-long bench-peers soak speed plot docs words pictures \
  fix lint types lock clean

help:
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(STAMP)  ## the environment, pinned with hashes

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "crdtsync needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)  ## a relay and three registers that sell live; KEEP=1 stays up
	$(BIN)/python -m crdtsync.testing.demo $(if $(KEEP),--keep)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

check: lint $(REPLAY_STAMP)  ## format, lint, types, layers, fast tests (under a minute)
	$(MAKE) --jobs=2 types fast

# Their files are in memory where there is room for them: they take a third of this. Disks are for `make test`.
# Three at a time on two cores: what has a relay in it waits for a part of its time.
fast: $(REPLAY_STAMP)
	room_kib=$$(df -k --output=avail /dev/shm 2> /dev/null | tail -n 1); \
	if [ "$${room_kib:-0}" -gt 2000000 ] && [ -w /dev/shm ]; then \
	  TMPDIR=$$(mktemp -d /dev/shm/crdtsync-XXXXXX); export TMPDIR; trap 'rm -rf "$$TMPDIR"' EXIT INT TERM; \
	fi; \
	$(BIN)/pytest -q -m "not slow and not deep" -n 3 -o tmp_path_retention_policy=failed $(addprefix --ignore=,$(ALL_SLOW))

test: export HYPOTHESIS_PROFILE = test
test: lint $(REPLAY_STAMP)  ## everything that CI runs (eleven minutes on two cores)
	$(MAKE) --jobs=2 types tests

# Four at a time on two cores: those with processes of their own wait for half of their time.
tests: coverage
	$(BIN)/pytest -q -m "not deep" -n 4 --durations=15 $(addprefix --ignore=,$(PURE_TESTS))

sim: $(STAMP)  ## one simulated day, and its story: SEED=7 SHORT=1 DAYS=2 GENUINE=1 (real signatures) SQLITE=1
	$(BIN)/python -m crdtsync.testing.simulation --seed $(SEED) $(HOW)

deep: $(STAMP)  ## simulated days from SEED=1 on, for MINUTES=30; without MINUTES also 5,000 histories by steps
	$(BIN)/python -m crdtsync.testing.simulation --first $(SEED) --minutes $(or $(MINUTES),30) $(HOW)
	$(if $(MINUTES),,HYPOTHESIS_PROFILE=deep $(BIN)/pytest -q -m deep -n 2 --hypothesis-seed=$(SEED))

defects: $(STAMP)  ## mistakes planted one by one in clean copies, to see them caught (minutes): NAME=one JOBS=2
	$(BIN)/python tests/defects/plant.py --jobs $(or $(JOBS),1) $(if $(NAME),--name $(NAME))

mutants: $(STAMP)  ## small defects planted in a module must fail its tests (an hour): MODULE=codec MINUTES=10 SAMPLE=50 SEED=1
	$(BIN)/python -m tests.mutants.run $(if $(MODULE),--module $(MODULE)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SAMPLE),--sample $(SAMPLE) --seed $(SEED))

fuzz: $(FUZZ_STAMP)  ## look for inputs that no parser can bear: TARGET=codec MINUTES=2 SEED=1 KEEP=1 (into the corpus)
	$(BIN)/python -m tests.fuzz.run $(if $(TARGET),--target $(TARGET)) --minutes $(or $(MINUTES),1) --seed $(SEED) $(if $(KEEP),--keep)

coverage: $(STAMP)  ## unit tests of the pure parts; fails below 98 % of their branches
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -m "not deep" -n 2 $(PURE_TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

replay: $(REPLAY_STAMP)  ## a grocer's year sold again, with faults: STORE=367 REGISTERS=4 SEED=1
	$(BIN)/python -m benchmarks.replay.run --store-id $(STORE) --registers $(REGISTERS) --seed $(SEED)

bench: $(STAMP)  ## figures against bounds and budgets (half an hour): QUICK=1 CASE=name PROFILE=1 SEED=1
	$(if $(PROFILE),CRDTSYNC_BENCH_PROFILE=$(CURDIR)/.make/bench/profile) $(BIN)/python -m benchmarks.bench --seed $(SEED) $(if $(QUICK),--quick) $(if $(CASE),--case $(CASE))

bench-long: $(STAMP)  ## hours: growth with ten million sales, an hour at a shop's pace, ten minutes flat out
	$(BIN)/python -m benchmarks.bench --seed $(SEED) --case growth --extent long --json .make/bench/growth.json
	$(MAKE) soak
	$(MAKE) soak MINUTES=10 PER_S=0

soak: $(STAMP)  ## an hour at a shop's pace: memory, descriptors, log and WAL must not grow: MINUTES=60 PER_S=1 (0: flat out) SEED=1
	$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),60) --per-s $(or $(PER_S),1) --seed $(SEED)

plot: $(PLOT_STAMP)  ## draw the growth that `make bench` and `make bench-long` measured: FIGURES="one.json another.json"
	$(BIN)/python -m benchmarks.plot $(if $(FIGURES),--figures $(FIGURES))

# matplotlib: for the plot, never for the product.
$(PLOT_STAMP): requirements/plot.txt $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/plot.txt
	@touch $@

speed: $(STAMP)  ## write the README's table from what `make bench` measured
	$(BIN)/python -m benchmarks.front_page

bench-peers: $(STAMP)  ## beside hocuspocus, y-websocket-server, pycrdt-websocket (node, npm): QUICK=1 CASE=join KEEP=folder SEED=1
	$(BIN)/python -m benchmarks.peers.run --seed $(SEED) $(if $(QUICK),--quick) $(if $(CASE),--workload $(CASE)) $(if $(KEEP),--installed $(KEEP))

# Data of a grocer, and pandas to read it: needed by `replay` and by its tests, never by the product.
$(REPLAY_STAMP): requirements/replay.txt $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/replay.txt
	@touch $@

# A fuzzer with a compiler's runtime in it: needed by `fuzz`, not by the tests of what it has found.
$(FUZZ_STAMP): requirements/fuzz.txt $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@touch $@

docs: $(STAMP)  ## write those pages of the reference that say what the code says
	$(BIN)/python docs/generate.py

pictures: $(STAMP)  ## play a shop's day, and take the pictures of docs/pictures anew (needs Chromium)
	CRDTSYNC_PICTURES=docs/pictures $(BIN)/pytest -q -n 0 tests/day

words: $(STAMP)  ## gather the sentences of back office and till, and compile the French ones
	$(BIN)/python -m crdtsync_server.dashboard.gather_words
	$(BIN)/python -m crdtsync.till.gather_words

fix: $(STAMP)  ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:  ## pin the newest versions that the .in files allow
	$(PYTHON) -m venv .make/lock && .make/lock/bin/pip install -q uv
	for set in runtime dev; do .make/lock/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	  --custom-compile-command "make lock" requirements/$$set.in -o requirements/$$set.txt; done
	for set in replay plot fuzz; do .make/lock/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	  --custom-compile-command "make lock" -c requirements/dev.txt requirements/$$set.in -o requirements/$$set.txt; done

clean:
	rm -rf $(VENV) .make
