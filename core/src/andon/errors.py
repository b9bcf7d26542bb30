"""Every error that andon raises, in one tree.

::

    AndonError
    ├── ConfigurationError            what you asked for is not there, or is not valid
    │   ├── SettingsError             a settings file, variable or argument is wrong
    │   ├── UnknownBackendError       no installed plugin offers this backend
    │   ├── UnknownModelError         the backend has no such model
    │   ├── MissingKeyError           the backend needs an API key
    │   ├── DuplicateNameError        two plugins claim one name
    │   ├── PluginLoadError           the plugin that you asked for is broken
    │   └── ModelLoadError            a model's file is missing, damaged or of another kind
    ├── InvalidRequestError           refused here, before anything is sent or spent
    │   ├── TemplateError             the chat template cannot express these messages
    │   │   ├── UnsupportedRoleError  it has no place for this role
    │   │   ├── RoleOrderError        it demands another order of roles
    │   │   ├── ControlTokenError     a message holds text that would become a control token
    │   │   └── UnsafeTemplateError   a Jinja template broke out of its limits
    │   ├── UnsupportedParameterError the backend or model cannot do what was asked
    │   └── ContextOverflowError      the prompt does not fit into the context window
    ├── PrivacyViolation              the privacy tier forbids this
    │   └── EgressBlocked             the guard stopped a connection; also a PermissionError
    ├── BudgetError
    │   ├── BudgetExceeded            a budget has no room for this request
    │   │   └── DailyBudgetExceeded   the day's
    │   ├── RequestTooExpensive       the request could cost more than one request may
    │   ├── LedgerError               the ledger cannot be reached, so nothing can be counted
    │   └── UnknownPriceError         nobody knows what the model costs
    ├── BackendError                  the backend failed or refused
    │   ├── AuthenticationError       401
    │   ├── PermissionDeniedError     403
    │   ├── NotFoundError             404: no such model, or no such address
    │   ├── BadRequestError           400, 413, 422
    │   │   ├── PromptTooLongError    the backend says that the prompt does not fit
    │   │   └── ContentFilterError    the provider's filter refuses the prompt
    │   ├── RateLimitError            429
    │   ├── ServerError               5xx
    │   │   └── OverloadedError       503, 529: too much to do, or still loading
    │   ├── TransportError            no connection, or a broken one
    │   ├── RequestTimeout            it took longer than it may
    │   ├── BackendResting            it failed lately, and is given a rest
    │   ├── AnsweredElsewhere         another backend, asked beside it, was faster
    │   ├── SeamMismatch              its answer does not go on with what was delivered
    │   └── StreamInterrupted         the answer broke off; ``.partial`` holds what had arrived
    ├── RoutingError                  every candidate failed; ``.attempts`` says how
    │   └── Rejected                  every candidate has too much to do; ``.retry_after``
    ├── AnswerLost                    nobody knows whether a batch's request was answered
    └── ClientClosedError             the client was closed
    PluginWarning                     a plugin that nobody asked for is broken
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from andon.chat import Attempt


class AndonError(Exception):
    """The root of every error that andon raises on purpose."""


class ConfigurationError(AndonError):
    """What was asked for is not there, or is not valid."""


class SettingsError(ConfigurationError):
    """A settings file, an environment variable or an argument has a wrong value."""


class UnknownBackendError(ConfigurationError):
    """No installed plugin offers the backend."""


class UnknownModelError(ConfigurationError):
    """The backend has no model of this name."""


class MissingKeyError(ConfigurationError):
    """The backend needs an API key, and none was given."""


class DuplicateNameError(ConfigurationError):
    """Two plugins claim the same name."""


class PluginLoadError(ConfigurationError):
    """The plugin that was asked for cannot be used; ``__cause__`` says why."""


class ModelLoadError(ConfigurationError):
    """A model's file is missing, damaged, or not what its name says."""


class InvalidRequestError(AndonError, ValueError):
    """The request was refused before anything was sent or spent."""


class TemplateError(InvalidRequestError):
    """The chat template cannot express these messages."""


class UnsupportedRoleError(TemplateError):
    """The chat template has no place for a role."""


class RoleOrderError(TemplateError):
    """The chat template demands another order of roles."""


class ControlTokenError(TemplateError):
    """A message holds text that the model would read as a control token."""


class UnsafeTemplateError(TemplateError):
    """A Jinja template tried what it may not, or used more than its share."""


class UnsupportedParameterError(InvalidRequestError):
    """The backend or the model cannot do what a parameter asks for.

    :param message: what happened and what to do.
    :param parameter: the request option that is to blame, by its name in
        :class:`andon.RequestOptions`, or None where leaving one out would not help.
    """

    def __init__(self, message: str, *, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


class ContextOverflowError(InvalidRequestError):
    """The prompt does not fit into the model's context window.

    :param message: what happened and what to do.
    :param input_tokens: size of the prompt, in tokens.
    :param window: size of the model's context window, in tokens.
    :param reserve: tokens kept free for the answer.
    """

    def __init__(self, message: str, *, input_tokens: int, window: int, reserve: int) -> None:
        super().__init__(message)
        self.input_tokens = input_tokens
        self.window = window
        self.reserve = reserve


class PrivacyViolation(AndonError):
    """The privacy tier forbids what was asked for."""


class EgressBlocked(PrivacyViolation, PermissionError):
    """The privacy guard stopped a library that would have left this machine.

    It is an ``OSError`` as well, so that a library which can do without goes on.
    """


class BudgetError(AndonError):
    """The request was refused to protect a budget; nothing was spent."""


class BudgetExceeded(BudgetError):
    """A budget has no room for this request.

    :param message: what happened and what to do.
    :param budget: the budget's name.
    """

    def __init__(self, message: str, *, budget: str = "") -> None:
        super().__init__(message)
        self.budget = budget


class DailyBudgetExceeded(BudgetExceeded):
    """The day's budget has no room for this request."""


class LedgerError(BudgetError):
    """The ledger cannot be reached or read, so that no spending can be counted."""


class RequestTooExpensive(BudgetError):
    """The request could cost more than a single request may."""


class UnknownPriceError(BudgetError):
    """Nobody knows what the model costs, so no upper bound can be given."""


class BackendError(AndonError):
    """The backend failed or refused.

    :param message: what happened and what to do.
    :param backend: name of the backend.
    :param model: name of the model there.
    :param status: HTTP status, where there is one.
    :param code: the provider's own error code.
    :param request_id: the provider's id of the request, for its support.
    :param retry_after: seconds after which the provider invites another attempt.
    """

    #: Whether another backend, or the same one later, may do better.
    recoverable = True

    #: What the provider says of asking again, where it says so (``x-should-retry``).
    should_retry: bool | None = None

    def __init__(
        self,
        message: str,
        *,
        backend: str | None = None,
        model: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.backend = backend
        self.model = model
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after


class AuthenticationError(BackendError):
    """The backend did not accept the credentials (401)."""


class PermissionDeniedError(BackendError):
    """The credentials do not allow this (403)."""


class NotFoundError(BackendError):
    """The backend has no such model, or its address is another one (404)."""


class BadRequestError(BackendError):
    """The backend rejects the request as it stands (400, 413, 422)."""

    recoverable = False


class PromptTooLongError(BadRequestError):
    """The backend says that the prompt does not fit into the model's context window."""


class ContentFilterError(BadRequestError):
    """The provider's content filter refuses the prompt."""


class RateLimitError(BackendError):
    """Too many requests or tokens in too short a time (429)."""


class ServerError(BackendError):
    """The backend itself failed (5xx), or an engine inside this process did."""


class OverloadedError(ServerError):
    """The backend has too much to do, or is still loading its model (503, 529)."""


class TransportError(BackendError):
    """No connection could be made, or it broke before the answer began."""


class RequestTimeout(BackendError):
    """The request took longer than its timeout."""


class BackendResting(BackendError):
    """The backend failed lately and is given a rest; ``retry_after`` says for how long."""


class AnsweredElsewhere(BackendError):
    """The request was stopped here, since another backend that was asked beside was faster."""


class SeamMismatch(BackendError):
    """A backend's answer does not begin with what another one had delivered of it."""


class StreamInterrupted(BackendError):
    """The answer broke off before its end.

    :param message: what happened.
    :param partial: the text that had arrived.
    :param backend: name of the backend.
    :param model: name of the model there.
    :param attempts: every attempt that was made for this request.
    """

    def __init__(
        self,
        message: str,
        *,
        partial: str = "",
        backend: str | None = None,
        model: str | None = None,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        super().__init__(message, backend=backend, model=model)
        self.partial = partial
        self.attempts = tuple(attempts)


class RoutingError(AndonError):
    """Every candidate failed.

    :param message: what happened.
    :param attempts: every attempt, in order, each with its error.
    """

    def __init__(self, message: str, *, attempts: Sequence[Attempt] = ()) -> None:
        super().__init__(message)
        self.attempts = tuple(attempts)


class Rejected(RoutingError):
    """Every candidate has too much to do; nothing was sent or spent.

    :param message: what happened and what to do.
    :param reason: ``"queue_full"``; ``"over_share"`` where there is room for others only;
        ``"no_backend"`` where nobody is there to be asked.
    :param retry_after: seconds after which a request is predicted to be served.
    """

    def __init__(self, message: str, *, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class AnswerLost(AndonError):
    """What asked a request of a batch was killed; the answer, if there is one, may be billed."""


class ClientClosedError(AndonError):
    """The client was closed and can serve no more requests."""


class PluginWarning(UserWarning):
    """A plugin is broken; it breaks only whoever asks for it."""
