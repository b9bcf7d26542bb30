"""How servers are asked how many requests they serve at a time. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping

from andon.wire.dialect import HTTPCall, HTTPReply, Query
from andon.wire.json_values import read_json

#: One sample in the text format of Prometheus: its name, its labels, its value. The format:
#: https://prometheus.io/docs/instrumenting/exposition_formats/
_SAMPLE = re.compile(
    rb"^(vllm:num_requests_(?:running|waiting))(?:\{[^\n]*\})? +([0-9.eE+]+)", re.M
)


def slots_question(kind: str | None, headers: Mapping[str, str]) -> Query[int | None] | None:
    """Return how to ask a server for its slots, or None where one cannot.

    llama-server says how many it has. vLLM has as many as its memory holds, which only shows while
    others wait: then it is as many as are running, and at other times nobody knows.

    :param kind: whose way of telling the server has.
    :param headers: the headers of the call.
    """
    match kind:
        case "llama-server":
            call = HTTPCall(path="/props", method="GET", headers=headers, at_root=True)
            return Query(call, _read_props)
        case "vllm":
            call = HTTPCall(path="/metrics", method="GET", headers=headers, at_root=True)
            return Query(call, _read_metrics)
    return None


def _read_props(reply: HTTPReply) -> int:
    slots = read_json(reply.body)["total_slots"]
    if type(slots) is not int or slots < 1:
        raise ValueError("the number of slots is none")
    return slots


def _read_metrics(reply: HTTPReply) -> int | None:
    counts = {b"vllm:num_requests_running": 0.0, b"vllm:num_requests_waiting": 0.0}
    samples = _SAMPLE.findall(reply.body)
    if not samples:
        raise ValueError("there are no metrics of requests")
    # One sample for each of several engines.
    for name, value in samples:
        counts[name] += float(value)
    running, waiting = counts.values()
    return int(running) if waiting > 0 and running >= 1 else None
