# Everything runs in a virtual environment, which `make setup` fills and the other targets keep up to date.
# Override what you like: make demo CONFIG=tiny EPOCHS=3

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
PRESETS ?= pico nano tiny small base paper

MODEL ?= digits
CONFIG ?= small
EPOCHS ?= 5
BACKEND ?= rtl
# The demo's own rates are for its five epochs; with another network, core or number of epochs the command's default holds.
DEMO_LR_SHIFT := 2,2,2,3,4
LR_SHIFT ?= $(if $(filter digits/small/5,$(MODEL)/$(CONFIG)/$(EPOCHS)),$(DEMO_LR_SHIFT))
DENSE_STEPS ?= $(if $(filter rtl,$(BACKEND)),10,0)
DEMO_OUT ?= results/demo

UNIT ?= list_builder
MUTANTS ?= 500

SYNTH_OUT ?= build/synth/$(CONFIG)

BOARD ?= ulx3s_85f
SEEDS ?= 1

BIN := $(VENV)/bin
GRADGATE := $(BIN)/gradgate
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo results sparsity profile resources fresh test test-full formal mutate lint verilog synth board clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## create the virtual environment; again only when what it depends on has changed

# The build uses the pinned setuptools, too: an isolated one would be of any release.
$(STAMP): pyproject.toml setup.py constraints.txt package/__init__.py
	$(PYTHON) -m venv $(VENV)
	$(PIP) setuptools
	$(PIP) --no-build-isolation -e '.[test]'
	touch $@

demo: $(STAMP) ## train a small network on the simulated core, every tensor compared with the model
	$(GRADGATE) train --model $(MODEL) --config $(CONFIG) --epochs $(EPOCHS) $(if $(LR_SHIFT),--lr-shift $(LR_SHIFT)) \
	  --backend $(BACKEND) --dense-steps $(DENSE_STEPS) --out $(DEMO_OUT)

# An option and its file, if there is one: sparsity, resources, fresh and boards take long and are not repeated by `make results`.
given = $(if $(wildcard $(2)),$(1) $(2))

results: $(STAMP) ## rewrite docs/results.md: demo, another network, 300 random ones, ten seeds against float32, goals
	$(MAKE) demo
	$(GRADGATE) train --model resnet_digits --config $(CONFIG) --steps 90 --dense-steps 10 --json results/resnet.json
	$(GRADGATE) soak --networks 300 --seed 1 --json results/soak.json
	$(GRADGATE) results --demo $(DEMO_OUT)/result.json --soak results/soak.json --other results/resnet.json \
	  $(call given,--sparsity,results/sparsity/sparsity.json) $(call given,--synth,results/synth.json) \
	  $(call given,--fresh,results/fresh.json) $(call given,--boards,results/board) --goals docs/goals.toml
	cp $(DEMO_OUT)/training.png docs/images/demo.png

sparsity: $(STAMP) ## rewrite docs/sparsity_results.md: cycles of six networks with skipping on and off; minutes
	$(GRADGATE) bench sparsity --out results/sparsity --goals docs/goals.toml --published docs/published.toml --docs

profile: $(STAMP) ## rewrite docs/profile.md: where the cycles of the demo's step go
	$(GRADGATE) profile --docs

resources: $(STAMP) ## rewrite docs/resources.md: what two cores take of an ECP5; minutes
	$(GRADGATE) synth --docs tiny,small --period 10 --json results/synth.json

fresh: $(STAMP) ## time demo and tests in a fresh clone of what is committed; twenty minutes
	$(BIN)/python tests/fresh.py --json results/fresh.json

test: $(STAMP) ## run the tests, without the few that take minutes
	$(BIN)/python -m pytest -n $(JOBS) -m "not full"

test-full: $(STAMP) ## run all tests
	$(BIN)/python -m pytest -n $(JOBS)

formal: $(STAMP) ## prove the list builder, the lane and the sequencer
	PYTHONPATH=tests $(BIN)/python -m formal.prove

mutate: $(STAMP) ## count the mutants of UNIT (list_builder, lane, sequencer) that its tests notice
	PYTHONPATH=tests:tests/hw/array:tests/hw/control $(BIN)/python -m mutation.mutate $(UNIT) -n $(MUTANTS)

lint: $(STAMP) ## check the Python sources and the Verilog of the presets
	$(BIN)/ruff check .
	$(GRADGATE) lint $(PRESETS)

verilog: $(STAMP) ## write Verilog and manifest of the presets to build/verilog
	set -e; for preset in $(PRESETS); do $(GRADGATE) generate --config $$preset --out build/verilog/$$preset; done

synth: $(STAMP) ## synthesise CONFIG for ECP5 and count what each unit takes
	$(GRADGATE) synth --config $(CONFIG) --out $(SYNTH_OUT)

# The tools for boards are not needed for anything else.
board: $(STAMP) ## build a bitstream for BOARD with the configuration that fits it; twenty minutes
	$(PIP) --no-build-isolation -e '.[fpga]'
	$(GRADGATE) synth --board $(BOARD) --seeds $(SEEDS)

clean: ## remove what was built; keeps the virtual environment and results/
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
