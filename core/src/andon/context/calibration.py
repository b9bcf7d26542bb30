"""Bounds that learn from the usage that answers report."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from andon.chat import ChatRequest
from andon.context.counting import IMAGE_TOKENS, ChatCounter, has_images
from andon.tokens import Exactness, TokenCount

#: How many prompts' sizes are remembered for each model, and for how many models.
_PROMPTS, _MODELS = 4096, 256


@dataclass(slots=True)
class PromptSize:
    """What is known of the size of a prompt before it is sent.

    :param bound: a number of tokens that it does not pass.
    :param bytes_bound: the same by its bytes alone.
    :param fingerprint: tells it from other prompts.
    :param images: whether there are images in it.
    :param continues: whether its last message is to be continued.
    """

    bound: TokenCount
    bytes_bound: int
    fingerprint: int
    images: bool
    continues: bool


class Calibration:
    """What one model's own counts have taught.

    The bytes of a text are a sound bound of its tokens, and several times too high. But a chat
    grows at its end: once an answer has reported the size of a prompt, the next prompt is that
    size and at most the bytes of what came after. That is as sound, and much nearer.

    :param image_tokens: most tokens that the provider charges for one image.
    """

    def __init__(self, image_tokens: int = IMAGE_TOKENS) -> None:
        self._image_tokens = image_tokens
        self._counter = ChatCounter(image_tokens=image_tokens)
        self._sizes: OrderedDict[int, int] = OrderedDict()
        self._least, self._most, self._excess = 1.0, 0.0, 0
        self._lock = threading.Lock()

    def observe(self, request: ChatRequest, tokens: int) -> None:
        """Learn the size of a prompt.

        :param request: what was sent.
        :param tokens: what the provider counted, its own framing and cached tokens included.
        """
        self.learn(self.size(request), tokens)

    def learn(self, size: PromptSize, tokens: int) -> None:
        """Learn the size of a prompt that was bounded before.

        :param size: its size as far as it was known.
        :param tokens: what the provider counted, its own framing and cached tokens included.
        """
        if tokens <= 0 or size.continues:
            return
        bound = size.bytes_bound
        with self._lock:
            self._sizes[size.fingerprint] = tokens
            self._sizes.move_to_end(size.fingerprint)
            if len(self._sizes) > _PROMPTS:
                self._sizes.popitem(last=False)
            # A server may write more into a prompt than it was sent: found documents, say.
            self._excess = max(self._excess, tokens - bound)
            if tokens <= bound and not size.images:
                self._least = min(self._least, tokens / bound)
                self._most = max(self._most, tokens / bound)

    def bound(self, request: ChatRequest) -> TokenCount:
        """Return a number of tokens that a request's prompt does not pass."""
        return self.size(request).bound

    def size(self, request: ChatRequest) -> PromptSize:
        """Return what is known of the size of a request's prompt before it is sent."""
        bound = self._counter.request(request)
        images = has_images(request.messages)
        # The last fingerprint is that of the whole prompt.
        fingerprints = _fingerprints(request)
        size = PromptSize(
            bound, bound.tokens, fingerprints[-1], images, request.continue_final_message
        )
        if self._excess:
            size.bound = bound = replace(bound, tokens=bound.tokens + self._excess)
        known = self._known(fingerprints) if request.prompt is None else None
        if known is None:
            return size
        place, tokens = known
        after = request.messages[place:]
        rest = (sum(self._counter.costs(after)) if after else 0) + self._counter.overhead()
        if tokens + rest < bound.tokens:
            method = "reported by the provider, and the bytes of what came after"
            size.bound = TokenCount(tokens + rest, Exactness.UPPER_BOUND, method)
        return size

    def estimate(self, request: ChatRequest) -> TokenCount:
        """Return about how many tokens a request's prompt has, as far as anything was learnt."""
        if not self._most:
            return self._counter.request(request)
        known = self._known(_fingerprints(request)) if request.prompt is None else None
        counter = self.counter()
        if known is None:
            return counter.request(request)
        place, tokens = known
        rest = sum(counter.costs(request.messages[place:]))
        return TokenCount(tokens + rest, Exactness.ESTIMATE, counter.method, self._spread())

    def counter(self) -> ChatCounter:
        """Return a counter that gives bytes as many tokens as they came to at most so far."""
        return ChatCounter(image_tokens=self._image_tokens, scale=self._most or 1.0)

    def _spread(self) -> float:
        return 1 - self._least / self._most

    def _known(self, fingerprints: Sequence[int]) -> tuple[int, int] | None:
        """Return how many messages the longest known beginning has, and its size in tokens."""
        for place in range(len(fingerprints) - 1, -1, -1):
            tokens = self._sizes.get(fingerprints[place])
            if tokens is not None:
                return place, tokens
        return None


class Calibrations:
    """The calibrations of a client's models, each made at its first use."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, str], Calibration] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, backend: str, model: str, image_tokens: int | None = None) -> Calibration:
        """Return the calibration of a model.

        :param backend: the backend's name.
        :param model: the model's name there.
        :param image_tokens: most tokens that the provider charges for one image, where known.
        """
        key = (backend, model)
        with self._lock:
            made = self._made.get(key)
            if made is None:
                made = self._made[key] = Calibration(image_tokens or IMAGE_TOKENS)
                if len(self._made) > _MODELS:
                    self._made.popitem(last=False)
            return made


def _fingerprints(request: ChatRequest) -> Sequence[int]:
    """Return a number for each beginning of a prompt: without messages, with one, and so on."""
    form, schema = request.response_format, request.response_format.schema
    tools = f"{request.tool_choice}{request.tools!r}" if request.tools else ""
    before = (tools, "" if schema is None else repr(schema), request.prompt)
    fingerprint = hash((before, form.kind, request.reasoning_effort))
    found = [fingerprint]
    for message in request.messages:
        fingerprint = hash((fingerprint, message))
        found.append(fingerprint)
    return found
