"""``andon keys``: which there are, kept in a keyring, found by requests, and never shown."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from andon.errors import ConfigurationError
from andon.testing.server import ScriptedServer, respond
from andon_cli.key_store import KeyringEnvironment, KeyStore

KEY = "sk-not-to-be-seen"


@pytest.fixture
def ring(environment: dict[str, str], tmp_path: Path) -> Path:
    """Give the machine a keyring."""
    pytest.importorskip("keyring", reason="andon-cli[keyring] is not installed")
    environment["PYTHON_KEYRING_BACKEND"] = "stub_keyring.Keyring"
    environment["STUB_KEYRING"] = str(tmp_path / "ring.json")
    return tmp_path / "ring.json"


def places(run: Any, **variables: str) -> dict[str, str | None]:
    done = run("keys", "list", "--json", **variables)
    assert done.returncode == 0, done.stderr
    found = {row["variable"]: row["place"] for row in json.loads(done.stdout)}
    # Other plugins may be installed beside the stub.
    return {name: place for name, place in found.items() if name in {"STUB_API_KEY", "OTHER_KEY"}}


def test_keys_are_listed_by_where_they_are(run: Any, tmp_path: Path) -> None:
    assert places(run) == {"STUB_API_KEY": None}
    done = run("keys", "list", STUB_API_KEY=KEY)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["VARIABLE", "BACKENDS", "KEY"]
    assert ["STUB_API_KEY", "keyed", "environment"] in rows
    (tmp_path / "home" / "andon.toml").write_text(f'[endpoints.keyed]\napi_key = "{KEY}"\n')
    assert places(run) == {"STUB_API_KEY": "settings"}
    assert KEY not in run("keys", "list", "--json").stdout + done.stdout


def test_alone_it_explains_itself(run: Any) -> None:
    done = run("keys")
    told = done.stderr
    assert done.returncode == 2
    assert told.startswith("Usage: andon keys")
    assert "\n  set " in told


def test_a_key_is_kept_and_removed(run: Any, ring: Path) -> None:
    done = run("keys", "set", "STUB_API_KEY", stdin=f"{KEY}\n")
    assert (done.returncode, done.stdout) == (0, "") and KEY not in done.stderr
    assert json.loads(ring.read_text()) == {"andon STUB_API_KEY": KEY}
    assert places(run) == {"STUB_API_KEY": "keyring"}
    assert places(run, STUB_API_KEY="another") == {"STUB_API_KEY": "environment"}
    assert run("keys", "remove", "keyed").returncode == 0
    assert json.loads(ring.read_text()) == {}
    assert places(run) == {"STUB_API_KEY": None}
    done = run("keys", "remove", "STUB_API_KEY")
    assert done.returncode == 2 and "has no key" in done.stderr


def test_a_backend_stands_for_its_variable(run: Any, ring: Path) -> None:
    assert run("keys", "set", "keyed", stdin=KEY).returncode == 0
    assert places(run) == {"STUB_API_KEY": "keyring"}
    done = run("keys", "set", "stub", stdin=KEY)
    assert done.returncode == 2 and "names no variable" in done.stderr


@pytest.mark.parametrize("name", ["STUB_API_KEY", "A-B"])
@pytest.mark.parametrize("key", ["", "two words", "schlüssel"])
def test_what_is_no_key_is_refused(run: Any, ring: Path, name: str, key: str) -> None:
    assert run("keys", "set", name, stdin=key).returncode == 2
    assert not ring.exists()


def test_a_key_that_nobody_reads_is_kept_with_a_warning(run: Any, ring: Path) -> None:
    done = run("keys", "set", "OTHER_KEY", stdin=KEY)
    assert done.returncode == 0 and "no installed backend reads OTHER_KEY" in done.stderr
    assert places(run) == {"OTHER_KEY": "keyring", "STUB_API_KEY": None}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def test_requests_find_the_key(
    run: Any, ring: Path, server: ScriptedServer, tmp_path: Path
) -> None:
    (tmp_path / "home" / "andon.toml").write_text(
        f'[endpoints.keyed]\nbase_url = "{server.url}/v1"\n'
    )
    run("keys", "set", "STUB_API_KEY", stdin=KEY)
    for variables, sent in (({}, KEY), ({"STUB_API_KEY": "nearer"}, "nearer")):
        server.says([respond(200, b'{"data": [{"id": "big"}]}')])
        done = run("models", "--backend", "keyed", "--ask", **variables)
        assert done.stdout.splitlines()[1].startswith("keyed:big"), done.stderr
        assert server.requests[-1].headers["authorization"] == f"Bearer {sent}"


def test_a_locked_keyring_is_asked_only_for_what_it_holds(run: Any, ring: Path) -> None:
    locked = {"STUB_KEYRING_LOCKED": "1"}
    assert run("chat", "stub:echo", "hi", **locked).returncode == 0
    done = run("chat", "keyed:x", "hi", **locked)
    assert done.returncode == 2 and "set the environment variable STUB_API_KEY" in done.stderr
    run("keys", "set", "STUB_API_KEY", stdin=KEY)
    done = run("chat", "keyed:x", "hi", **locked)
    assert done.returncode == 2 and "it is locked" in done.stderr


def test_a_system_without_a_keyring_says_so(run: Any, environment: dict[str, str]) -> None:
    pytest.importorskip("keyring", reason="andon-cli[keyring] is not installed")
    environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    done = run("keys", "set", "STUB_API_KEY", stdin=KEY)
    assert done.returncode == 2 and "this system has none" in done.stderr


def test_without_the_library_the_way_to_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    store = KeyStore(tmp_path / "names")
    with pytest.raises(ConfigurationError, match=r"pip install 'andon-cli\[keyring\]'"):
        store.put("STUB_API_KEY", KEY)
    assert KeyringEnvironment({"A": "1"}, store).get("STUB_API_KEY") is None


def test_going_through_the_environment_asks_no_keyring(tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.write_text("STUB_API_KEY\n")
    environment = KeyringEnvironment({"A": "1", "EMPTY": ""}, KeyStore(names))
    assert dict(environment) == {"A": "1", "EMPTY": ""}
    assert KEY not in repr(environment)


def test_no_keyring_is_imported_where_no_key_is_kept(run: Any) -> None:
    if importlib.util.find_spec("keyring") is None:
        pytest.skip("andon-cli[keyring] is not installed")
    done = run("models", PYTHONVERBOSE="1")
    assert "import 'andon.client'" in done.stderr
    assert "import 'keyring'" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_key_that_is_typed_is_not_seen(environment: dict[str, str], ring: Path) -> None:
    pexpect = pytest.importorskip("pexpect")
    child = pexpect.spawn(
        sys.executable, ["-m", "andon_cli", "keys", "set", "keyed"],
        env=environment, encoding="utf-8", timeout=30,
    )  # fmt: skip
    child.expect_exact("Key for STUB_API_KEY: ")
    child.sendline(KEY)
    child.expect(pexpect.EOF)
    assert KEY not in child.before
    child.close()
    assert child.exitstatus == 0
    assert json.loads(ring.read_text()) == {"andon STUB_API_KEY": KEY}
