# Two doors for newcomers, each of which does all the set-up by itself:
#
#   make chat                       chat with the demo model in this terminal
#   make chat Q="Why is it so?"     print the streamed answer to one question, and end
#   make test                       lint, import contracts, types, and every test
#
# Wanted beforehand: Python 3.11 or later (with venv), a C/C++ compiler, make. What is made stays in
# this folder: .venv is the light environment of the chat, .tools holds uv, hatch and the compiled
# llama.cpp. `make clean` removes both.
#
# To choose:
#   MODEL=backend:model             another model for the chat
#   LLAMA_CPP_INDEX=URL             an index with prebuilt wheels of llama-cpp-python: no compiling
#   PYTHON=python3.12               the interpreter that the environments are made with
#   UV_TORCH_BACKEND=cpu            (environment) for `make test`: PyTorch without CUDA, from its own index

MODEL ?= llama-cpp:demo
CHAT_MEMBERS := core plugins/andon-cli plugins/andon-llama-cpp plugins/andon-demo-model
MEMBERS_TOML := $(wildcard core/pyproject.toml plugins/andon-*/pyproject.toml)
LLAMA_VERSION := $(shell sed -n 's/^llama-cpp-python==//p' constraints.txt)
LLAMA_STAMP := .tools/wheels/llama-cpp-$(LLAMA_VERSION).stamp

# Looked for only where an environment is made, so that a second start costs nothing.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# Text as one word of the shell, whatever quotes and dollars it holds.
quoted = '$(subst ','\'',$(1))'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help chat test lint fix types contracts bench docs release-check clean

help:
	@sed -n 's/^# \{0,1\}//; 1,/^To choose/p' Makefile | sed '$$d'

# --- The two doors -------------------------------------------------------------------------------

chat: .venv/chat.stamp
	@exec .venv/bin/andon chat $(call quoted,$(value MODEL)) $(if $(value Q),$(call quoted,$(value Q)))

test: .tools/dev.stamp
	@. .tools/uv.env && exec .tools/bin/hatch run check

# --- Parts of `make test`, for those who work here -----------------------------------------------

lint fix types contracts bench docs: .tools/dev.stamp
	@. .tools/uv.env && exec .tools/bin/hatch run $@

# Builds and tries every distribution, and says what a release would publish. See tools/release.py.
release-check: .tools/dev.stamp
	@. .tools/uv.env && exec .tools/bin/hatch run release

clean:
	rm -rf .venv .tools

# --- Environments: each made once, and again when what it is made from has changed ---------------

.venv/chat.stamp: $(CHAT_MEMBERS:%=%/pyproject.toml) constraints.txt .tools/uv.env $(LLAMA_STAMP)
	@echo "==> installing andon, its llama.cpp plugin, the demo model and the chat into .venv"
	@. .tools/uv.env && .tools/bin/uv venv -q --allow-existing --python .tools/bin/python .venv && \
		.tools/bin/uv pip install --python .venv/bin/python \
			-c constraints.txt $(CHAT_MEMBERS:%=-e %)
	@touch $@

# Hatch does not see that the entry points of a member changed, so the environment is made anew.
.tools/dev.stamp: pyproject.toml $(MEMBERS_TOML) constraints.txt .tools/uv.env $(LLAMA_STAMP)
	@echo "==> installing hatch into .tools, and everything that the tests need"
	@. .tools/uv.env && .tools/bin/uv pip install -q --python .tools/bin/python -c constraints.txt hatch && \
		.tools/bin/hatch env remove default && .tools/bin/hatch env create default
	@touch $@

# uv does not read pip's configuration: what this machine's pip was told of wheels, certificates and
# its index is handed on here, once.
.tools/uv.env: constraints.txt
	@$(if $(PYTHON),,echo "andon needs Python 3.11 or later: make PYTHON=..." >&2; exit 1)
	@echo "==> installing uv into .tools"
	@$(PYTHON) -m venv .tools || { echo "Python lacks venv; on Debian: apt install python3-venv" >&2; exit 1; }
	@.tools/bin/pip install -q --disable-pip-version-check -c constraints.txt uv
	@told() { .tools/bin/pip config get global.$$1 2>/dev/null || true; }; \
	links=$$(echo "$(CURDIR)/.tools/wheels" $${PIP_FIND_LINKS:-$$(told find-links)} | tr ' ' ','); \
	cert=$${PIP_CERT:-$$(told cert)}; index=$${PIP_INDEX_URL:-$$(told index-url)}; \
	{ \
		echo "export HATCH_ENV_TYPE_VIRTUAL_UV_PATH='$(CURDIR)/.tools/bin/uv'"; \
		echo "export UV_FIND_LINKS='$$links'"; \
		echo "export UV_NO_BUILD_PACKAGE=llama-cpp-python  # compiled once, below"; \
		test -z "$$cert" || echo "export SSL_CERT_FILE='$$cert'"; \
		test -z "$$index" || echo "export UV_DEFAULT_INDEX='$$index'"; \
	} > $@

# --- llama.cpp, the one thing that is compiled ---------------------------------------------------
# By pip, whose cache keeps the wheel for the next clone. The wheel is put where uv looks for it.

# Left out of the build: the multimodal part (LLAVA_BUILD), and llama.cpp's `common` library with its
# JSON and HTTP, a third of the work, which the Python package asks for but never loads. It asks by
# force, so the answer is given inside llama.cpp's own project, by the file lean.cmake.
# Reads what pip prints and shows that it moves: on one line in a terminal, else every 20 files.
show_progress = while IFS= read -r line; do \
		echo "$$line" >> .tools/llama-cpp.log; \
		case "$$line" in *"["[0-9]*/[0-9]*"] "*) ;; *) continue;; esac; \
		step=$${line%%"] "*}; step=$${step\#\#*"["}; \
		if [ -t 1 ]; then printf '\r==> compiling llama.cpp: %s ' "$$step"; \
		else case "$$step" in *[02468]0/*) echo "==> compiling llama.cpp: $$step";; esac; fi; \
	done; if [ -t 1 ]; then echo; fi

$(LLAMA_STAMP): | .tools/uv.env
	@echo "==> llama-cpp-python $(LLAMA_VERSION): from pip's cache, or compiled (some minutes; log in .tools/llama-cpp.log)"
	@mkdir -p .tools/wheels; rm -f .tools/wheels/llama_cpp_python-*; : > .tools/llama-cpp.log
	@echo 'set(LLAMA_BUILD_COMMON OFF)' > .tools/lean.cmake
	@CMAKE_ARGS="-DLLAVA_BUILD=OFF -DCMAKE_PROJECT_llama.cpp_INCLUDE='$(CURDIR)/.tools/lean.cmake' $$CMAKE_ARGS" \
	CMAKE_BUILD_PARALLEL_LEVEL=$${CMAKE_BUILD_PARALLEL_LEVEL:-$$(getconf _NPROCESSORS_ONLN)} \
	.tools/bin/pip wheel -v --no-deps -w .tools/wheels -c constraints.txt \
		$(if $(LLAMA_CPP_INDEX),--extra-index-url $(call quoted,$(LLAMA_CPP_INDEX)) --prefer-binary) \
		llama-cpp-python 2>&1 | { $(show_progress); }
	@ls .tools/wheels/llama_cpp_python-*.whl >/dev/null 2>&1 || { tail -n 40 .tools/llama-cpp.log; \
		echo "==> llama.cpp did not compile: is a C and C++ compiler installed? See .tools/llama-cpp.log" >&2; exit 1; }
	@touch $@
