"""The seam: where a delivered text is cut, and how what comes back is joined to it.

A text that another backend is to go on with must not end inside a token: the model would see
another token than the one that was begun. Its last word is therefore taken back, asked for again,
and held against what was delivered; only what follows is handed over.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from andon.chat import ChatDelta, FinishReason, TokenLogprob, ToolCallDelta, Usage
from andon.errors import SeamMismatch
from andon.messages import ToolCall
from andon.stop_texts import StopScanner

#: Most characters that are taken back for the sake of a whole word. Scripts without spaces have
#: no words in this sense.
_LONGEST_WORD = 64

#: A shorter beginning that comes twice may as well be meant.
SHORTEST_ECHO = 24

#: What may be the beginning of a control tag: ``<|im_``, ``</tool_c``, ``[INS``.
_OPEN_TAG = re.compile(r"(?:<[|/\w-]{0,40}|\[/?[A-Z_]{0,24})\Z")

#: Categories of characters that may be a part of a larger sign: marks, joiners, pictures.
_JOINED = {"Mn", "Mc", "Me", "Cf", "Sk", "So", "Cs"}


def safe_end(text: str) -> int:
    """Return where a text can be cut so that no sign, no tag and no white space is left open.

    :param text: what was delivered.
    :return: a number of characters.
    """
    end = len(text)
    while True:
        before = end
        while (
            end and unicodedata.category(text[end - 1]) in _JOINED and not text[end - 1].isspace()
        ):
            end -= 1
        tag = _OPEN_TAG.search(text, max(0, end - _LONGEST_WORD), end)
        if tag is not None:
            end = tag.start()
        end = len(text[:end].rstrip())
        if end == before:
            return end


def word_start(text: str) -> int:
    """Return where the text's last word and the white space before it begin.

    :param text: what was delivered.
    :return: a number of characters; :func:`safe_end` where there is no white space to be seen.
    """
    end = safe_end(text)
    if end < len(text) and text[end].isspace():
        # White space has followed, so the last word is complete.
        return end
    beginning = max(0, end - _LONGEST_WORD)
    for at in range(end - 1, beginning - 1, -1):
        if text[at].isspace():
            return safe_end(text[: at + 1])
    return 0 if beginning == 0 else end


def is_periodic(text: str) -> bool:
    """Return whether a text is one shorter text, written at least twice."""
    return bool(text) and text in (text + text)[1:-1]


class Expected:
    """Takes what must come again from the beginning of a text.

    :param wanted: what must come.
    :param others: other forms that it may have; the longest that fits is taken.
    """

    __slots__ = ("_alive", "_at", "_held", "done", "wanted")

    def __init__(self, wanted: str, others: Sequence[str] = ()) -> None:
        self.wanted = wanted
        self._alive: Sequence[str] = (wanted, *others)
        self._at = 0
        self._held: list[str] = []
        #: Whether it has come.
        self.done = not any(self._alive)

    def feed(self, text: str) -> str:
        """Take the next text; return what follows the expected.

        :raises SeamMismatch: something else comes.
        """
        if self.done:
            return text
        at, end = self._at, self._at + len(text)
        self._alive = [
            variant
            for variant in self._alive
            if variant.startswith(text, at) or text.startswith(variant[at:])
        ]
        if not self._alive:
            raise SeamMismatch(f"the new answer differs from what was delivered, at {text[:40]!r}")
        self._held.append(text)
        self._at = end
        if any(len(variant) > end for variant in self._alive):
            return ""
        return self._decide()

    def finish(self) -> str:
        """Return what is left of the text when nothing more comes."""
        if self.done:
            return ""
        self._alive = [variant for variant in self._alive if len(variant) <= self._at]
        return self._decide() if self._alive else ""

    @property
    def missing(self) -> str:
        """What has not come of the expected."""
        return "" if self.done else self.wanted[self._at :]

    def _decide(self) -> str:
        self.done = True
        return "".join(self._held)[max(map(len, self._alive)) :]


class Seam:
    """Joins the pieces of a new answer to what was delivered of an old one.

    :param text: what the new answer's text must begin with: what was delivered and is asked for
        again.
    :param kept: what was delivered and is not asked for again.
    :param kept_tokens: how many tokens that is.
    :param reasoning: what its thoughts must begin with.
    :param calls: what its tool calls must begin with.
    :param stop: texts at which the answer ends, even if they begin in what was delivered.
    """

    def __init__(
        self,
        text: str,
        *,
        kept: str = "",
        kept_tokens: int = 0,
        reasoning: str = "",
        calls: Sequence[ToolCall] = (),
        stop: Sequence[str] = (),
    ) -> None:
        self._text = Expected(text, _other_forms(text, kept))
        self._reasoning = Expected(reasoning)
        self._calls = {at: (call, Expected(call.arguments)) for at, call in enumerate(calls)}
        self._kept_tokens = kept_tokens
        self._stops = tuple(stop)
        self._scanner = _Stops(stop, kept + text) if stop and kept else None
        self._again = len(text)
        self._plain = False
        #: Whether a stop text has ended the answer.
        self.ended = False

    @property
    def joined(self) -> bool:
        """Whether everything that was delivered has come again."""
        expected = (self._text, self._reasoning, *(args for _, args in self._calls.values()))
        return all(part.done for part in expected)

    def feed(self, delta: ChatDelta) -> ChatDelta | None:
        """Return what a piece of the new answer adds to the old one, or None.

        :raises SeamMismatch: the new answer does not begin with what was delivered.
        """
        if self._plain and delta.finish_reason is None and delta.usage is None:
            # Nothing is left to compare, as for nearly every piece.
            return delta
        text, reasoning = delta.text, delta.reasoning
        if text:
            text = self._text.feed(text)
        if reasoning:
            reasoning = self._reasoning.feed(reasoning)
        calls = tuple(filter(None, map(self._feed_call, delta.tool_calls)))
        finish = delta.finish_reason
        if finish is not None:
            text += self._finish(finish)
        if self._scanner is not None:
            text, self.ended = self._scanner.feed(text, last=finish is not None)
        if self.ended:
            finish = FinishReason.STOP
        usage = None if delta.usage is None else shifted(delta.usage, self._kept_tokens)
        joined = replace(
            delta,
            text=text,
            reasoning=reasoning,
            tool_calls=calls,
            finish_reason=finish,
            usage=usage,
            logprobs=self._new_logprobs(delta.logprobs),
        )
        if delta.text and not delta.logprobs:
            self._again = 0  # nobody reports log probabilities
        self._plain = self._scanner is None and self._again <= 0 and self.joined
        says = text or reasoning or calls or finish or usage or joined.provider_state
        return joined if says else None

    def _feed_call(self, piece: ToolCallDelta) -> ToolCallDelta | None:
        known = self._calls.get(piece.index)
        if known is None:
            return piece
        call, arguments = known
        if piece.name and piece.name != call.name:
            raise SeamMismatch(
                f"the new answer calls {piece.name!r} where {call.name!r} was delivered"
            )
        rest = arguments.feed(piece.arguments) if piece.arguments else ""
        return ToolCallDelta(piece.index, arguments=rest) if rest else None

    def _finish(self, reason: FinishReason) -> str:
        """Return what was held back; the new answer is complete."""
        rest = self._text.finish()
        missing = self._text.missing
        # The stop text that ended it had begun in what was delivered.
        by_stop = reason is FinishReason.STOP and any(s.startswith(missing) for s in self._stops)
        others = (self._reasoning, *(arguments for _, arguments in self._calls.values()))
        if (missing and not by_stop) or any(part.missing for part in others):
            raise SeamMismatch("the new answer ended before it reached what was delivered")
        return rest

    def _new_logprobs(self, logprobs: Sequence[TokenLogprob]) -> tuple[TokenLogprob, ...]:
        """Return the log probabilities of tokens that were not delivered before."""
        new = []
        for entry in logprobs:
            if self._again > 0:
                self._again -= len(entry.token)
            else:
                new.append(entry)
        return tuple(new)


class _Stops:
    """Finds stop texts that begin in what was delivered.

    :param stops: the stop texts.
    :param delivered: what was delivered.
    """

    def __init__(self, stops: Sequence[str], delivered: str) -> None:
        self._scanner = StopScanner(stops)
        tail = delivered[-max(map(len, stops)) :]
        # What is held back here was delivered already.
        self._skip = len(tail) - len(self._scanner.feed(tail))

    def feed(self, text: str, *, last: bool) -> tuple[str, bool]:
        passed = self._scanner.feed(text)
        if last:
            passed += self._scanner.finish()
        new, self._skip = passed[self._skip :], max(0, self._skip - len(passed))
        return new, self._scanner.found is not None


def shifted(usage: Usage, tokens: int) -> Usage:
    """Return usage in which tokens of the prompt count for the answer.

    A continued answer's beginning stands in the new request's prompt.

    :param usage: what the backend that went on reports.
    :param tokens: tokens of the answer's beginning.
    """
    moved = min(tokens, usage.input_tokens)
    if not moved and usage.cached_input_tokens <= usage.input_tokens:
        return usage
    return replace(
        usage,
        input_tokens=usage.input_tokens - moved,
        output_tokens=usage.output_tokens + moved,
        cached_input_tokens=min(usage.cached_input_tokens, usage.input_tokens - moved),
    )


def _other_forms(text: str, kept: str) -> tuple[str, ...]:
    """Return the forms besides the text itself in which an expected text may come."""
    others = []
    if kept and text.lstrip() != text:
        # Some servers take the white space at the beginning of an answer away.
        others.append(text.lstrip())
    if len(kept) >= SHORTEST_ECHO and not is_periodic(kept):
        others.append(kept + text)
    return tuple(others)
