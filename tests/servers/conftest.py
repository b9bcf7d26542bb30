"""Real model servers with the demo model, each in a process of its own, ended by its id."""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from andon import Client, Locality, hookimpl
from andon.backends.http_backend import http_backend_spec
from andon.settings import Settings
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import Quirks, openai_dialect

HERE = Path(__file__).parent

#: Seconds within which a server must be up, and be gone.
START = 60.0
END = 10.0

StartServer = Callable[..., str]


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark of tests that need a vLLM."""
    config.addinivalue_line("markers", "vllm: asks a real vLLM (two minutes, on request)")


@pytest.fixture(scope="session")
def demo_gguf() -> Path:
    """The demo model's file."""
    demo = pytest.importorskip("andon_demo_model")
    [card] = demo.andon_register_model_cards()
    path: Path = card.file()
    return path


@pytest.fixture(scope="session")
def llama_server(demo_gguf: Path) -> Iterator[str]:
    """The address of a llama-server without a key."""
    pytest.importorskip("xllamacpp")
    with _llama_server(demo_gguf) as url:
        yield url


@pytest.fixture(scope="session")
def keyed_llama_server(demo_gguf: Path) -> Iterator[str]:
    """The address of a llama-server with the key ``sesame-open``."""
    pytest.importorskip("xllamacpp")
    with _llama_server(demo_gguf, "sesame-open") as url:
        yield url


@pytest.fixture(scope="session")
def spawn_llama_server(demo_gguf: Path) -> Callable[[], tuple[subprocess.Popen[str], str]]:
    """Starts a llama-server that the caller ends; gives its process and its address."""
    pytest.importorskip("xllamacpp")

    def spawn() -> tuple[subprocess.Popen[str], str]:
        process = _spawn(demo_gguf)
        return process, _announced(process)

    return spawn


def _spawn(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "run_llama_server.py"), *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


@contextlib.contextmanager
def _llama_server(*arguments: object) -> Iterator[str]:
    process = _spawn(*arguments)
    try:
        yield _announced(process)
    finally:
        _end(process)


def _announced(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if not select.select([process.stdout], [], [], deadline - time.monotonic())[0]:
            break
        line = process.stdout.readline()
        if line.startswith("LISTENING"):
            return line.split()[1]
        if not line:
            break
    pytest.fail("the server did not come up")


@pytest.fixture(scope="session")
def start_server() -> Iterator[StartServer]:
    """Starts servers of other makers, which take a port, and waits until they list their models.

    Call it with the command, in which ``{port}`` stands for the port, and
    where a request for ``ready`` must be answered. It returns the server's address.
    """
    with contextlib.ExitStack() as stack:

        def start(
            command: Sequence[str],
            *,
            ready: str = "/v1/models",
            within: float = START,
        ) -> str:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            process = subprocess.Popen(
                [part.format(port=port) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=offline(),
                text=True,
            )
            stack.callback(_end, process)
            _wait(process, port, ready, within)
            return f"http://127.0.0.1:{port}"

        yield start


def _wait(process: subprocess.Popen[str], port: int, path: str, within: float) -> None:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    return
            finally:
                connection.close()
        # Waits for the process and not for a time: a server that dies is noticed at once.
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"the server ended with {process.wait(0.1)}")
    pytest.fail("the server did not come up")


def _end(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    else:
        process.terminate()
    try:
        process.wait(END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(END)
    if process.stdout is not None:
        process.stdout.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Makes clients for a plugin's backend and its settings, and closes them."""
    with contextlib.ExitStack() as stack:

        def make(plugin: object, backend: str, **options: object) -> Client:
            client = Client(
                discover=False,
                plugins=[plugin],
                settings=Settings(endpoints={backend: options}),
            )
            return stack.enter_context(client)

        yield make


@pytest.fixture(scope="session")
def demo_folder(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model as a folder, as transformers and vLLM read it."""
    for module in ("torch", "transformers", "gguf"):
        pytest.importorskip(module)
    folder: Path = tmp_path_factory.mktemp("servers") / "demo"
    script = str(HERE / "export_demo_model.py")
    command = [sys.executable, script, str(demo_gguf.parent), str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=100, env=offline())
    return folder


def offline() -> dict[str, str]:
    """Return the environment of servers, which must not look for anything elsewhere."""
    cache = str(HERE / "no-such-folder")
    return {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": cache, "DO_NOT_TRACK": "1"}


@pytest.fixture
def connect_to() -> Iterator[Callable[[str, Quirks], Client]]:
    """Makes clients for the backend ``some``, an OpenAI-style server with its quirks."""
    with contextlib.ExitStack() as stack:

        def make(base_url: str, quirks: Quirks) -> Client:
            endpoint = EndpointSpec(base_url=base_url, locality=Locality.LOCAL)
            spec = http_backend_spec("some", endpoint, openai_dialect(quirks))
            plugin = ModuleType("some_plugin")
            vars(plugin)["andon_register_backends"] = hookimpl(lambda: [spec])
            client = Client(discover=False, plugins=[plugin], settings=Settings())
            return stack.enter_context(client)

        yield make
