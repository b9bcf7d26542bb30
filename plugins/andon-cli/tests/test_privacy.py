"""``andon sovereign`` and ``andon doctor``."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from andon_cli.checks import Check, State
from andon_cli.commands import doctor

NATIVE = (
    "import json; from andon.privacy.canary import check_kernel; "
    "print(json.dumps([found.on for found in check_kernel()]))"
)


@pytest.fixture(scope="session")
def layered() -> None:
    if sys.platform != "linux":
        pytest.skip("layers in the kernel are Linux's")


def sovereign(run: Any, *arguments: str, **variables: str) -> Any:
    done = run("sovereign", *arguments, **variables)
    if "no layer in the kernel" in done.stderr:
        pytest.skip(done.stderr)
    return done


# -- andon sovereign -----------------------------------------------------------------------------


@pytest.mark.usefixtures("layered")
@pytest.mark.parametrize("options", [[], ["--isolate"], ["--layer", "no-network"]])
def test_a_program_is_held_and_what_holds_it_is_said(run: Any, options: list[str]) -> None:
    done = sovereign(run, *options, "--", sys.executable, "-c", NATIVE)
    assert (done.returncode, json.loads(done.stdout)) == (0, [True, True])
    assert " is on: " in done.stderr


@pytest.mark.usefixtures("layered")
def test_what_is_refused_is_said_once(run: Any) -> None:
    code = (
        "import socket\n"
        "for _ in range(3): socket.socket().connect_ex(('192.0.2.1', 443))\n"
    )  # fmt: skip
    done = sovereign(run, "--", sys.executable, "-c", code)
    assert done.stderr.count("stopped: 192.0.2.1") == 1
    assert sovereign(run, "--quiet", "--", sys.executable, "-c", code).stderr == ""


@pytest.mark.usefixtures("layered")
def test_servers_on_this_machine_are_reached_and_only_these_ports(run: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        for options, reached in [([], True), (["--port", port], True), (["--port", "1"], False)]:
            done = sovereign(run, *options, "--", sys.executable, "-c", code)
            assert (done.returncode == 0) is reached, done.stderr


@pytest.mark.usefixtures("layered")
def test_a_unix_socket_is_named(run: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})"
        assert sovereign(run, "--", sys.executable, "-c", code).returncode != 0
        done = sovereign(run, "--socket", path, "--", sys.executable, "-c", code)
        assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("layered")
def test_options_after_the_program_are_its_own_and_so_is_the_exit_code(run: Any) -> None:
    done = sovereign(run, "sh", "-c", "echo $ANDON_PRIVACY $DO_NOT_TRACK --quiet; exit 9")
    assert (done.stdout, done.returncode) == ("sovereign 1 --quiet\n", 9)


def test_without_a_layer_the_program_is_not_started(run: Any, tmp_path: Path) -> None:
    marker = tmp_path / "started"
    done = run("sovereign", "--layer", "landlock", "--", "touch", str(marker))
    assert done.returncode == 3 and "error: " in done.stderr
    assert not marker.exists()


def test_a_program_is_named(run: Any) -> None:
    assert run("sovereign").returncode == 2


@pytest.mark.usefixtures("layered")
def test_the_demo_model_answers_without_any_network(run: Any, demo: str) -> None:
    command = [sys.executable, "-m", "andon_cli", "chat", demo, "What is the capital of France?"]
    done = sovereign(run, "--layer", "no-network", "--", *command, "--temperature", "0")
    assert done.stdout.strip() == "The capital of France is Paris.", done.stderr


# -- andon doctor ---------------------------------------------------------------------------------


def test_every_layer_holds(run: Any) -> None:
    done = run("doctor", "--privacy", "--json", ANDON_PRIVACY="sovereign")
    assert done.returncode == 0, done.stdout
    checks = {check["name"]: check for check in json.loads(done.stdout)["privacy"]}
    assert checks["tier"]["detail"].startswith("sovereign")
    for name, check in checks.items():
        assert check["state"] in {"ok", "off"} and check["detail"], name
    held = {name for name, check in checks.items() if check["state"] == "ok"}
    assert held >= {
        "payload: image by address", "settings: proxy", "locality: a backend that lies",
        "andon's own HTTP",
        "guard: connection", "guard: datagram", "guard: look-up of a name", "guard: program",
    }  # fmt: skip


def test_for_people_it_is_a_table(run: Any) -> None:
    done = run("doctor", "--privacy")
    assert done.returncode == 0 and done.stdout.startswith("CHECK ")


@pytest.mark.usefixtures("layered")
def test_inside_a_layer_the_canaries_are_tried_in_the_process_itself(run: Any) -> None:
    command = [sys.executable, "-m", "andon_cli", "doctor", "--privacy", "--json"]
    done = sovereign(run, "--", *command)
    assert done.returncode == 0, done.stdout
    checks = {check["name"]: check["state"] for check in json.loads(done.stdout)["privacy"]}
    assert checks["kernel: native connection"] == checks["switches"] == "ok"


def test_a_layer_that_is_said_to_be_on_and_is_not_fails(run: Any) -> None:
    done = run("doctor", "--privacy", ANDON_SOVEREIGN="seccomp")
    assert done.returncode == 1
    assert "ANDON_SOVEREIGN says that seccomp is on, and it is not" in done.stdout


def test_a_guard_that_the_settings_leave_out(run: Any, tmp_path: Path) -> None:
    (tmp_path / "home" / "andon.toml").write_text("[network]\nguard = false\n")
    done = run("doctor", "--privacy", "--json")
    states = {check["name"]: check["state"] for check in json.loads(done.stdout)["privacy"]}
    assert done.returncode == 0 and states["guard"] == "off"


def test_one_failure_is_the_exit_code(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Check("canary", State.FAILED, "it was not stopped")
    monkeypatch.setattr(doctor, "_look", lambda app, name: [failed])
    done = invoke("doctor", "--privacy")
    assert done.exit_code == 1 and "it was not stopped" in done.output
