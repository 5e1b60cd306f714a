# make setup    .venv with everything, from the package index, no compiler
# make demo     built-in data, train, evaluate, pictures
# make test     the tests, two at a time; with more cores: make test JOBS=8
# make test-fast  the quick ones of them, in about two minutes
# make test-all  also the exhaustive ones, which take minutes each
# make mutants  small faults in the code, one at a time: how many do the tests notice? An hour or so;
#               some rooms only: make mutants ROOMS='weights metrics'
# Other versions:  make setup PYTHON=python3.12 TORCH="torch==2.11.0 torchvision==0.26.0"

PYTHON ?= python3
TORCH ?= torch===2.13.0 torchvision===0.28.0
VENV ?= .venv
DEMO ?= work_dirs/demo
# Tests at a time, one core each: more threads than cores would fight.
JOBS ?= 2
CONFIG := configs/maskrcnn_rapidnet_ti_shapes.py
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# NMS is an operator that only a torchvision built for this very torch can register.
PAIR := import torch, torchvision; torchvision.ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5)

.PHONY: setup demo test test-fast test-all test-openmmlab mutants lint clean

setup: $(VENV)/.ready

# A pair of torch and torchvision that works together already is kept, in $(VENV) or in PYTHON's own
# environment; TORCH on the command line replaces it.
$(VENV)/bin/python:
ifeq ($(origin TORCH),file)
	@if $(PYTHON) -c '$(PAIR)' 2>/dev/null; then \
		echo 'using the torch and torchvision of $(PYTHON)'; \
		$(PYTHON) -m venv --system-site-packages $(VENV); \
	else $(PYTHON) -m venv $(VENV); fi
else
	$(PYTHON) -m venv $(VENV)
endif

ifneq ($(origin TORCH),file)
.PHONY: $(VENV)/.torch
endif
$(VENV)/.torch: $(VENV)/bin/python
ifeq ($(origin TORCH),file)
	@$(BIN)/python -c '$(PAIR)' 2>/dev/null || { echo 'installing $(TORCH)'; $(PIP) $(TORCH); }
else
	$(PIP) $(TORCH)
endif
	@$(BIN)/python -c '$(PAIR)' || { echo 'error: torch and torchvision in $(VENV) do not go together; choose a pair: make setup TORCH="torch==X torchvision==Y"'; exit 2; }
	@touch $@

$(VENV)/.ready: $(VENV)/.torch requirements.txt setup.py
	@echo 'installing the MM stack'
	@$(PIP) -r requirements.txt
	@$(PIP) --no-deps -e .
	@touch $@

demo: setup
	$(BIN)/rapidnet make-shapes
	@# A second demo goes on where the first was stopped.
	$(BIN)/rapidnet train $(CONFIG) --work-dir $(DEMO) --resume
	$(BIN)/rapidnet test $(CONFIG) $$(ls -t $(DEMO)/epoch_*.pth | head -1) --work-dir $(DEMO)/test --show-dir $(DEMO)/pictures --score-thr 0.5
	@echo 'results: $(DEMO)/test/metrics.json, curves: $(DEMO)/curves.png, pictures: $(DEMO)/pictures'

test test-fast test-all: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(SELECTION)

test: SELECTION = -m 'not exhaustive'
test-fast: SELECTION = -m 'not slow and not exhaustive'

# The same tests on the original OpenMMLab packages, in an environment of their own.
test-openmmlab:
	$(MAKE) $(VENV)-openmmlab/.ready-openmmlab VENV=$(VENV)-openmmlab
	$(VENV)-openmmlab/bin/python -m pytest $(PYTEST_ARGS)

$(VENV)/.ready-openmmlab: $(VENV)/.torch requirements-openmmlab.txt setup.py
	@echo 'installing the original OpenMMLab packages'
	@$(PIP) -r requirements-openmmlab.txt
	@$(PIP) --no-deps -e .
	@touch $@

# What is changed and which tests judge it: [tool.mutants] in pyproject.toml.
mutants: setup
	@$(BIN)/python -c 'import mutmut' 2>/dev/null || { echo "error: mutmut is missing; install it: $(BIN)/python -m pip install -e '.[mutants]'"; exit 2; }
	$(BIN)/python .ci/mutants.py --jobs $(JOBS) $(ROOMS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf $(VENV) $(VENV)-openmmlab
