"""``andon doctor``: every section finds what it is there for, and shows no secret."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from andon.testing.server import ScriptedServer, respond

KEY = "sk-not-to-be-seen"


@pytest.fixture(autouse=True)
def disabled(environment: dict[str, str]) -> str:
    """Leave out what else is installed: its servers are nobody's here to ask."""
    names = ",".join(sorted({point.name for point in entry_points(group="andon")}))
    environment["ANDON_DISABLE_PLUGINS"] = names
    return names


@pytest.fixture
def doctor(run: Any, tmp_path: Path) -> Any:
    """Look at one section, and return its checks by name."""

    def doctor(section: str, settings: str = "", **variables: str) -> dict[str, Any]:
        (tmp_path / "home" / "andon.toml").write_text(settings)
        done = run("doctor", f"--{section}", "--json", **variables)
        checks = {check["name"]: check for check in json.loads(done.stdout)[section]}
        failed = any(check["state"] == "failed" for check in checks.values())
        assert done.returncode == (1 if failed else 0), done.stderr
        assert KEY not in done.stdout
        return checks

    return doctor


def test_versions(doctor: Any) -> None:
    import andon

    found = doctor("versions")
    assert found["andon"] == {"name": "andon", "state": "ok", "detail": andon.__version__}
    assert found["click"]["state"] == "ok"


def test_a_broken_plugin_fails(doctor: Any) -> None:
    found = doctor("plugins")
    assert found["wreck"]["state"] == "failed"
    assert "the wreck's engine is missing (andon-wreck 1.2)" in found["wreck"]["detail"]
    assert found["stub"]["detail"].startswith("andon-stub 1.2, backend stub")
    assert doctor("plugins", 'disable_plugins = ["wreck"]')["wreck"]["state"] == "off"


def test_keys_are_there_or_not(doctor: Any) -> None:
    assert doctor("keys")["STUB_API_KEY"]["detail"] == "not set; for keyed"
    found = doctor("keys", STUB_API_KEY=KEY)["STUB_API_KEY"]
    assert (found["state"], found["detail"]) == ("ok", "in the environment; for keyed")


def test_a_key_that_the_keyring_has_lost_fails(doctor: Any, run: Any, tmp_path: Path) -> None:
    pytest.importorskip("keyring", reason="andon-cli[keyring] is not installed")
    ring = {
        "PYTHON_KEYRING_BACKEND": "stub_keyring.Keyring",
        "STUB_KEYRING": str(tmp_path / "ring"),
    }
    assert run("keys", "set", "keyed", stdin=KEY, **ring).returncode == 0
    assert doctor("keys", **ring)["STUB_API_KEY"]["state"] == "ok"
    (tmp_path / "ring").unlink()
    found = doctor("keys", **ring)["STUB_API_KEY"]
    assert found["state"] == "failed" and "andon keys set" in found["detail"]


def test_servers_that_the_settings_name_must_serve(doctor: Any) -> None:
    found = doctor("servers")
    assert found["stub"]["state"] == "ok"
    assert found["keyed"]["state"] == "off"
    with ScriptedServer() as server:
        table = f'[endpoints.keyed]\nbase_url = "{server.url}/v1"\napi_key = "{KEY}"\n'
        server.says(*[[respond(200, b'{"data": []}')]] * 2)
        assert doctor("servers", table)["keyed"]["state"] == "ok"
    found = doctor("servers", f"{table}max_retries = 0\n")["keyed"]
    assert found["state"] == "failed" and found["detail"].startswith("down: ")
    route = '[routes.best]\nmodels = ["keyed:x"]\n'
    assert doctor("servers", route)["keyed"]["state"] == "failed"
    # Whom the tier does not allow, nobody misses.
    table = 'privacy = "sovereign"\n[endpoints.keyed]\nbase_url = "https://192.0.2.1/v1"\n'
    assert doctor("servers", table)["keyed"]["state"] == "off"


def test_the_ledger_is_written_to_and_nothing_is_spent(
    doctor: Any, run: Any, tmp_path: Path
) -> None:
    found = doctor("ledger", f'daily_budget_usd = 5\nledger = "sqlite:///{tmp_path}/l.db"')
    assert [check["state"] for check in found.values()] == ["ok"] * 3
    assert found["today"]["detail"] == "$0 spent or held, of $5"
    assert json.loads(run("spend", "--json").stdout)["models"] == []
    (tmp_path / "file").write_text("no folder")
    found = doctor("ledger", f'ledger = "sqlite:///{tmp_path}/file/l.db"')
    assert found["reachable and writable"]["state"] == "failed"
    found = doctor("ledger", f'ledger = "redus://me:{KEY}@host/0"')
    assert "redus://***@host/0" in found["place"]["detail"]
    assert found["reachable and writable"]["state"] == "failed"


def test_settings_are_checked(doctor: Any) -> None:
    assert doctor("settings", 'privacy = "private"')["files"]["detail"] == "andon.toml"
    found = doctor("settings", "\nprivcy = 1")
    assert found["andon.toml:2:1"]["state"] == "failed"


def test_a_broken_setting_hides_nothing_else(run: Any, tmp_path: Path) -> None:
    (tmp_path / "home" / "andon.toml").write_text("privcy = 1")
    done = run("doctor", "--versions", "--settings", "--keys")
    assert done.returncode == 1 and done.stderr == ""
    assert "did you mean 'privacy'?" in done.stdout and "click " in done.stdout


def test_all_sections_are_looked_at(run: Any, disabled: str) -> None:
    done = run("doctor", "--json", ANDON_DISABLE_PLUGINS=f"{disabled},wreck")
    assert done.returncode == 0, done.stdout
    assert list(json.loads(done.stdout)) == [
        "versions", "settings", "plugins", "keys", "servers", "ledger", "privacy",
    ]  # fmt: skip
