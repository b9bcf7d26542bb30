"""Layers in the kernel, each over a process of its own that tries to get out."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from andon import PrivacyViolation
from andon.privacy.egress import EgressPolicy
from andon.privacy.kernel import VARIABLE, Layer
from andon.privacy.kernel_supervisor import check_raw_address
from andon.privacy.launch import run
from andon.privacy.switches import PROXIES, SWITCHES, still_on, turn_off

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these layers are Linux's")

#: Tries every way out without Python's own checks; says what became of each.
ATTEMPTS = Path(__file__).with_name("attempts.py")

COMPLETE = [Layer.SECCOMP, Layer.NAMESPACE, Layer.NO_NETWORK]


def attempts(layer: str, *arguments: object, policy: str = "[]", ports: str = "[]") -> Any:
    """Run the attempts under a layer, in a process of its own, since a layer is for good."""
    code = (
        "import json, sys\n"
        "from andon.privacy.egress import EgressPolicy\n"
        "from andon.privacy.kernel import Layer\n"
        "from andon.privacy.launch import run\n"
        "layer, sockets, ports, *command = sys.argv[1:]\n"
        "policy = EgressPolicy.of(sockets=json.loads(sockets))\n"
        "sys.exit(run(command, policy, layer=Layer(layer), ports=json.loads(ports)))\n"
    )
    command = [sys.executable, "-c", code, layer, policy, ports, sys.executable, str(ATTEMPTS)]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    if "no layer in the kernel" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.mark.parametrize("layer", COMPLETE)
def test_no_way_leads_out(layer: Layer, server: socket.socket) -> None:
    found = attempts(layer, server.getsockname()[1])
    assert found["enforced"]
    if layer is Layer.NO_NETWORK:
        # It leaves unix sockets, of whatever name.
        assert found["far"].pop("abstract") != "yes"
    assert {name: outcome for name, outcome in found["far"].items() if outcome != "no"} == {}


def test_seccomp_leaves_this_machine_within_reach(server: socket.socket) -> None:
    found = attempts("seccomp", server.getsockname()[1])
    assert found["near"] == {"python": "yes", "native": "yes", "asyncio": "yes", "child": "yes"}


@pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed")
def test_uvloop_is_held_as_well(server: socket.socket) -> None:
    found = attempts("seccomp", server.getsockname()[1], "uvloop")
    assert found["uvloop"] == {"far": "no", "near": "yes"}


@pytest.mark.parametrize("layer", [Layer.NAMESPACE, Layer.NO_NETWORK])
def test_the_others_do_not(layer: Layer, server: socket.socket) -> None:
    found = attempts(layer, server.getsockname()[1])
    assert "yes" not in found["near"].values()


def test_a_namespace_has_a_loopback_of_its_own() -> None:
    assert attempts("namespace", 0)["own"] == "yes"


def test_only_some_ports(server: socket.socket) -> None:
    port = server.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as other:
        for layer in ("seccomp", "landlock"):
            assert attempts(layer, port, ports=f"[{port}]")["near"]["native"] == "yes"
            found = attempts(layer, other.getsockname()[1], ports=f"[{port}]")
            assert found["near"]["native"] != "yes"


def test_landlock_is_told_from_what_is_complete(server: socket.socket) -> None:
    port = server.getsockname()[1]
    assert not attempts("landlock", port, ports=f"[{port}]")["enforced"]


def test_a_unix_socket_is_reached_only_where_it_is_listed(tmp_path: Path) -> None:
    path = str(tmp_path / "model.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        assert attempts("seccomp", 0, path)["unix"] == "no"
        assert attempts("seccomp", 0, path, policy=json.dumps([path]))["unix"] == "yes"


# -- The program itself ------------------------------------------------------------------------


def launched(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Start a program under a layer, from a process that has no other thread."""
    code = (
        "import sys\n"
        "from andon.privacy.egress import EgressPolicy\n"
        "from andon.privacy.launch import run\n"
        "def report(found):\n"
        "    print([protection.on for protection in found], flush=True)\n"
        "sys.exit(run(sys.argv[1:], EgressPolicy(), report=report))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *command],
        env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if "no layer in the kernel" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    return done


def test_exit_codes_are_the_programs() -> None:
    assert launched("sh", "-c", "exit 7").returncode == 7
    assert launched("sh", "-c", "kill -TERM $$").returncode == 128 + signal.SIGTERM


def test_a_program_that_is_not_there() -> None:
    assert "ConfigurationError: no-such-program: No such file" in launched("no-such-program").stderr


def test_what_is_on_is_reported_before_the_program_starts() -> None:
    assert launched("echo", "started").stdout == "[True]\nstarted\n"


def test_a_signal_is_passed_on() -> None:
    script = "trap 'kill $!; exit 5' TERM; sleep 5 & kill -TERM $PPID; wait; exit 6"
    assert launched("sh", "-c", script).returncode == 5


def test_a_program_under_a_layer_may_start_another_one() -> None:
    """It is held already: no second layer is wanted, and none could decide more."""
    code = (
        "import sys\n"
        "from andon.privacy.egress import EgressPolicy\n"
        "from andon.privacy.launch import run\n"
        "sys.exit(run(['sh', '-c', 'exit 4'], EgressPolicy(),\n"
        "             report=lambda found: print(found[0].reason)))\n"
    )
    done = launched(sys.executable, "-c", code)
    assert (done.returncode, done.stderr) == (4, "")
    assert "on already" in done.stdout


def test_without_its_supervisor_a_program_reaches_nothing(server: socket.socket) -> None:
    code = (
        "import os, signal, socket, sys\n"
        "near = ('127.0.0.1', int(sys.argv[1]))\n"
        "socket.create_connection(near).close()\n"
        "watch = os.pidfd_open(os.getppid())\n"
        "os.kill(os.getppid(), signal.SIGKILL)\n"
        "import select\n"
        "poll = select.poll()\n"
        "poll.register(watch, select.POLLIN)\n"
        "poll.poll()\n"
        "print(socket.socket().connect_ex(near) != 0)\n"
    )
    done = launched(sys.executable, "-c", code, str(server.getsockname()[1]))
    assert done.stdout.splitlines() == ["[True]", "True"]


def test_many_connections_at_once_and_signals_between_them(server: socket.socket) -> None:
    code = (
        "import signal, socket, sys, threading\n"
        "near = ('127.0.0.1', int(sys.argv[1]))\n"
        "signal.signal(signal.SIGALRM, lambda *_: None)\n"
        # Else a call that a signal interrupts fails, supervised or not.
        "signal.siginterrupt(signal.SIGALRM, False)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)\n"
        "failed = []\n"
        "def work():\n"
        "    for _ in range(50):\n"
        "        with socket.socket() as near_socket, socket.socket() as far_socket:\n"
        "            if near_socket.connect_ex(near):\n"
        "                failed.append('near')\n"
        "            if far_socket.connect_ex(('192.0.2.1', 9)) != 13:\n"
        "                failed.append('far')\n"
        "threads = [threading.Thread(target=work) for _ in range(8)]\n"
        "for thread in threads: thread.start()\n"
        "work()\n"
        "for thread in threads: thread.join()\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "print(failed)\n"
    )
    server.listen(1000)
    done = launched(sys.executable, "-c", code, str(server.getsockname()[1]))
    assert done.stdout.splitlines() == ["[True]", "[]"], done.stderr


def test_the_environment_is_quiet() -> None:
    done = launched("env", HTTPS_PROXY="http://proxy:1", all_proxy="http://proxy:1")
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert SWITCHES.items() <= variables.items()
    assert not {"HTTPS_PROXY", "all_proxy"} & set(variables)
    assert variables[VARIABLE] in set(Layer)


def test_landlock_alone_wants_ports() -> None:
    with pytest.raises(PrivacyViolation, match="ports"):
        run(["true"], EgressPolicy(), layer=Layer.LANDLOCK)


# -- Locking a process in from within ------------------------------------------------------------


def locked(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if "no layer in the kernel" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    return done


@pytest.mark.parametrize("layer", COMPLETE)
def test_lockdown_from_within(layer: str) -> None:
    code = (
        "import json, sys, threading\n"
        "from andon.privacy import lockdown\n"
        "from andon.privacy.canary import check_kernel\n"
        "from andon.privacy.guard import is_armed\n"
        "found = lockdown(kernel=True, layer=sys.argv[1])\n"
        "assert is_armed() and found[-1].name == 'guard'\n"
        "from andon.privacy.guard import disarm\n"
        "disarm()\n"  # what the kernel holds, it holds without the guard
        "print([protection.on for protection in check_kernel()])\n"
    )
    done = locked(code, layer)
    assert (done.stdout, done.stderr) == ("[True, True]\n", "")


def test_threads_that_are_there_already_are_held() -> None:
    code = (
        "import threading\n"
        "from andon.privacy import lockdown\n"
        "from andon.privacy.canary import check_kernel\n"
        "from andon.privacy.guard import disarm\n"
        "begin, found = threading.Event(), []\n"
        "def work():\n"
        "    begin.wait()\n"
        "    found.extend(protection.on for protection in check_kernel())\n"
        "thread = threading.Thread(target=work)\n"
        "thread.start()\n"
        "lockdown(kernel=True, layer='seccomp')\n"
        "disarm()\n"
        "begin.set()\n"
        "thread.join()\n"
        "print(found)\n"
    )
    done = locked(code)
    assert (done.stdout, done.stderr) == ("[True, True]\n", "")


def test_without_the_kernel_the_guard_and_the_switches_are_on() -> None:
    code = (
        "import os, socket\n"
        "from andon.privacy import lockdown\n"
        "print([(found.name, found.on) for found in lockdown()], os.environ['HF_HUB_OFFLINE'])\n"
        "socket.create_connection(('192.0.2.1', 9))\n"
    )
    done = locked(code)
    assert done.stdout == "[('switches', True), ('guard', True)] 1\n"
    assert "EgressBlocked" in done.stderr


# -- The parts that need no kernel ---------------------------------------------------------------


V4 = b"\x02\0" + (443).to_bytes(2, "big")
V6 = b"\x0a\0" + (443).to_bytes(2, "big") + bytes(4)


@pytest.mark.parametrize(
    "address",
    [
        V4 + bytes([127, 0, 0, 1]) + bytes(8),
        V6 + bytes(15) + b"\x01" + bytes(4),
        V6 + bytes(10) + b"\xff\xff\x7f\0\0\x01" + bytes(4),
        b"\0\0" + bytes(14),
        b"\x01\0/listed\0rest",
    ],
)
def test_raw_addresses_that_are_near(address: bytes) -> None:
    check_raw_address(EgressPolicy.of(sockets=["/listed"]), address)


@pytest.mark.parametrize(
    "address",
    [
        V4 + bytes([8, 8, 8, 8]) + bytes(8),
        V4 + bytes([0, 0, 0, 0]) + bytes(8),
        V4 + bytes([127, 0]),
        V6 + bytes(10) + b"\xff\xff\x08\x08\x08\x08" + bytes(4),
        V6 + bytes.fromhex("0064ff9b00000000000000007f000001") + bytes(4),
        V6[:4],
        b"\x01\0/other",
        b"\x01\0\0/listed",
        b"\x01\0",
        b"\x28\0" + bytes(14),
    ],
)
def test_raw_addresses_that_are_not(address: bytes) -> None:
    with pytest.raises(PrivacyViolation):
        check_raw_address(EgressPolicy.of(sockets=["/listed"]), address)


def test_switches() -> None:
    environment = {"HTTP_PROXY": "http://x", "https_proxy": "http://x", "PATH": "/bin"}
    assert "HTTP_PROXY names a proxy" in still_on(environment)
    assert any(line.startswith("DO_NOT_TRACK") for line in still_on(environment))
    turn_off(environment)
    assert still_on(environment) == []
    assert not set(PROXIES) & set(environment) and environment["PATH"] == "/bin"
