"""The examples of the documentation in a network where every packet that gets out is captured."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's"),
    pytest.mark.skipif(
        shutil.which("unshare") is None or shutil.which("ip") is None,
        reason="unshare (util-linux) and ip (iproute2) are needed",
    ),
]


@pytest.fixture(scope="module", autouse=True)
def allowed() -> None:
    """Skip where the machine does not allow a namespace, or lacks what watches it."""
    for needed in (["true"], ["ip", "link", "add", "a0", "type", "veth", "peer", "name", "a1"]):
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--net", *needed],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"this machine does not allow it: {done.stderr.strip()}")


@pytest.fixture(scope="module")
def demo() -> str:
    found = {point.name for point in entry_points(group="andon")}
    if not {"demo", "llama-cpp"} <= found or importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("the demo model or llama.cpp is not installed")
    return "llama-cpp:demo"


def watched(folder: Path, *command: str, **variables: str) -> Any:
    """Run a command in a network of its own; return what was captured."""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net",
         sys.executable, str(HERE / "watched_network.py"), str(folder), *command],
        env={**os.environ, **variables}, cwd=ROOT, capture_output=True, text=True, timeout=110,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # Two families, each with a datagram and the beginning of a connection: nothing is overlooked.
    assert len(found["control"]) == 4
    return found


def test_a_leak_is_captured(tmp_path: Path) -> None:
    code = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))"
    [packet] = watched(tmp_path, sys.executable, "-c", code)["leaked"]
    assert bytes([192, 0, 2, 1]).hex() in packet


def under(layer: list[str], *command: str) -> list[str]:
    """Return a command that runs another one under a layer in the kernel, if one is named."""
    if not layer:
        return list(command)
    if importlib.util.find_spec("andon_cli") is None:
        pytest.skip("andon-cli is not installed")
    return [sys.executable, "-m", "andon_cli", "sovereign", *layer, "--", *command]


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("layer", [[], ["--layer", "seccomp"]], ids=" ".join)
def test_the_examples_of_the_documentation(tmp_path: Path, layer: list[str]) -> None:
    command = under(
        layer, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
        "-o", "addopts=--import-mode=importlib", "-k", "test_page", "tests/test_docs.py",
    )  # fmt: skip
    found = watched(tmp_path, *command)
    assert found["leaked"] == []
    assert found["code"] == 0, found["output"]


INTEGRATION = ROOT / "docs/tutorial/three-cords.md"


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("layer", [[], ["--layer", "seccomp"], ["--isolate"]], ids=" ".join)
def test_the_integration_example(tmp_path: Path, layer: list[str]) -> None:
    """Exactly as the page shows it, with the guard alone and under layers in the kernel."""
    pages = importlib.util.spec_from_file_location("test_docs", ROOT / "tests/test_docs.py")
    assert pages is not None and pages.loader is not None
    module = importlib.util.module_from_spec(pages)
    sys.modules[pages.name] = module
    pages.loader.exec_module(module)
    program = tmp_path / "program.py"
    text = INTEGRATION.read_text("utf-8")
    program.write_text("".join(b.body for b in module.blocks(text) if b.language == "python"))
    found = watched(tmp_path, *under(layer, sys.executable, str(program)))
    assert found["leaked"] == []
    assert found["code"] == 0, found["output"]
    assert "The capital of France is Paris." in found["output"]
    for error in ("RequestTooExpensive", "PrivacyViolation", "ContextOverflowError"):
        assert error in found["output"]


@pytest.mark.usefixtures("demo")
def test_the_chat_of_the_command_line(tmp_path: Path, demo: str) -> None:
    found = watched(
        tmp_path, sys.executable, "-m", "andon_cli", "chat", demo, "What is the capital of Spain?",
        "--temperature", "0", ANDON_PRIVACY="sovereign",
    )  # fmt: skip
    assert (found["leaked"], found["code"]) == ([], 0), found["output"]
    assert "Madrid" in found["output"]


def test_a_server_on_this_machine(tmp_path: Path) -> None:
    """Over HTTP, to a loopback of its own, for threads and for asyncio."""
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, json\n"
        "from types import ModuleType\n"
        "import andon\n"
        "from andon.backends.http_backend import http_backend_spec\n"
        "from andon.testing.server import ScriptedServer, respond\n"
        "from andon.wire.endpoint import EndpointSpec\n"
        "from andon.wire.openai_chat import openai_dialect\n"
        "message = {'role': 'assistant', 'content': 'near'}\n"
        "body = json.dumps({'choices': [{'message': message, 'finish_reason': 'stop'}]})\n"
        "with ScriptedServer(lambda request: [respond(200, body.encode())]) as server:\n"
        "    endpoint = EndpointSpec(base_url=server.url, locality=andon.Locality.PUBLIC)\n"
        "    plugin = ModuleType('one')\n"
        "    spec = http_backend_spec('one', endpoint, openai_dialect())\n"
        "    plugin.andon_register_backends = andon.hookimpl(lambda: [spec])\n"
        "    given = {'discover': False, 'plugins': [plugin], 'privacy': 'sovereign'}\n"
        "    with andon.Client(**given) as client:\n"
        "        print(client.chat('one:m', 'hi').text)\n"
        "    async def ask():\n"
        "        async with andon.AsyncClient(**given) as client:\n"
        "            print((await client.chat('one:m', 'hi')).text)\n"
        "    asyncio.run(ask())\n"
    )
    found = watched(tmp_path, sys.executable, str(program))
    assert (found["leaked"], found["output"]) == ([], "near\nnear\n")
