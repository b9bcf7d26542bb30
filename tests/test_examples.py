"""The examples for embedders run as they stand in the docs, each in a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"

#: Seconds within which a program must be done.
END = 60


def environment(home: Path) -> dict[str, str]:
    """Return a reader's machine: a fresh home, no settings and no keys."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ANDON_") and not name.endswith("_API_KEY")
    }
    return {**kept, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "LLM_USER_PATH": str(home)}


def run(home: Path, *command: str) -> str:
    """Run a program of the examples; return what it prints."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=EXAMPLES,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=END,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tried() -> None:
    tried = {"fastapi_app.py", "langchain_chat.py", "llm_andon.py", "many_at_once.py"}
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {
        *tried,
        "notebook.ipynb",
    }


def test_many_at_once(tmp_path: Path) -> None:
    pytest.importorskip("tqdm")
    said = run(tmp_path, "many_at_once.py").splitlines()
    assert said[0] == "The capital of France is Paris."
    assert len(said) == 8


def test_langchain(tmp_path: Path) -> None:
    pytest.importorskip("langchain_openai")
    assert run(tmp_path, "langchain_chat.py") == "The capital of France is Paris.\n"


TALK = """
import llm, llm_andon
from llm.plugins import pm
pm.register(llm_andon)
talk = llm.get_model("andon/llama-cpp:demo").conversation()
print(talk.prompt("My name is Ada.").text())
last = talk.prompt("What is my name?")
print(last.text(), last.usage().output > 0)
"""


def test_llm(tmp_path: Path) -> None:
    pytest.importorskip("llm")
    said = run(tmp_path, "-c", TALK).splitlines()
    assert said == ["Nice to meet you, Ada.", "Your name is Ada. True"]


@pytest.fixture
def web_page(tmp_path: Path) -> Iterator[int]:
    """The port of the FastAPI example, served by uvicorn."""
    for module in ("fastapi", "uvicorn"):
        pytest.importorskip(module)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", str(port)]
    # The guard of the tier sovereign refuses uvloop, which connects behind its back.
    command += ["--loop", "asyncio"]
    process = subprocess.Popen(
        command, cwd=EXAMPLES, env=environment(tmp_path), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "Uvicorn running" in line:
            break
    else:
        pytest.fail("the server did not come up")
    try:
        yield port
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=10)
        process.kill()
        process.communicate()


def test_fastapi(web_page: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web_page, timeout=END)
    connection.request("GET", "/")
    assert b"<h1>Ask</h1>" in connection.getresponse().read()
    body = json.dumps({"text": "What is the capital of France?"})
    connection.request("POST", "/answer", body, {"content-type": "application/json"})
    reply = connection.getresponse()
    said = [json.loads(line) for line in reply]
    connection.close()
    assert "".join(piece.get("text", "") for piece in said) == "The capital of France is Paris."
    assert len(said) > 4, "it came piece by piece"
    assert said[-1] == {"cost_usd": "0"}


#: Runs cells as a notebook does: each may await.
CELLS = """
import ast, asyncio, inspect, json
cells = json.load(open("notebook.ipynb", encoding="utf-8"))["cells"]
names = {}
async def run_all():
    for cell in cells:
        if cell["cell_type"] == "code":
            code = compile("".join(cell["source"]), "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, names)
            if inspect.isawaitable(result):
                await result
asyncio.run(run_all())
print()
print(names["reply"].text, [answer.text for answer in names["answers"]], names["said"])
"""


def test_the_notebook(tmp_path: Path) -> None:
    last = run(tmp_path, "-c", CELLS).splitlines()[-1]
    assert last.startswith("The capital of France is Paris. ['The capital of Italy is Rome.', ")
    assert last.endswith("The capital of Peru is Lima.")
