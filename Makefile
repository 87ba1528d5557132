# Every target sets up what it needs in .venv/; the first one on a new machine takes a minute.
PYTHON ?= python3
VENV := .venv
RUNTIME := cpu
BIN := $(VENV)/bin
DEMO := demo
TOYBIRDS := models/toybirds
COMMA := ,
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo serve evaluate bento image test page slow systems hub hosts embed check static format docs film bench runtimes gpu soak clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Set up the environment in $(VENV), once; it takes a minute or so and says nothing"
	$(PIP) -e '.[$(RUNTIME),export,serve]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Set up the environment of the tests in $(VENV), once; it takes minutes and says nothing"
	$(PIP) -e '.[$(RUNTIME),export,grpc,otel,serve,torch,dev]'
	@# It asks for torchvision, of which it needs little and which brings CUDA.
	$(PIP) --no-deps timm
	@touch $@ $(VENV)/.run

demo: $(VENV)/.run ## Export, verify and explain the toy birds, from nothing
	@sh examples/demo.sh $(BIN) $(DEMO)

# What the demo made; serving and the benchmarks start from it.
$(DEMO)/artifact/manifest.json:
	@$(MAKE) --no-print-directory demo

serve: $(VENV)/.run $(DEMO)/artifact/manifest.json ## Serve the toy birds on http://127.0.0.1:3000
	$(BIN)/protohead serve $(DEMO)/artifact

# The demo's held-out birds drawn again with the truth to the pixel.
$(DEMO)/truth/parts.csv: $(DEMO)/artifact/manifest.json
	$(BIN)/python $(TOYBIRDS)/generate.py --out $(DEMO)/truth --train 1 --test 10 --truth

evaluate: $(VENV)/.run $(DEMO)/truth/parts.csv ## Measure the toy birds' explanations, and write the report
	$(BIN)/protohead evaluate $(DEMO)/artifact --data $(DEMO)/truth/test --train $(DEMO)/data/train \
		--parts $(DEMO)/truth/parts.csv --out $(DEMO)/evaluation
	$(BIN)/protohead report $(DEMO)/artifact --data $(DEMO)/truth/test --parts $(DEMO)/truth/parts.csv \
		--evaluation $(DEMO)/evaluation/evaluation.json --out $(DEMO)/report.html
	@echo "Look at $(DEMO)/report.html"

bento: $(VENV)/.run $(DEMO)/artifact/manifest.json ## Build a Bento with the toy birds inside; GPU=1: for CUDA
	rm -rf build/bento && mkdir -p build/bento
	cp -R serving constraints.txt build/bento/ && cp -R $(DEMO)/artifact build/bento/artifact
	sed 's/"onnxruntime>=/"onnxruntime$(if $(GPU),-gpu[cuda$(COMMA)cudnn])>=/' pyproject.toml > build/bento/pyproject.toml
	cd build/bento && BENTOML_DO_NOT_TRACK=True ../../$(BIN)/python -m bentoml build

# From the temporary folder, because BentoML 1.4.39 takes its own copy of our template from nowhere
# else: https://github.com/bentoml/BentoML/issues/5566
image: bento ## Build the Bento's container image, protohead:latest; needs docker
	cd "$${TMPDIR:-/tmp}" && BENTOML_DO_NOT_TRACK=True $(CURDIR)/$(BIN)/python -m bentoml \
		containerize protohead:latest --image-tag protohead:latest

test: $(VENV)/.dev ## Run the tests
	$(BIN)/pytest

page: $(VENV)/.dev ## Run the tests of the page, in a real browser
	$(BIN)/pytest -m page

slow: $(VENV)/.dev ## Run the tests that take minutes: every architecture, an export killed at every step
	$(BIN)/pytest -m slow

systems: $(VENV)/.dev ## Run the tests on the paper's classifiers at their size
	$(BIN)/pytest -m systems

# What follows needs packages that nothing else here needs.
$(VENV)/.hub: $(VENV)/.dev
	$(PIP) -e '.[hub]' 'moto[server]>=5.1'
	@touch $@

hub: $(VENV)/.hub ## Run the tests of push, pull and signatures, against servers of this machine
	$(BIN)/pytest -m hub

$(VENV)/.hosts: $(VENV)/.dev
	$(PIP) -e '.[mlflow]'
	@touch $@

hosts: $(VENV)/.hosts ## Run the tests that need the packages of other hosts: MLflow
	$(BIN)/pytest -m hosts

# npm packages without their install scripts, which download.
$(VENV)/.embed: examples/embed/package-lock.json $(VENV)/.dev
	$(PIP) -e '.[embed]'
	cd examples/embed && ONNXRUNTIME_NODE_INSTALL=skip npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

embed: $(VENV)/.embed ## Run the kits that take an artifact elsewhere (browser, Node, C++, other runtimes), and the static site
	$(BIN)/pytest -m embed

static: $(VENV)/.dev ## Format, lint, types and generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python docs/generate_cli.py --check

check: static test page ## All that must pass before a commit

format: $(VENV)/.dev ## Format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev ## Write the generated docs
	$(BIN)/python docs/generate_cli.py

film: $(VENV)/.dev $(DEMO)/artifact/manifest.json ## Make the pictures of the page in README and docs again
	$(BIN)/python docs/film.py $(DEMO)/artifact $(DEMO)/data/test/kettlefinch/0001.jpg

bench: $(VENV)/.dev $(DEMO)/artifact/manifest.json ## Measure NMF, graph and serving on the toy birds
	$(BIN)/python -m benchmarks.nmf $(TOYBIRDS)/toybirds.onnx $(TOYBIRDS)/preprocess.json $(DEMO)/data/train
	$(BIN)/python benchmarks/explained_graph.py $(TOYBIRDS)/toybirds.onnx $(DEMO)/artifact
	$(BIN)/python benchmarks/memory.py $(TOYBIRDS)/toybirds.onnx $(DEMO)/data/train --classes 6 12
	$(BIN)/python benchmarks/serve_cost.py $(TOYBIRDS)/toybirds.onnx $(DEMO)/artifact $(DEMO)/data/test

# The demo's artifact with every further graph.
$(DEMO)/graphs/manifest.json: $(DEMO)/artifact/manifest.json
	$(BIN)/protohead convert $(DEMO)/artifact --out $(DEMO)/graphs.dense --variant dense --overwrite
	$(BIN)/protohead convert $(DEMO)/graphs.dense --out $(DEMO)/graphs.uint8 --input uint8 --overwrite
	$(BIN)/protohead convert $(DEMO)/graphs.uint8 --out $(DEMO)/graphs --variant dense --input uint8 --overwrite

# Environments of their own: TensorFlow asks for an older numpy, two versions of OpenCV for two folders,
# and pnnx for torch, of which its converter needs nothing.
runtimes: $(VENV)/.run $(DEMO)/graphs/manifest.json ## Which other runtimes read which graph, and how exactly
	$(PYTHON) -m venv .venv-runtimes && .venv-runtimes/bin/pip install --quiet -r benchmarks/runtimes.txt
	.venv-runtimes/bin/pip install --quiet --no-deps pnnx==20261020
	.venv-runtimes/bin/pip install --quiet --no-deps --target .venv-runtimes/opencv5 opencv-python-headless==5.0.0.93
	$(PYTHON) -m venv .venv-tflite && .venv-tflite/bin/pip install --quiet -r benchmarks/runtimes_tflite.txt
	.venv-runtimes/bin/python benchmarks/runtimes.py $(DEMO)/graphs
	PYTHONPATH=.venv-runtimes/opencv5 .venv-runtimes/bin/python benchmarks/runtimes.py $(DEMO)/graphs --only OpenCV
	.venv-tflite/bin/python benchmarks/runtimes.py $(DEMO)/graphs --only "LiteRT (TFLite), through onnx2tf"

# onnxruntime and onnxruntime-gpu overwrite each other: an environment of its own.
gpu: $(DEMO)/artifact/manifest.json ## Test and measure on CUDA; needs a GPU and its driver
	@$(MAKE) --no-print-directory VENV=.venv-gpu RUNTIME=gpu .venv-gpu/.dev
	.venv-gpu/bin/pytest tests/serving/model/test_on_cuda.py
	.venv-gpu/bin/python -m benchmarks.gpu
	.venv-gpu/bin/python benchmarks/gpu_serve.py $(DEMO)/artifact $(DEMO)/data/test

soak: $(VENV)/.dev $(DEMO)/artifact/manifest.json ## 10,000 requests, clients of other kinds beside them, a killed worker
	$(BIN)/python benchmarks/soak.py $(DEMO)/artifact $(DEMO)/data/test
	$(BIN)/python benchmarks/soak.py $(DEMO)/artifact $(DEMO)/data/test --mixed
	$(BIN)/python benchmarks/soak.py $(DEMO)/artifact $(DEMO)/data/test --kill

clean: ## Remove the environment and what the demo made
	rm -rf $(VENV) .venv-gpu .venv-runtimes .venv-tflite $(DEMO)
