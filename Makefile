# Everything happens in .venv, from the versions in constraints.txt. Only Python and make are needed.
#
#   make demo         distil two students in the laboratory, and show what one of them lost
#   make demo-real    distil a small real model (fetched), audit it, and open its statement
#   make gallery      the three statements of docs/gallery, also one at a time:
#     gallery-lab       a student that lost “I do not know”: minutes
#     gallery-imported  two models that lm-eval asked: seconds
#     gallery-smollm2   twenty layers of SmolLM2 in twelve dimensions: half an hour
#   make test         lint, types and every test, as CI runs them
#
# On Linux the default package index serves torch built for CUDA, which is several gigabytes. For the
# build without it, name PyTorch's index of CPU wheels: make demo TORCH_INDEX=<address>

PYTHON ?= python3
TORCH_INDEX ?=
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet \
	--constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
READY := $(VENV)/.ready

# Tests run JOBS at a time, so each keeps to one thread; and none may reach for a model hub. Files in
# order of their names: by number of tests, as xdist would have it, the longest came last and alone.
TEST_ENV := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1

GALLERY := gallery-lab gallery-imported gallery-smollm2

.PHONY: demo demo-real gallery $(GALLERY) test check bench docs constraints clean

demo: $(READY)
	$(BIN)/ullage demo

demo-real: $(READY)
	$(BIN)/ullage demo --real

gallery: $(GALLERY)

$(GALLERY): gallery-%: $(READY)
	$(BIN)/python tools/gallery.py $*

test: check
	$(TEST_ENV) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(INSTALL) --no-build-isolation --editable '.[bench]'
	for script in bench/*.py; do echo "== $$script" && $(BIN)/python "$$script" || exit 1; done

docs: $(READY)
	$(BIN)/python tools/reference.py
	$(BIN)/python tools/gallery.py

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Makefile: $(PYTHON) is not Python 3.11 or later; name one: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): some minutes the first time"
	$(INSTALL) hatchling editables
	$(INSTALL) --no-build-isolation --editable '.[local,dev]'
	@touch $@

constraints:
	rm -rf $(VENV)/resolve && $(PYTHON) -m venv $(VENV)/resolve
	$(VENV)/resolve/bin/python -m pip install --quiet hatchling editables '.[local,dev,bench]'
	{ sed -n '/^#/p' constraints.txt; $(VENV)/resolve/bin/python -m pip freeze --all \
		--exclude ullage --exclude pip | sed 's/+.*//'; } > $(VENV)/constraints.txt
	mv $(VENV)/constraints.txt constraints.txt && rm -rf $(VENV)/resolve

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests bench tools -name __pycache__ -type d -prune -exec rm -rf {} +
