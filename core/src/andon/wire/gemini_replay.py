"""The parts of an answer, kept so that Gemini gets them back as they were.

Gemini signs its thoughts, and hangs the signature on a part of the answer, mostly the first call
of a tool or the last piece of text. It has to go back on exactly that part. What a message cannot
hold goes into its provider state, as a JSON list in the order of the parts: ``{"text": n}`` for
the next n characters of the text, ``{"thought": n}`` for those of the thoughts, ``{"call": id}``
for the next call of a tool with the id that Gemini gave it, each with its ``signature``. Texts and
calls stay in the message, so that there is one truth.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from andon.errors import InvalidRequestError
from andon.messages import ChatMessage, ProviderState

#: The protocol's name in a provider state.
DIALECT = "gemini-generate-content"

#: What Google accepts in place of a signature for calls that its models did not make
#: (ai.google.dev/gemini-api/docs/thought-signatures).
UNSIGNED = "skip_thought_signature_validator"

Part: TypeAlias = dict[str, Any]
Piece: TypeAlias = dict[str, Any]


class Keeper:
    """Collects what is to be kept of an answer while it comes."""

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._needed = False

    def add_text(self, kind: str, length: int, signature: str) -> None:
        """Note a piece of text.

        :param kind: ``"text"`` or ``"thought"``.
        :param length: its characters.
        :param signature: what hangs on it, or nothing.
        """
        last = self._pieces[-1] if self._pieces else {}
        if signature:
            self._needed = True
            self._pieces.append({kind: length, "signature": signature})
        elif kind in last and "signature" not in last:
            last[kind] += length
        elif length:
            self._pieces.append({kind: length})

    def add_call(self, identifier: str, signature: str) -> None:
        """Note a call of a tool.

        :param identifier: the id that Gemini gave it, or nothing.
        :param signature: what hangs on it, or nothing.
        """
        signed = {"signature": signature} if signature else {}
        self._pieces.append({"call": identifier, **signed})
        self._needed = self._needed or bool(identifier or signature)

    def state(self) -> tuple[ProviderState, ...]:
        """Return the state for the answer, or nothing where the message itself says it all."""
        if not self._needed:
            return ()
        return (ProviderState(DIALECT, json.dumps(self._pieces, separators=(",", ":"))),)


def restore(message: ChatMessage, calls: Sequence[Part], *, signed: bool) -> list[Part]:
    """Return the parts of an assistant's message.

    :param message: the message; where its text is another than that of the answer, only its calls
        keep their signatures; where its calls are, nothing does.
    :param calls: its calls of tools as parts.
    :param signed: whether the model demands a signature on the first call.
    :raises InvalidRequestError: its provider state is none that was written here.
    """
    parts = list(_parts(message, _pieces(message, len(calls)), iter(calls)))
    first = next((part for part in parts if "functionCall" in part), None)
    if signed and first is not None:
        first.setdefault("thoughtSignature", UNSIGNED)
    return parts


def _pieces(message: ChatMessage, calls: int) -> list[Piece]:
    kept = [piece for state in message.provider_state for piece in _read(state)]
    called = [piece for piece in kept if "call" in piece]
    if len(called) != calls:
        called = [{"call": ""}] * calls
    elif _length(kept, "text") == len(message.text):
        if _length(kept, "thought") == len(message.reasoning or ""):
            return kept
        return [piece for piece in kept if "thought" not in piece]
    return [{"text": len(message.text)}, *called]


def _parts(message: ChatMessage, pieces: list[Piece], calls: Iterator[Part]) -> Iterator[Part]:
    text, reasoning = message.text, message.reasoning or ""
    for piece in pieces:
        part: Part = {}
        if "call" in piece:
            part = next(calls)
            if piece["call"]:
                part["functionCall"]["id"] = piece["call"]
        elif "text" in piece:
            part, text = {"text": text[: piece["text"]]}, text[piece["text"] :]
        else:
            length = piece["thought"]
            part, reasoning = {"text": reasoning[:length], "thought": True}, reasoning[length:]
        signature = piece.get("signature")
        if signature:
            part["thoughtSignature"] = signature
        # Thoughts without a signature are of no use to Gemini, nor is an empty text.
        if signature or (not part.get("thought") and part.get("text") != ""):
            yield part


def _length(pieces: Sequence[Piece], kind: str) -> int:
    return sum(piece.get(kind, 0) for piece in pieces)


def _read(state: ProviderState) -> list[Piece]:
    if state.dialect != DIALECT:
        return []
    try:
        pieces = json.loads(state.data)
    except (ValueError, RecursionError):
        pieces = None
    if isinstance(pieces, list) and all(map(_is_piece, pieces)):
        return pieces
    raise InvalidRequestError(
        "a message's provider_state for Gemini is damaged; pass the message as it came"
    )


def _is_piece(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("signature", ""), str):
        return False
    if "call" in value:
        return isinstance(value["call"], str)
    length = value.get("text", value.get("thought"))
    return type(length) is int and length >= 0
