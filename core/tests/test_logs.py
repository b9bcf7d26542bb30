"""Structured logs: what a program's own logging gets to see."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from andon import Client, RateLimitError, SettingsError, StreamInterrupted, logs
from andon.chat import Reconnected
from andon.testing import ObserverConformance, ScriptedBackend, plugin_with

SECRET = "the colour of the sky"


class TestConformance(ObserverConformance):
    plugin = logs
    name = "logs"


def client(**backends: Any) -> Client:
    return Client(discover=False, plugins=[plugin_with(**backends), logs])


def test_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "andon")
    client(one=ScriptedBackend(["a", SECRET])).chat("one:m", SECRET, labels={"user": "ada"})
    [record] = caplog.records
    facts = json.loads(json.dumps(record.andon))  # type: ignore[attr-defined]
    assert facts.pop("seconds") >= 0
    assert facts == {
        "event": "answer_finished",
        "request": 1,
        "backend": "one",
        "model": "m",
        "input_tokens": 5,
        "output_tokens": 2,
        "cost_usd": "0",
        "finish_reason": "stop",
        "labels": {"user": "ada"},
    }
    assert record.levelno == logging.INFO
    assert record.getMessage().startswith("answer_finished request=1 backend=one model=m")


def test_every_record_is_json_without_content(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "andon")
    down = ScriptedBackend([RateLimitError(SECRET, status=429, request_id="req-1")])
    asking = client(down=down, sound=ScriptedBackend([SECRET]))
    asking.chat(["down:m", "sound:m"], SECRET)
    asking.stream("sound:m", SECRET)
    with pytest.raises(RateLimitError):
        asking.chat("down:m", SECRET)
    breaks = ScriptedBackend([SECRET, RateLimitError(SECRET)])
    with pytest.raises(StreamInterrupted):
        list(client(breaks=breaks).stream("breaks:m", SECRET))
    assert len(caplog.records) > 12
    written = "".join(
        record.getMessage() + json.dumps(record.andon)  # type: ignore[attr-defined]
        for record in caplog.records
    )
    assert SECRET not in written
    failed = [r for r in caplog.records if r.andon["event"] == "request_failed"]  # type: ignore[attr-defined]
    assert failed[0].levelno == logging.ERROR
    facts = failed[0].andon  # type: ignore[attr-defined]
    assert (facts["error"], facts["status"], facts["provider_request"]) == (
        "RateLimitError", 429, "req-1",
    )  # fmt: skip


def test_a_connection_that_was_made_anew(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "andon")
    broke = Reconnected(reason=SECRET, seconds=1.5, tries=2)
    list(client(one=ScriptedBackend(["a", broke, "b"])).stream("one:m", "hi"))
    [record] = caplog.records
    assert record.andon == {  # type: ignore[attr-defined]
        "event": "stream_reconnected", "request": 1, "attempt": 1, "backend": "one", "model": "m",
        "silent_seconds": 1.5, "tries": 2,
    }  # fmt: skip


def test_logging_is_not_configured(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("andon")
    before = (list(logging.root.handlers), list(logger.handlers), logger.level)
    client(one=ScriptedBackend()).chat("one:m", "hi")
    assert (list(logging.root.handlers), list(logger.handlers), logger.level) == before
    assert capsys.readouterr() == ("", "")


def test_the_settings_name_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "andon")
    plugin = plugin_with(one=ScriptedBackend())
    Client(discover=False, plugins=[plugin], observers=["logs"]).chat("one:m", "hi")
    assert len(caplog.records) == 1
    Client(discover=False, plugins=[plugin, logs], observers=["logs"]).chat("one:m", "hi")
    assert len(caplog.records) == 2


def test_an_observer_that_nobody_offers_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match=r"'oteel'.*pip install andon-oteel"):
        Client(discover=False, observers=["oteel"])
