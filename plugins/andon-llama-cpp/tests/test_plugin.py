from __future__ import annotations

import logging
import subprocess
import sys

import pytest

import andon_llama_cpp
from andon.errors import SettingsError
from andon.specs import BackendContext, Locality
from andon_llama_cpp.options import Options, read_options


def test_the_spec():
    (spec,) = andon_llama_cpp.andon_register_backends()
    assert spec.name == "llama-cpp"
    assert spec.locality is Locality.IN_PROCESS


def test_importing_and_creating_loads_no_engine():
    code = (
        "import sys, andon_llama_cpp as p; from andon.specs import BackendContext;"
        "(spec,) = p.andon_register_backends();"
        "assert not [m for m in sys.modules if m.startswith('andon_llama_cpp.')];"
        "spec.create(BackendContext()).models();"
        "assert 'llama_cpp' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "options",
    [{"n_ctx": 0}, {"n_ctx": "1"}, {"n_batch": True}, {"silence_logs": 1}, {"ctx": 5}],
)
def test_wrong_settings_are_found_when_the_backend_is_made(options):
    (spec,) = andon_llama_cpp.andon_register_backends()
    with pytest.raises(SettingsError, match="llama-cpp"):
        spec.create(BackendContext(options=options))


def test_settings():
    options = read_options({"n_ctx": 100, "n_gpu_layers": -1, "silence_logs": False})
    assert options == Options(n_ctx=100, n_gpu_layers=-1, silence_logs=False)


def test_small_models_are_computed_by_one_thread():
    assert Options().threads(4_000_000) == 1
    assert Options().threads(10**12) >= 1
    assert Options(n_threads=3).threads(4_000_000) == 3


def test_llama_cpp_is_silent_but_tells_the_logger(tiny, capfd, caplog):
    from andon_llama_cpp.engine import LlamaEngine

    with caplog.at_level(logging.DEBUG, "andon_llama_cpp"):
        LlamaEngine(tiny).close()
    assert capfd.readouterr() == ("", "")
    assert "llama_model_loader" in caplog.text


@pytest.mark.parametrize("silent", [True, False])
def test_the_log_can_be_left_alone(tiny, silent):
    code = (
        "import sys; from pathlib import Path; from andon_llama_cpp.engine import LlamaEngine;"
        "from andon_llama_cpp.options import Options;"
        "from llama_cpp._logger import set_verbose; set_verbose(True);"
        f"LlamaEngine(Path({str(tiny)!r}), Options(silence_logs={silent}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert ("llama_model_loader" in result.stderr) is not silent


def test_the_interpreter_ends_quietly_in_the_midst_of_answers(tiny):
    code = f"""
import threading
from pathlib import Path
from andon.backends.engine import GenerateOptions
from andon_llama_cpp.engine import LlamaEngine
engines = [LlamaEngine(Path({str(tiny)!r})) for _ in range(2)]
stream = engines[0].generate([1, 5, 6], GenerateOptions(max_tokens=50))
next(stream)
begun = threading.Event()
def forever():
    while True:
        for _ in engines[1].generate([1, 5, 6], GenerateOptions(max_tokens=200)):
            begun.set()
threading.Thread(target=forever, daemon=True).start()
begun.wait()
"""
    for _ in range(3):
        result = subprocess.run(
            [sys.executable, "-c", code], check=False, capture_output=True, text=True
        )
        assert (result.returncode, result.stderr) == (0, "")
