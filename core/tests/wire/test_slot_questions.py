"""How many requests a server serves at a time, as it tells."""

from __future__ import annotations

import json

import pytest

from andon.wire.dialect import HTTPReply
from andon.wire.openai_chat import OPENAI, OpenAIChat
from andon.wire.openai_quirks import LLAMA_SERVER, VLLM

METRICS = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="m"}} {running}
vllm:num_requests_running{{engine="1",model_name="m"}} 3.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{{engine="0",model_name="m"}} {waiting}
vllm:num_requests_waiting{{engine="1",model_name="m"}} 0.0
vllm:num_requests_swapped{{engine="0"}} 9.0
"""


def reply(body: str) -> HTTPReply:
    return HTTPReply(status=200, headers={}, body=body.encode())


def test_llama_server_says_how_many_slots_it_has() -> None:
    query = OpenAIChat(LLAMA_SERVER, {"x": "y"}).slots()
    assert query is not None
    assert (query.call.method, query.call.path, query.call.at_root) == ("GET", "/props", True)
    assert query.call.headers["x"] == "y"
    assert query.read(reply(json.dumps({"total_slots": 4, "model_alias": "m"}))) == 4


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"total_slots": 0}', '{"total_slots": "4"}'])
def test_what_is_no_answer_of_llama_server(body: str) -> None:
    query = OpenAIChat(LLAMA_SERVER).slots()
    assert query is not None
    with pytest.raises((ValueError, TypeError, KeyError)):
        query.read(reply(body))


@pytest.mark.parametrize(
    ("running", "waiting", "slots"),
    [("29.0", "7.0", 32), ("29.0", "0.0", None), ("2.56e+02", "1", 259)],
)
def test_vllm_shows_it_while_others_wait(running: str, waiting: str, slots: int | None) -> None:
    query = OpenAIChat(VLLM).slots()
    assert query is not None
    assert (query.call.method, query.call.path, query.call.at_root) == ("GET", "/metrics", True)
    assert query.read(reply(METRICS.format(running=running, waiting=waiting))) == slots


def test_other_metrics_are_no_answer_of_vllm() -> None:
    query = OpenAIChat(VLLM).slots()
    assert query is not None
    with pytest.raises(ValueError, match="no metrics of requests"):
        query.read(reply("python_info 1.0\n"))


def test_openai_has_no_slots() -> None:
    assert OpenAIChat(OPENAI).slots() is None
