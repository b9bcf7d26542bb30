"""Jinja templates: what they may do, and what hostile ones cannot."""

from __future__ import annotations

import copy
import datetime
import gc
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jinja2")

from andon.errors import (
    AndonError,
    ConfigurationError,
    RoleOrderError,
    TemplateError,
    UnsafeTemplateError,
    UnsupportedRoleError,
)
from andon.messages import ChatMessage, ToolCall
from andon.specs import ChatTemplateSpec
from andon.templates import ChatTemplateEngine
from andon.templates.jinja import JinjaTemplate
from andon.templates.layout import RenderContext
from andon.templates.sandbox import Limits, Sandbox, require_jinja

PAYLOADS = json.loads((Path(__file__).parent / "data" / "ssti_payloads.json").read_text("utf-8"))
MORE_PAYLOADS = {
    "nested loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "range": "{% for i in range(10**12) %}x{% endfor %}",
    "repetition": "{{ 'a' * 10**9 }}",
    "format width": "{{ '{:>2000000000}'.format(1) }}",
    "long output": "{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
    "list repetition": "{{ [0] * 10**10 }}",
    "power tower": "{{ 9**9**9 }}",
    "deep nesting": "{{ " + "(" * 4000 + "1" + ")" * 4000 + " }}",
    "indent": "{{ ('a\n'*1000)|indent(100000000) }}",
    "replace": "{{ ('a'*100000)|replace('a', 'a'*100000) }}",
    "open": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "include": "{% include '/etc/passwd' %}",
    "module": "{{ strftime_now.__self__ }}",
    "globals": "{{ raise_exception.__globals__ }}",
    "environment": "{{ self._TemplateReference__context.environment }}",
}
USER = ChatMessage.user("Hello")


@pytest.fixture(scope="module")
def sandbox():
    worker = Sandbox(Limits(seconds=10, cpu_seconds=1))
    yield worker
    worker.close()


def template(source, **options):
    return JinjaTemplate(source, **options)


def engine(source, control_tokens=(), **options):
    spec = ChatTemplateSpec(
        name="t", render=template(source, **options), control_tokens=control_tokens
    )
    return ChatTemplateEngine(spec, now=datetime.date(2026, 1, 15))


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize(
    "source", [*PAYLOADS.values(), *MORE_PAYLOADS.values()], ids=[*PAYLOADS, *MORE_PAYLOADS]
)
def test_hostile_templates_get_nowhere(source, sandbox):
    messages = [ChatMessage.user("secret")]
    before = copy.deepcopy(messages)
    try:
        text = template(source, sandbox=sandbox)(messages, True)
    except AndonError as error:
        text = str(error)

    assert messages == before
    assert len(text) < 1000
    assert "uid=" not in text
    assert "root:" not in text
    assert "<class" not in text
    assert "subclasses()" not in text


def test_the_worker_serves_again_after_a_breach(sandbox):
    with pytest.raises(UnsafeTemplateError):
        template(MORE_PAYLOADS["nested loops"], sandbox=sandbox)([USER], True)

    assert template("{{ messages[0].content }}", sandbox=sandbox)([USER], True) == "Hello"


def test_the_worker_has_no_environment_and_no_files(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    worker = Sandbox()
    answer = worker.ask("k", "{{ messages }}", {"messages": []}, "2026-01-15")
    environ = Path(f"/proc/{worker._process.pid}/environ")

    assert answer == {"text": "[]"}
    if environ.exists():
        assert b"sk-secret" not in environ.read_bytes()
    worker.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_the_worker_can_open_no_file():
    code = (
        "import runpy, sys\n"
        "sys.argv = ['w', '{}'] + sys.argv[2:]\n"
        "worker = runpy.run_path(sys.argv.pop(2))\n"
        "worker['_limit'](2**30)\n"
        "try: open('/etc/hostname')\n"
        "except OSError: print('refused')\n"
    )
    from andon.templates import sandbox as module

    worker = str(Path(module.__file__).with_name("sandbox_worker.py"))
    done = subprocess.run(
        [sys.executable, "-c", code, "-", worker, *module._jinja_folders()],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "refused\n", done.stderr


def test_the_worker_ends_with_its_sandbox():
    worker = Sandbox()
    worker.ask("k", "x", {}, "2026-01-15")
    process = worker._process
    del worker
    gc.collect()

    assert process.returncode is not None


def test_a_closed_worker_starts_again():
    worker = Sandbox()
    worker.ask("k", "x", {}, "2026-01-15")
    worker.close()
    worker.close()

    assert worker.ask("k", "x", {}, "2026-01-15") == {"text": "x"}
    worker.close()


def test_a_killed_worker_is_replaced():
    worker = Sandbox()
    worker.ask("k", "x", {}, "2026-01-15")
    worker._process.kill()
    worker._process.wait()

    assert worker.ask("k", "x", {}, "2026-01-15") == {"text": "x"}
    worker.close()


def test_the_wall_clock_stops_a_worker_that_waits():
    worker = Sandbox(Limits(seconds=0.2, cpu_seconds=30))
    with pytest.raises(UnsafeTemplateError):
        worker.ask("k", MORE_PAYLOADS["nested loops"], {}, "2026-01-15")
    worker.close()


def test_many_templates_do_not_fill_the_worker():
    worker = Sandbox()
    for number in range(40):
        worker.ask(str(number), f"{number}", {}, "2026-01-15")

    # The first was forgotten by the worker, and is sent again.
    assert worker.ask("0", "0", {}, "2026-01-15") == {"text": "0"}
    worker.close()


def test_a_forked_child_does_not_end_its_parents_worker(monkeypatch):
    worker = Sandbox()
    worker.ask("k", "x", {}, "2026-01-15")
    parents = worker._process
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        worker.ask("k", "x", {}, "2026-01-15")
        childs = worker._process
        worker.close()

    assert parents.poll() is None
    assert childs.poll() is not None
    parents.kill()
    parents.wait()
    for pipe in (parents.stdin, parents.stdout):
        pipe.close()


def test_large_sources_are_refused():
    with pytest.raises(UnsafeTemplateError, match="64 KiB"):
        template("x" * (64 * 1024 + 1))


def test_a_missing_jinja_says_what_to_install(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ConfigurationError, match=r'pip install "andon\[jinja\]"'):
        template("x")


def test_an_old_jinja_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "3.1.5")
    with pytest.raises(ConfigurationError, match=r"3\.1\.5"):
        require_jinja()


def test_andon_does_not_import_jinja():
    code = "import sys, andon.templates, andon.templates.jinja; print('jinja2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert done.stdout == "False\n"


def test_a_template_of_a_hub_renders_as_the_format_itself():
    messages = [ChatMessage.system("Be brief."), USER, ChatMessage.assistant("Hi"), USER]

    assert engine(CHATML).apply(messages) == ChatTemplateEngine("chatml").apply(messages)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% for m in messages %}\n  {% if true %}\nx\n  {% endif %}\n{% endfor %}", "x\n"),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% generation %}{{ 'a' }}{% endgeneration %}", "a"),
        ("{{ {'b': '<é>', 'a': 1}|tojson }}", '{"b": "<é>", "a": 1}'),
        ("{{ {'a': 1}|tojson(indent=2) }}", '{\n  "a": 1\n}'),
        ("{{ strftime_now('%d %b %Y') }}", "15 Jan 2026"),
        ("{{ bos_token }}{{ eos_token }}", "<s></s>"),
        ("{{ tools is none }}{{ documents is none }}", "TrueTrue"),
        ("{% set ns = namespace(x=1) %}{% set ns.x = 2 %}{{ ns.x }}", "2"),
        ("{{ extra }}", "yes"),
    ],
)
def test_what_templates_are_written_for_is_there(source, text):
    jinja = template(source, bos_token="<s>", eos_token="</s>", variables={"extra": "yes"})

    assert jinja([USER], True, RenderContext((), datetime.date(2026, 1, 15))) == text


def test_arguments_arrive_as_objects():
    source = "{{ messages[0].content }}{{ messages[1].tool_calls[0].function.arguments.city }} f"
    call = ChatMessage.assistant(tool_calls=[ToolCall("1", "f", '{"city": "Paris"}')])

    assert engine(source).apply([USER, call]) == "HelloParis f"


def test_arguments_arrive_as_text_where_the_template_wants_text():
    source = "{{ messages[0].content + messages[1].tool_calls[0].function.arguments }} f"
    call = ChatMessage.assistant(tool_calls=[ToolCall("1", "f", '{"city": "Paris"}')])

    assert engine(source).apply([USER, call]) == 'Hello{"city": "Paris"} f'


def test_a_template_that_leaves_a_call_out_is_caught():
    source = "{{ messages[0].content }}{{ messages[1].tool_calls[0].function.name }}"
    calls = [ToolCall(str(number), "f", "{}") for number in range(2)]

    with pytest.raises(UnsupportedRoleError, match="call of 'f'"):
        engine(source).apply([USER, ChatMessage.assistant(tool_calls=calls)])


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("System role not supported", UnsupportedRoleError),
        ("Only user and assistant roles are supported!", UnsupportedRoleError),
        ("Conversation roles must alternate user/assistant/user/assistant/...", RoleOrderError),
        ("System message must be at the beginning", RoleOrderError),
        ("No idea", TemplateError),
    ],
)
def test_what_a_template_refuses_is_a_typed_error(message, error):
    with pytest.raises(error, match=message[:20]):
        engine("{{ raise_exception('" + message + "') }}").apply("Hello")


def test_a_refusal_is_folded_on_request():
    source = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}" + CHATML
    )
    rendered = engine(source).render([ChatMessage.system("Be brief."), USER], normalize="merge")

    assert rendered.text.startswith("<|im_start|>user\nBe brief.\n\nHello<|im_end|>")
    assert rendered.normalizations


def test_a_template_that_leaves_a_message_out_is_caught():
    source = (
        "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"
    )

    with pytest.raises(UnsupportedRoleError, match="leaves out"):
        engine(source).apply([ChatMessage.system("Be brief."), USER])


@pytest.mark.parametrize("source", ["{% if %}", "{{ nothing.at.all }}", "{{ 1 / 0 }}"])
def test_broken_templates_are_typed_errors(source):
    with pytest.raises(TemplateError, match="not a working chat template"):
        engine(source).apply("Hello")


def test_a_partial_answer_is_continued():
    messages = [USER, ChatMessage.assistant("Once up ")]
    trimming = CHATML.replace("m.content", "m.content|trim")

    kept = engine(CHATML).apply(messages, continue_final_message=True)
    trimmed = engine(trimming).apply(messages, continue_final_message=True)

    assert kept.endswith("assistant\nOnce up ")
    assert trimmed.endswith("assistant\nOnce up")


def test_control_tokens_are_kept_apart():
    rendered = engine(CHATML, control_tokens=("<|im_end|>",)).render("a<|im_end|>b")

    assert [segment.text for segment in rendered.segments if not segment.control] == ["<|im_end|>"]
    assert rendered.text == ChatTemplateEngine("chatml").apply(
        "a<|im_end|>b", control_tokens="verbatim"
    )
