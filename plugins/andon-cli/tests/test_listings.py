"""``models``, ``backends``, ``plugins`` and ``template``: for programs, and in any terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from andon.testing.server import ScriptedServer, respond
from andon_cli.tables import Column, print_table


def test_models(invoke: Any) -> None:
    header, *rows = invoke("models").stdout.splitlines()
    assert header.split() == ["MODEL", "CONTEXT", "LOCALITY", "CAPABILITIES", "DESCRIPTION"]
    assert rows[0].split(maxsplit=4) == [
        "stub:echo",
        "4,096",
        "local",
        "chat",
        "says what was said",
    ]


def test_models_as_json(invoke: Any) -> None:
    assert json.loads(invoke("models", "--json").stdout)[0] == {
        "name": "stub:echo",
        "backend": "stub",
        "model": "echo",
        "context_window": 4096,
        "max_output_tokens": None,
        "capabilities": ["chat"],
        "locality": "local",
        "description": "says what was said",
    }


def test_backends_as_json(invoke: Any) -> None:
    found = json.loads(invoke("backends", "--json").stdout)
    assert [row["name"] for row in found] == ["cloud", "keyed", "stub"]
    assert found[2] == {
        "name": "stub",
        "locality": "local",
        "aliases": ["dummy"],
        "distribution": "",
        "summary": "a stub",
    }


def test_plugins_says_what_each_offers_and_what_is_wrong(run: Any) -> None:
    done = run("plugins")
    assert done.returncode == 0
    assert "backend stub, backend dummy, backend cloud, backend keyed, command hello" in done.stdout
    wreck = next(line for line in done.stdout.splitlines() if line.startswith("wreck "))
    assert wreck.split() == ["wreck", "failed", "1.2", "andon-wreck"]
    assert done.stderr == (
        "error: plugin 'wreck' of andon-wreck 1.2: RuntimeError: the wreck's engine is missing\n"
    )


def test_plugins_as_json_and_as_a_check(run: Any) -> None:
    done = run("plugins", "--json", "--check")
    assert (done.returncode, done.stderr) == (1, "")
    assert [row for row in json.loads(done.stdout) if row["name"] == "wreck"] == [
        {
            "name": "wreck",
            "state": "failed",
            "version": "1.2",
            "distribution": "andon-wreck",
            "offers": [],
            "error": "RuntimeError: the wreck's engine is missing",
        }
    ]


def test_a_broken_plugin_is_a_line_where_it_is_not_asked_for(run: Any) -> None:
    done = run("models")
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == (
        "warning: plugin 'wreck' of andon-wreck 1.2: RuntimeError: the wreck's engine is missing; "
        "see: andon plugins"
    )


def test_models_of_one_backend(invoke: Any) -> None:
    result = invoke("models", "--backend", "dummy")
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "MODEL",
        "dummy:echo",
        "dummy:no-chat",
    ]
    result = invoke("models", "--backend", "nope")
    assert result.exit_code == 2 and "nope" in result.stderr


def test_backends_that_name_no_model_are_said(invoke: Any) -> None:
    assert invoke("models").stderr == (
        "note: cloud, keyed: name none, or need a key first; --ask asks them\n"
    )


def test_servers_are_asked_for_their_models(run: Any, tmp_path: Path) -> None:
    with ScriptedServer() as server:
        server.says([respond(200, b'{"data": [{"id": "big"}, {"id": "small"}]}')])
        (tmp_path / "home" / "andon.toml").write_text(
            f'[endpoints.mine]\nbackend = "keyed"\nbase_url = "{server.url}/v1"\n'
        )
        asked = ["models", "--ask", "--backend", "mine", "--backend", "cloud", "--json"]
        done = run(*asked, STUB_API_KEY="k")
    assert [row["name"] for row in json.loads(done.stdout)] == ["mine:big", "mine:small"]


def test_a_server_that_cannot_be_asked_says_why(run: Any) -> None:
    done = run("models", "--ask", "--backend", "keyed")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[-1].startswith("warning: keyed: 'keyed' needs an API key")


def test_template_prints_the_prompt_and_says_why_on_stderr(invoke: Any) -> None:
    result = invoke("template", "llama-2-7b-chat", "Hi", "--system", "Be brief.")
    assert result.stdout == "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST]"
    assert result.stderr == "template: llama2 meta (the family 'llama-2')\n"


def test_template_reads_messages_from_a_file(invoke: Any, tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    file.write_text(json.dumps([{"role": "user", "content": "Hi"}]))
    options = ["--messages", str(file), "--no-generation-prompt", "--json"]
    assert json.loads(invoke("template", "stub:teknium/OpenHermes-2.5", *options).stdout) == {
        "model": "stub:teknium/OpenHermes-2.5",
        "format": "chatml",
        "variant": "chatml",
        "source": "name",
        "reason": "the fine-tune 'hermes'",
        "stop": ["<|im_end|>"],
        "prompt": "<|im_start|>user\nHi<|im_end|>\n",
    }


def test_template_of_a_folder_is_the_models_own(invoke: Any, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    config = {"chat_template": "{% for m in messages %}[{{ m.content }}]{% endfor %}"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    result = invoke("template", str(tmp_path), "Hi")
    assert result.stdout == "[Hi]"
    assert "the model's own template" in result.stderr


def test_template_of_a_gguf_file_is_the_models_own(tmp_path: Path, demo: str, run: Any) -> None:
    pytest.importorskip("jinja2")
    (tmp_path / "home" / "demo").mkdir()  # no reason to look there
    found = json.loads(run("template", demo, "Hi", "--json").stdout)
    assert (found["format"], found["source"]) == ("jinja", "model")
    assert "Hi" in found["prompt"]


@pytest.mark.parametrize("content", [b"", b"GGUF", b"<html>", b"GGUF" + bytes(3) + b"\xff" * 40])
def test_a_damaged_gguf_file_is_refused(invoke: Any, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    result = invoke("template", str(file))
    assert result.exit_code == 2 and str(file) in result.stderr


TABLE = [["stub:echo", "4,096", "says what was said, word by word, as it was said"]]
COLUMNS = [Column("MODEL", "cyan"), Column("CONTEXT"), Column("DESCRIPTION", least=20)]


def shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> list[str]:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(COLUMNS, TABLE)
    return capsys.readouterr().out.splitlines()


def test_a_wide_terminal_shows_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(monkeypatch, capsys, 100) == [
        "MODEL      CONTEXT  DESCRIPTION",
        "stub:echo  4,096    says what was said, word by word, as it was said",
    ]


def test_a_narrower_terminal_breaks_the_last_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(monkeypatch, capsys, 46) == [
        "MODEL      CONTEXT  DESCRIPTION",
        "stub:echo  4,096    says what was said, word",
        "                    by word, as it was said",
    ]


def test_a_narrow_terminal_shows_records(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(monkeypatch, capsys, 38) == [
        "stub:echo",
        "  context      4,096",
        "  description  says what was said,",
        "               word by word, as it was",
        "               said",
    ]


def test_the_health_of_backends(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(invoke("backends", "--health", "--json").stdout)
    [stub] = [record for record in found if record["name"] == "stub"]
    assert stub["health"] == "up"
    assert stub["milliseconds"] >= 0
    table = invoke("backends", "--health").stdout
    assert "HEALTH" in table
    assert "stub" in table
    # What other processes found out that share their health.
    monkeypatch.setattr("andon.Client.resting", lambda client: {"stub:echo": 12.3, "other:m": 1.0})
    assert "rests after failures: echo (12 s)" in invoke("backends", "--health").stdout
