"""The request that goes on where an answer broke off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from andon.answer import Answer
from andon.chat import ChatRequest
from andon.failover.seam import Seam, safe_end, word_start
from andon.messages import ChatMessage


class ResumeMode(StrEnum):
    """How an answer goes on."""

    #: The backend goes on with the text that was delivered.
    CONTINUE = "continue"
    #: The backend answers anew; what was delivered must come again, word for word.
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class Resumption:
    """One way to go on with a broken answer.

    :param request: what to ask.
    :param delivered: the answer as far as it was delivered.
    :param cut: characters of the delivered text that the request holds; the rest comes again.
    """

    request: ChatRequest
    delivered: Answer
    cut: int

    @property
    def mode(self) -> ResumeMode:
        """How the answer goes on."""
        return ResumeMode.CONTINUE if self.cut else ResumeMode.REPLAY

    def seam(self) -> Seam:
        """Return what joins the new answer's pieces to what was delivered."""
        delivered, text = self.delivered, self.delivered.text
        message = delivered.message()
        return Seam(
            text[self.cut :],
            kept=text[: self.cut],
            kept_tokens=delivered.tokens_before(self.cut),
            reasoning=message.reasoning or "",
            calls=message.tool_calls,
            stop=self.request.sampling.stop,
        )


def resumptions(request: ChatRequest, delivered: Answer) -> Iterator[Resumption]:
    """Give the ways to go on with a broken answer, the most exact first.

    :param request: what the caller asked.
    :param delivered: the answer as far as it was delivered; without content, it is asked anew.
    """
    if not delivered.has_content or not may_continue(request, delivered):
        yield Resumption(request, delivered, 0)
        return
    text = delivered.text
    # What must keep a form has no control tags, and a bracket in it begins nothing else.
    formed = request.response_format.kind != "text"
    whole_word, as_it_is = word_start(text), len(text) if formed else safe_end(text)
    # Where the likeliest token is taken every time, the same word comes again. Where tokens are
    # drawn it may not, and the pieces of a stream end with a token anyway.
    drawn = request.sampling.temperature is not None and request.sampling.temperature > 0
    cuts = (as_it_is, whole_word) if drawn else (whole_word, as_it_is)
    for cut in dict.fromkeys((*cuts, 0)):
        yield Resumption(continued(request, delivered, cut) if cut else request, delivered, cut)


def may_continue(request: ChatRequest, delivered: Answer) -> bool:
    """Return whether a text alone tells how the answer is to go on.

    Thoughts and tool calls are not part of it. Of a raw prompt nobody could tell where the answer
    begins that must keep a form.

    :param request: what the caller asked.
    :param delivered: the answer as far as it was delivered.
    """
    chat = request.response_format.kind == "text" or request.prompt is None
    free = chat and request.tool_choice in {"auto", "none"}
    message = delivered.message()
    return free and bool(message.text) and not message.reasoning and not message.tool_calls


def continued(request: ChatRequest, delivered: Answer, cut: int) -> ChatRequest:
    """Return the request to go on with a delivered text.

    :param request: what the caller asked.
    :param delivered: the answer as far as it was delivered.
    :param cut: how many characters of its text to go on with.
    """
    begun, sampling = delivered.text[:cut], request.sampling
    if sampling.max_tokens is not None:
        left = max(1, sampling.max_tokens - delivered.tokens_before(cut))
        sampling = replace(sampling, max_tokens=left)
    if request.prompt is not None:
        return replace(request, prompt=request.prompt + begun, sampling=sampling)
    messages, last = request.messages, request.messages[-1]
    if request.continue_final_message:
        messages = (*messages[:-1], replace(last, content=last.text + begun))
    else:
        messages = (*messages, ChatMessage.assistant(begun))
    return replace(request, messages=messages, sampling=sampling, continue_final_message=True)


def is_complete(request: ChatRequest, delivered: Answer) -> bool:
    """Return whether the answer has all the tokens that it may have, and lacks only its end.

    :param request: what the caller asked.
    :param delivered: the answer as far as it was delivered.
    """
    most = request.sampling.max_tokens
    return most is not None and delivered.tokens_before(len(delivered.text)) >= most
