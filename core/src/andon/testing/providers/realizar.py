"""Realizar's server, as the conformance kit plays it: few fields, and errors of one text."""

from __future__ import annotations

import json
from dataclasses import dataclass

from andon.chat import FinishReason
from andon.testing.provider import SampleAnswer, SampleStream
from andon.testing.providers.completions import CompletionsProvider
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.wire.dialect import HTTPReply


def _error(status: int, message: str) -> HTTPReply:
    body = json.dumps({"error": message}).encode()
    return HTTPReply(status=status, headers={"content-type": "application/json"}, body=body)


def _count(count: int) -> HTTPReply:
    body = json.dumps({"token_ids": list(range(count)), "num_tokens": count}).encode()
    return HTTPReply(status=200, headers={"content-type": "application/json"}, body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealizarChatProvider(OpenAIChatProvider):
    """Writes chats."""

    abilities: frozenset[str] = frozenset()
    finish_reasons = frozenset({FinishReason.STOP, FinishReason.LENGTH})

    def error(self, status: int, message: str) -> HTTPReply:
        """Return the reply for a failure, as the provider words it for this status."""
        return _error(status, message)

    def error_code(self, status: int) -> str | None:
        """Return None: it has no codes."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RealizarProvider(CompletionsProvider):
    """Writes raw completions, which always come whole."""

    abilities: frozenset[str] = frozenset()
    finish_reasons = frozenset({FinishReason.STOP, FinishReason.LENGTH})

    def error(self, status: int, message: str) -> HTTPReply:
        """Return the reply for a failure, as the provider words it for this status."""
        return _error(status, message)

    def error_code(self, status: int) -> str | None:
        """Return None: it has no codes."""
        return None

    def tokens(self, count: int) -> HTTPReply | None:
        """Return the reply to a question for the tokens of a raw prompt."""
        return _count(count)

    def stream(self, answer: SampleAnswer) -> SampleStream:
        """Return a stream, which the server itself does not write for raw prompts."""
        return CompletionsProvider.stream(self, answer)
