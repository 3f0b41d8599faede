# What people call and what CI calls is the same.  Each target does its own set-up, from a bare clone.
# When root calls, everything that needs HTCondor's daemons runs as the user nobody: HTCondor refuses root.

VENV := .venv
RUN := $(VENV)/bin/python
AS_USER := $(RUN) -m test.as_user
# What meets HTCondor's daemons and tools is tried on two versions of them.  On 25 alone: where AWS acts and HTCondor only
# carries the orders, test/chaos (HTCONDOR_SERIES=23 make test ARGS=test/chaos) and the benchmark.
OF_BOTH := test/parity test/tool/test_condor_annex.py test/pool test/attack/test_pool.py test/demand/test_offline_matches.py test/demand/test_group_by.py test/demand/test_matching_as_negotiator.py test/demand/test_confirmation.py
SYSTEM_TESTS := test/system $(OF_BOTH)
# Of these, what the two series are most likely to differ in is tried on 23.9 by make test, and all by make test-23.
SHORT_23 := $(patsubst %,test/system/test_%.py,annex_tokens ciphers clients daemon greeter ipv6 methods order private_network regions who_may_order) $(OF_BOTH)
OF_AWS := cancel console demo enforcer lease lost_answers moved_lease trouble uid_domain
WITHOUT_POOL := $(SYSTEM_TESTS) test/demand/test_ghost_negotiators.py test/demand/test_idle_jobs.py test/demand/test_free_slots.py test/demand/test_mixes.py test/bench test/chaos test/live test/test_alone.py test/test_texts.py
# Most tests wait for daemons, so that more of them run at once than there are processors; a file in one process.
WORKERS := 5
PARALLEL := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
PROGRAMS := bin/condor_annex bin/condor_annexd bin/condor-annex-ec2 templates/generate-policies templates/generate-prices templates/generate-role docs/examples/condor_greeter completion/generate
DEB_SUITES := trixie sid
DEB_CACHE := .cache/deb
export PYTHONDONTWRITEBYTECODE = 1

.PHONY: help venv htcondor ready test test-23 test-trixie whole parity demand fuzz histories chaos lint demo bench live cloud deb deb-test clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

venv: $(VENV)/complete ## the Python environment in .venv (PYTHON=... chooses the interpreter)

$(VENV)/complete: setup.cfg pyproject.toml .ci/venv
	.ci/venv $(VENV) $(PYTHON)
	@touch $@

htcondor: venv ## HTCondor 25: from PATH, or else fetched into .cache
	@$(RUN) -m test.pool

ready: venv htcondor
	@$(RUN) -m compileall -q annexd test  # who runs it may not write here

test: ready ## all tests (ARGS="test/pool -k token": some)
	$(AS_USER) $(RUN) -m pytest $(if $(ARGS),$(ARGS),$(PARALLEL))
	@if [ "$$(id -u)" = 0 ] && [ -z "$(ARGS)" ]; then set -x; $(RUN) -m pytest test/root; fi
	@if [ -z "$(ARGS)" ]; then set -x; $(RUN) -m test.pool --series 23; \
		HTCONDOR_SERIES=23 $(AS_USER) $(RUN) -m pytest $(PARALLEL) $(SHORT_23); fi

test-23: ready ## all that meets HTCondor's daemons, on 23.9; make test has a part of it (ARGS="test/system -k cancel": some)
	@$(RUN) -m test.pool --series 23
	HTCONDOR_SERIES=23 $(AS_USER) $(RUN) -m pytest \
		$(or $(ARGS),$(PARALLEL) $(SYSTEM_TESTS) $(OF_AWS:%=--ignore=test/system/test_%.py))
	@if [ "$$(id -u)" = 0 ] && [ -z "$(ARGS)" ]; then set -x; \
		HTCONDOR_SERIES=23 $(RUN) -m pytest test/root -k "root_master or netgroups"; fi

test-trixie: venv ## the tests without a pool, by Debian 13's Python and HTCondor in a fresh root (ARGS="..."); needs root
	packaging/test-python trixie $(RUN) $(DEB_CACHE) $(or $(ARGS),$(PARALLEL) $(WITHOUT_POOL:%=--ignore=%))

whole: ready ## the tests with what make test shows in a short form as a whole, such as the demo and each rehearsal of make live
	ANNEXD_WHOLE=1 $(AS_USER) $(RUN) -m pytest $(or $(ARGS),$(PARALLEL))

parity: ready ## annexd's answers and the C++ schedd's, tens of thousands of times (ARGS="--seed 7 --lists 300 --series 23")
	$(AS_USER) $(RUN) -m test.parity $(ARGS)

demand: ready ## what both series' negotiators say about machines that do not exist, and twelve mixes of jobs (docs/demand.md)
	@$(RUN) -m test.pool --series 23
	ANNEXD_WHOLE=1 $(AS_USER) $(RUN) -m pytest test/demand
	ANNEXD_WHOLE=1 HTCONDOR_SERIES=23 $(AS_USER) $(RUN) -m pytest test/demand

fuzz: $(VENV)/fuzz ## what reads bytes of strangers, fuzzed with atheris (ARGS="--seconds 600 --keep token")
	$(RUN) -m test.fuzz $(ARGS)

$(VENV)/fuzz: $(VENV)/complete
	$(RUN) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --editable '.[fuzz]'
	@touch $@

histories: venv ## every fault at every point, then two at a time and seeds (ARGS="--minutes 60")
	$(AS_USER) $(RUN) -m test.histories $(ARGS)

chaos: ready ## kill -9 at random under load, 300 times (ARGS="--seed 17 --kills 1000 --minutes 60")
	$(AS_USER) $(RUN) -m test.chaos $(ARGS)

lint: venv ## ruff (its rules and its format) and mypy --strict
	$(RUN) -m ruff format --check
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check --extension :python $(PROGRAMS)
	$(RUN) -m ruff check --target-version py39 --extension :python bin/condor-annex-ec2
	$(RUN) -m mypy
	$(RUN) -m mypy --scripts-are-modules --python-version 3.10 bin/condor-annex-ec2

demo: ready ## one lease from beginning to end, and idle jobs that become machines, in five minutes, on an emulated AWS
	$(AS_USER) $(RUN) -m test.demo $(ARGS)

bench: ready ## annexd and condor_annex against the C++ schedd and condor_annex (ARGS="rates --only resumed": a part)
	$(AS_USER) $(RUN) -m test.bench $(ARGS)

live: ready ## a rehearsal on a real AWS account, for less than a dollar (ARGS="--region us-east-1 --profile NAME")
	$(AS_USER) $(RUN) -m test.live $(ARGS)

cloud: venv ## the emulated AWS on its own, until interrupted (ARGS="--port 5000 --speed 60")
	$(AS_USER) $(RUN) -m test.cloud $(ARGS)

deb: venv ## Debian packages, in dist/SUITE (DEB_SUITES="trixie": that suite alone); needs root
	@set -e; for suite in $(DEB_SUITES); do packaging/build-deb $$suite $(RUN) $(DEB_CACHE) dist/$$suite; done

deb-test: deb ## each of them in a fresh root: installed, ordered with, upgraded, purged; needs root
	@set -e; for suite in $(DEB_SUITES); do packaging/test-deb $$suite $(RUN) $(DEB_CACHE) dist/$$suite; done

clean: ## remove what the other targets made
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache build dist ./*.egg-info
	find annexd lambda test -name __pycache__ -type d -prune -exec rm -rf {} +
