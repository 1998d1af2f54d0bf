PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# A process for each core, a file's tests in one of them: what they share is made once. One thread each, for the others
# are busy. In the order of the folders, for the panel's long files come first and none of them is waited for at the end.
PARALLEL := --numprocesses auto --dist loadfile --no-loadscope-reorder
PARALLEL_ENVIRONMENT := OMP_NUM_THREADS=1 ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=1
PYTEST := $(PARALLEL_ENVIRONMENT) $(BIN)/python -m pytest $(PARALLEL)

SLICER := .venv-slicer
FILE_TESTS := Testing/geometry Testing/imaging Testing/cases Testing/datasets Testing/exports Testing/reports Testing/StrokeSeg/test_StrokeSeg_scans.py Testing/front_doors/test_front_doors_perfusion.py

.PHONY: demo test test-slicer-versions lint clean

demo: $(VENV)/.installed
	$(BIN)/strokeseg demo

test: $(VENV)/.installed-development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST) --durations=25

# The tests that touch files once more, with the versions that Slicer brings and pip may not replace.
ifeq ($(shell $(PYTHON) -c 'import sys; print(sys.version_info >= (3, 11))'),True)
test-slicer-versions: $(SLICER)/.installed
	PATH="$(abspath $(BIN)):$$PATH" $(PARALLEL_ENVIRONMENT) $(SLICER)/bin/python -m pytest $(PARALLEL) $(FILE_TESTS)
else
test-slicer-versions:
	@echo "Slicer's NumPy has no wheel for this Python; use Python 3.11 or later to test with Slicer's versions."
endif

# Its own site-packages come first; all else, torch above all, is that of the first environment.
$(SLICER)/.installed: Testing/slicer-5.12.txt $(VENV)/.installed-development
	$(PYTHON) -m venv --without-pip --clear $(SLICER)
	echo "import site; site.addsitedir('$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')')" \
	  > "$$($(SLICER)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/first-environment.pth"
	$(BIN)/python -m pip --python $(SLICER)/bin/python install --disable-pip-version-check --quiet --no-deps -r Testing/slicer-5.12.txt
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable .
	touch $@

$(VENV)/.installed-development: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[development]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) $(SLICER)
