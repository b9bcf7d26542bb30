"""One request of a backend over HTTP on its way, over all of its calls and attempts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from andon.backends.http_options import HTTPOptions
from andon.backends.http_outage import Outage, is_break
from andon.chat import ChatDelta, ChatRequest
from andon.errors import (
    BackendError,
    RequestTimeout,
    ServerError,
    StreamInterrupted,
    TransportError,
)
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, StreamDecoder
from andon.wire.retry import RetryBudget, RetryPolicy, parse_retry_after

if TYPE_CHECKING:
    from andon.wire.waits import Timeouts

#: Most calls that one answer may take: polls of a long job, redirects of a long call.
MAX_CALLS = 10_000

#: Seconds before its deadline in which nothing is begun any more.
_MOMENT = 0.01

#: Statuses of gateways, which do not know either what became of a call.
_UNDECIDED = (None, 502, 504)


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds for every request of a backend."""

    name: str
    options: HTTPOptions
    dialect: Dialect
    retry: RetryPolicy
    budget: RetryBudget = field(default_factory=RetryBudget)


class Work:
    """One request on its way. It sends nothing and waits for nothing itself.

    :param facts: what holds for every request.
    :param model: the model's name, for errors.
    :param call: what to send first.
    :param timeout: seconds until everything must be done, or None for ever.
    :param request: what the caller asks, or None for a question besides the chat.
    """

    def __init__(
        self,
        facts: Facts,
        model: str | None,
        call: HTTPCall,
        timeout: float | None,
        request: ChatRequest | None = None,
    ) -> None:
        self._facts = facts
        self._model = model
        self._request = request
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._timeouts = _as_patient(facts.options.timeouts, request)
        self._heard = 0.0
        retries = None if request is None else request.patience.retries
        self._most_retries = facts.retry.max_retries if retries is None else retries
        self._retries = 0
        self._calls = 0
        self._texts: list[str] = []
        self._started = self._news = False
        self._next: HTTPCall | None = None
        self._ended: StreamDecoder | None = None
        self._reading: StreamDecoder | None = None
        self._outage: Outage | None = None
        self._tokenless = self._refused = False
        #: What to send next, or None where the answer is complete.
        self.call: HTTPCall | None = call
        #: Seconds to wait before that.
        self.wait = 0.0

    # -- Sending ------------------------------------------------------------------------------

    def outgoing(self) -> tuple[str, str, Mapping[str, str], bytes]:
        """Return method, URL, headers and body of the current call, signed."""
        call, options = self.call, self._facts.options
        assert call is not None
        url = self._url(call)
        headers = {**options.headers, **call.headers}
        if options.authorizer is not None:
            headers |= options.authorizer.sign(call.method, url, headers, call.body)
        return call.method, url, headers, call.body

    def _url(self, call: HTTPCall) -> str:
        options = self._facts.options
        if call.path.startswith("/"):
            base = options.base_url.removesuffix("/v1") if call.at_root else options.base_url
            return base + call.path
        there, here = urlsplit(call.path), urlsplit(options.base_url)
        known = there.netloc == here.netloc or there.netloc in options.trusted_hosts
        # Our credentials go along, so encryption must not end on the way.
        if not known or there.scheme not in {"https", here.scheme}:
            raise BackendError(
                f"{options.base_url} sends us on to '{there.scheme}://{there.netloc}', which is "
                "not one of its own hosts; nothing was sent there"
            )
        return call.path

    def start(self) -> Timeouts:
        """Return how long the next attempt may take."""
        now, timeouts = time.monotonic(), self._timeouts
        # Each attempt has its own time until the first token; another connection is no attempt.
        if self._outage is None or self._started:
            self._heard = now
        self._refused = False
        if self._outage is not None:
            timeouts = self._outage.shortened(timeouts, now)
        if self._deadline is None:
            return timeouts
        return replace(timeouts, total=self._timeout, deadline=self._deadline)

    # -- Reading ------------------------------------------------------------------------------

    def read(self, decoder: StreamDecoder, data: bytes) -> Sequence[ChatDelta]:
        """Return the pieces that the next bytes of a stream complete."""
        deltas = decoder.feed(data)
        return self._noted(deltas) if deltas else deltas

    def _noted(self, deltas: Sequence[ChatDelta]) -> Sequence[ChatDelta]:
        """Note pieces that the caller gets; from now on nothing is sent again."""
        self._started = self._news = True
        self._texts += [delta.text for delta in deltas if delta.text]
        if self._outage is None:
            return deltas
        found, self._outage = self._outage.over(time.monotonic()), None
        return (replace(found, reason=self._facts.options.redact(found.reason)), *deltas)

    def check_patience(self) -> None:
        """Take note that bytes have come; raise where they bring no token for too long.

        :raises RequestTimeout: the connection lives, but that is all.
        """
        now = time.monotonic()
        if self._news:
            self._heard, self._news = now, False
            return
        limit = self._patience
        if limit is not None and now - self._heard > limit:
            self._tokenless = True
            raise self.named(
                RequestTimeout(
                    f"{self._where()} shows signs of life, but no token came for {limit:g} s"
                )
            )

    @property
    def _patience(self) -> float | None:
        """Seconds that the next token may take."""
        return self._timeouts.stall if self._started else self._timeouts.first_byte

    def _left(self, now: float) -> float | None:
        """Return the seconds that the next token may take after a break; the first one's go on."""
        limit = self._patience
        return limit if limit is None or self._started else limit - (now - self._heard)

    def decoder(self, status: int, headers: Mapping[str, str]) -> StreamDecoder | None:
        """Return what reads the reply as a stream, or None where it must be read whole."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        # Some servers answer whole although a stream was asked for.
        whole = kind in {"application/json", "application/problem+json", "text/html"}
        streamed = self._request is not None and self._request.stream and self._ended is None
        if status >= 300 or whole or not streamed:
            return None
        make = self.call.decoder if self.call is not None else None
        self._reading = (make or self._facts.dialect.decoder)(headers)
        return self._reading

    def ended(self, decoder: StreamDecoder) -> Sequence[ChatDelta]:
        """Return what is left of a stream whose connection has ended."""
        if not decoder.done and self._rejoining() is not None:
            # Its decoder is not told of an end: the stream may still go on.
            raise StreamInterrupted("the connection ended before the stream did")
        deltas = decoder.finish()
        if deltas:
            deltas = self._noted(deltas)
        self._finish_call()
        self._next = decoder.follow_up()
        self._ended, self._reading, self._outage = decoder, None, None
        return deltas

    def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> Sequence[ChatDelta]:
        """Return the deltas of a reply that was read whole.

        :raises BackendError: it is no answer.
        """
        reply = self.checked(status, headers, body)
        if reply is None:
            return ()
        if self._outage is not None:
            # A whole answer would come after the part that is there.
            raise self.unreadable(reply)
        try:
            if self._ended is not None:
                deltas = self._ended.conclude(reply)
                self._next = self._ended.follow_up()
                return deltas
            if self._request is not None:
                self._next = self._facts.dialect.follow_up(self._request, reply)
            if self._next is not None:
                return ()
            read = self.call.reader if self.call is not None else None
            self._finish_call()
            deltas = (read or self._facts.dialect.decode)(reply)
        except ValueError as error:
            raise self.unreadable(reply) from error
        self._started = self._started or bool(deltas)
        return deltas

    def checked(self, status: int, headers: Mapping[str, str], body: bytes) -> HTTPReply | None:
        """Return a reply that is worth reading, or None where the server sends us on.

        :raises BackendError: it is an error, a redirect or a web page.
        """
        reply = HTTPReply(status=status, headers=headers, body=body)
        if status == 303 and self._facts.options.see_other and headers.get("location"):
            here = self._url(self.call) if self.call else self._facts.options.base_url
            path = urljoin(here, headers["location"])
            call = self.call or HTTPCall(path=path)
            # What is asked there is the same answer, so the same reads it.
            self._next = replace(
                call, path=path, method="GET", body=b"", delay=0.0, repeatable=True
            )
            return None
        if 300 <= status < 400:
            raise self._redirected(reply)
        if status >= 400:
            # What is refused has not begun; a question about a job says nothing of the job.
            begins = self.call is not None and self.call.method == "POST"
            self._refused = begins and status not in _UNDECIDED
            raise self._explain(reply)
        if body.lstrip()[:1] == b"<":
            raise self.unreadable(reply)
        return reply

    def _finish_call(self) -> None:
        # From now on there is nothing left that the provider could stop doing.
        if self.call is not None and self.call.undo is not None:
            self.call = replace(self.call, undo=None)

    # -- Going on -----------------------------------------------------------------------------

    @property
    def undo(self) -> HTTPCall | None:
        """What to send if the caller gives up now, or None."""
        if self._refused and self._reading is None:
            return None
        # The next one knows it first: the reply that told it has come, its call is not made yet.
        call = self._next or self._rejoining() or self.call
        return None if call is None else call.undo

    def _rejoining(self) -> HTTPCall | None:
        """Return the call that goes on with the stream that is read, or None."""
        return None if self._reading is None else self._facts.dialect.reconnect(self._reading)

    def advance(self) -> None:
        """Take the next call; None at the end."""
        self.call, self._next = self._next, None
        self.wait = 0.0
        if self.call is None:
            return
        self._retries = 0
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise self.named(BackendError(f"the server sent us on {MAX_CALLS} times"))
        # At the deadline the call is made all the same, and says that it is too late.
        self.wait = min(self.call.delay, max(0.0, self._time_left()))

    def recover(self, error: BackendError) -> Sequence[ChatDelta]:
        """Prepare to send again, or do without; return what that adds to the answer.

        :raises BackendError: the error, where there is no other way.
        """
        if self._reconnects(error):
            return ()
        if self._ended is None:
            self.prepare_retry(self._decisive(error))
            return ()
        # Only the call after the answer's end failed.
        if self._may_retry(error):
            return ()
        try:
            deltas = self._ended.conclude(None)
        except BackendError as failure:
            raise self.named(failure) from None
        self.call, self.wait = None, 0.0
        return deltas

    def _reconnects(self, error: BackendError) -> bool:
        """Prepare to read a broken stream on, over another connection; return whether to."""
        call, reading = self._rejoining(), self._reading
        if call is None or reading is None or reading.done or self._tokenless:
            return False
        now, outage = time.monotonic(), self._outage
        if outage is None or outage.place != call.path:
            # Something has come since the last break, if only what is no piece.
            asked = self.call if outage is None else outage.asked
            if not is_break(error) or asked is None:
                return False
            outage = Outage(error, asked, call.path, now, self._left(now))
        wait = outage.delay(error, self._facts.retry, self._most_retries, now)
        if wait is None or not wait + _MOMENT < self._time_left():
            return False
        outage.note_try()
        self._outage, self.call, self.wait = outage, call, wait
        return True

    def _decisive(self, error: BackendError) -> BackendError:
        """Return the error that counts: the break, where the stream could not be read on."""
        outage, self._outage = self._outage, None
        if outage is None or (self._reading is not None and self._reading.done):
            return error
        self.call = outage.asked
        return outage.lost(error)

    def prepare_retry(self, error: BackendError) -> None:
        """Set the time to wait until the same is sent again, or raise the error."""
        if self._started or not self._may_repeat(error) or not self._may_retry(error):
            raise self.named(error)

    def _may_retry(self, error: BackendError) -> bool:
        """Take a retry and set the time to wait for it; return whether there was one."""
        if self._retries >= self._most_retries:
            return False
        wait = self._facts.retry.delay(error, self._retries)
        if wait is None or not wait < self._time_left() or not self._facts.budget.take():
            return False
        self._retries += 1
        self.wait = wait
        return True

    @property
    def repeatable(self) -> bool:
        """Whether the current call may be sent again where nobody knows if it was heard."""
        return self.call is None or self.call.repeatable

    def _may_repeat(self, error: BackendError) -> bool:
        return self.repeatable or error.status not in _UNDECIDED

    def _time_left(self) -> float:
        return float("inf") if self._deadline is None else self._deadline - time.monotonic()

    # -- Failing ------------------------------------------------------------------------------

    def named(self, error: BackendError) -> BackendError:
        """Return the error with our names in it and without our key."""
        options = self._facts.options
        if self._started and isinstance(error, TransportError):
            cause, error = error, StreamInterrupted(f"the answer broke off: {error}")
            error.__cause__ = cause
        if isinstance(error, StreamInterrupted):
            error.partial = error.partial or "".join(self._texts)
        error.args = tuple(options.redact(part) for part in error.args)
        error.backend = error.backend or self._facts.name
        error.model = error.model or self._model
        return error

    def _explain(self, reply: HTTPReply) -> BackendError:
        error = self._facts.dialect.explain(reply)
        error.status = error.status or reply.status
        advice = reply.headers.get("x-should-retry")
        if advice in {"true", "false"}:
            error.should_retry = advice == "true"
        if error.retry_after is None:
            error.retry_after = parse_retry_after(reply.headers, time.time())
        return error

    def _redirected(self, reply: HTTPReply) -> BackendError:
        target = reply.headers.get("location", "nowhere")[:200]
        return BackendError(
            f"{self._where()} answered {reply.status}, a redirect to {target}, which is not "
            f"followed: set base_url of {self._facts.name!r} to the address that is meant",
            status=reply.status,
        )

    def _where(self) -> str:
        return self._facts.options.base_url if self.call is None else self._url(self.call)

    def unreadable(self, reply: HTTPReply) -> BackendError:
        """Return the error for a reply that is no answer of a model server."""
        # Cut after the key is gone, or the half of one would be left.
        text = self._facts.options.redact(reply.body[:4096].decode("utf-8", "replace"))
        kind = reply.headers.get("content-type", "no content type")
        # Without its status, a success: asking again would bring the same page, no retry is due.
        return ServerError(
            f"{self._where()} answered {reply.status} ({kind}) with what is no answer of a model: "
            f"{text[:200]!r}. Is base_url right, and no proxy's page in between?",
        )


def _as_patient(timeouts: Timeouts, request: ChatRequest | None) -> Timeouts:
    """Return the endpoint's timeouts, made shorter where the caller is less patient."""
    # A reply that comes whole has no first token: its first byte is the end of the work.
    patience = request.patience if request is not None and request.stream else None
    if patience is None or (patience.first_token is None and patience.stall is None):
        return timeouts
    limits = {"first_byte": patience.first_token, "stall": patience.stall}
    shorter = {
        name: limit if (usual := getattr(timeouts, name)) is None else min(limit, usual)
        for name, limit in limits.items()
        if limit is not None
    }
    return replace(timeouts, **shorter)
