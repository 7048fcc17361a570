# make run | check | test | test-all | results | studies | lab | bench, on a fresh machine with Python 3.11
# to 3.13
PYTHON ?= python3
ENV = .venv
BIN = $(ENV)/bin
PACKAGES = -c constraints.txt -r requirements.txt -r requirements-dev.txt -e .[runtimes]
BATCH = $(BIN)/python -m pruninglib.batch
# with bytecode: where none may be written later, every process would compile TensorFlow anew, for 15 s
UV_INSTALL = pip install -q --compile-bytecode --python

# a module's tests on one worker, for they share what was trained; the slowest first (tests/conftest.py).
# Not loadgroup: xdist 3.8 sets no groups with pytest 9.2, and says nothing
PYTEST = $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations=15
ELSEWHERE = not browser and not colab
ON_JAX = tests/test_backends.py $(patsubst %,tests/structure/test_%.py,prunable layers graph copying activations) \
	$(patsubst %,tests/pruning/test_%.py,criteria masks held prune coupling shrink)
# without dependencies: Keras has what they need
INTO = $(BIN)/python -m pip install -q --upgrade --no-deps --target

.PHONY: run check test test-all test-studies test-backends test-jax test-torch test-colab test-browser chromium results studies lab bench clean

run: $(ENV)/ready  ## all four notebooks on the embedded digits, in runs/run, and a page on them
	rm -rf runs/run
	$(BATCH) notebooks/grids/quick.yaml --output runs/run --jobs 2
	@$(BATCH) report runs/run

check: $(ENV)/ready  ## in two minutes: form, and all tests but those of notebooks, processes and large networks
	$(BIN)/ruff format --check . && $(BIN)/ruff check .
	$(PYTEST) -m "not slow and not more and not notebooks and not processes and not architectures and $(ELSEWHERE)"

test: $(ENV)/ready  ## in six: all that a change here could break; with SLOW=1 the rest too
	$(BIN)/ruff format --check . && $(BIN)/ruff check .
	$(if $(SLOW),PRUNINGLIB_ALL_EXAMPLES=1) $(PYTEST) -m "$(if $(SLOW),,not slow and) $(ELSEWHERE)"

test-all:  ## that rest in one go with them: more of the same kinds, and properties on all examples
	$(MAKE) test SLOW=1

test-studies: $(ENV)/ready  ## all studies on the embedded digits, in runs/studies_quick, in some minutes
	rm -rf runs/studies_quick
	$(BATCH) notebooks/grids/quick_studies.yaml --output runs/studies_quick --jobs 2

test-backends: test-jax test-torch  ## the library with Keras on JAX and on PyTorch, beside TensorFlow

test-jax: $(ENV)/ready  ## 400 MB more, in .venv/jax
	$(INTO) $(ENV)/jax jax==0.10.2 jaxlib==0.10.2 ml_dtypes==0.6.0
	KERAS_BACKEND=jax PYTHONPATH=$(ENV)/jax $(PYTEST) -m "not slow" $(ON_JAX)

test-torch: $(ENV)/ready  ## 900 MB more in .venv/torch, or 3 GB where pip finds a build for graphics cards
	$(INTO) $(ENV)/torch torch==2.13.0 sympy mpmath networkx fsspec
	KERAS_BACKEND=torch PYTHONPATH=$(ENV)/torch $(PYTEST) tests/test_backends.py

test-colab: $(ENV)/ready $(patsubst tests/notebooks/colab/%.txt,$(ENV)/colab/%/ready,$(wildcard tests/notebooks/colab/*.txt))  ## the notebooks with Colab's versions
	$(PYTEST) --dist load -m colab tests/notebooks/test_colab.py

test-browser: $(ENV)/ready chromium  ## the notebooks in JupyterLab, in a real browser
	$(PYTEST) --dist load -m browser tests/notebooks/test_browser.py

chromium:  ## from Debian's packages, where there is none
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	{ apt-get -q update && apt-get -q -y install --no-install-recommends chromium; }

results: $(ENV)/ready  ## measure the published claims again: docs/claims.md (hours on 2 cores; stopped, it goes on)
	$(BATCH) notebooks/grids/results.yaml --output runs/results --jobs 2
	$(BIN)/python -m evidence.claims runs/results
	$(BIN)/python -m evidence.pages

studies: $(ENV)/ready  ## rewrite the other tables, the figures and the notebooks' outputs (more hours)
	$(BATCH) notebooks/grids/studies.yaml --output runs/studies
	$(BIN)/python -m evidence.publish runs/studies
	$(BIN)/python examples/residual_network.py --dataset fashion_mnist --epochs 5 --iterations 600 --seeds 0 1 2
	cp runs/residual_network/residual_network.csv data/results/fashion_mnist/
	$(BIN)/python -m evidence.pages

lab: $(ENV)/ready
	$(BIN)/jupyter lab notebooks

bench: $(ENV)/ready $(ENV)/peers/tfmot/ready $(ENV)/peers/torch/ready  ## benchmarks/README.md; run it with nothing else running
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/masks.py
	$(BIN)/python benchmarks/model_masks.py
	$(BIN)/python benchmarks/sparse.py
	$(BIN)/python benchmarks/shrunk.py
	$(BIN)/python benchmarks/repair.py
	$(BIN)/python benchmarks/shrink.py
	$(BIN)/python benchmarks/storage.py
	$(BIN)/python benchmarks/batch.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/interactive.py

# what other tools need, each in an environment of its own; pip, for PyTorch may lie on disk for it
$(ENV)/peers/%/ready: benchmarks/peers/%.txt | $(ENV)/ready
	$(PYTHON) -m venv --clear $(ENV)/peers/$* && $(ENV)/peers/$*/bin/pip install -q -r $<
	touch $@

# the versions of a Colab runtime, on its Python if that is there, else on this one
$(ENV)/colab/%/ready: tests/notebooks/colab/%.txt | $(ENV)/ready
	uv=$$(command -v uv || echo $(BIN)/uv); \
		python=$$(PATH="$$(printf '%s:' $$HOME/.pyenv/versions/*/bin)$$PATH" \
			$$uv python find --no-project --no-python-downloads "$$(sed -n 's/^# Python //p' $<)" 2>/dev/null || \
			echo $(PYTHON)); \
		echo "Colab's versions $* on $$($$python --version)"; \
		$$uv venv -q --clear --seed --python $$python $(ENV)/colab/$* && \
		$$uv $(UV_INSTALL) $(ENV)/colab/$*/bin/python -r $<
	touch $@

# uv where it can be had, for it is several times faster; else pip
$(ENV)/ready: $(wildcard requirements*.txt) constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit(f"Python 3.11 to 3.13 is needed (TensorFlow has no other), found {v[0]}.{v[1]}. Try: make PYTHON=python3.12")'
	if command -v uv >/dev/null; \
	then uv venv -q --clear --seed --python $(PYTHON) $(ENV) && uv $(UV_INSTALL) $(BIN)/python $(PACKAGES); \
	else $(PYTHON) -m venv --clear $(ENV) && \
		{ $(BIN)/pip install -q uv && $(BIN)/uv $(UV_INSTALL) $(BIN)/python $(PACKAGES) || $(BIN)/pip install -q $(PACKAGES); }; fi
	touch $@

clean:
	rm -rf $(ENV) runs
