"""One interface to every model server, local or remote.

The public names, each loaded at its first use, so that ``import andon`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from andon.budget import Budget as Budget
    from andon.budget import BudgetWarning as BudgetWarning
    from andon.budget import CircuitBreakerConfig as CircuitBreakerConfig
    from andon.budget import CircuitState as CircuitState
    from andon.budget import CostCircuitBreaker as CostCircuitBreaker
    from andon.budget import MemoryLedger as MemoryLedger
    from andon.chat import Attempt as Attempt
    from andon.chat import ChatDelta as ChatDelta
    from andon.chat import ChatRequest as ChatRequest
    from andon.chat import ChatResponse as ChatResponse
    from andon.chat import Failover as Failover
    from andon.chat import FinishReason as FinishReason
    from andon.chat import ResponseFormat as ResponseFormat
    from andon.chat import Sampling as Sampling
    from andon.chat import TokenLogprob as TokenLogprob
    from andon.chat import Tool as Tool
    from andon.chat import ToolCallDelta as ToolCallDelta
    from andon.chat import Usage as Usage
    from andon.client import AsyncClient as AsyncClient
    from andon.client import Client as Client
    from andon.context import ContextManager as ContextManager
    from andon.context import ContextWindow as ContextWindow
    from andon.context import Truncation as Truncation
    from andon.context import TruncationStrategy as TruncationStrategy
    from andon.errors import AndonError as AndonError
    from andon.errors import AnsweredElsewhere as AnsweredElsewhere
    from andon.errors import AnswerLost as AnswerLost
    from andon.errors import AuthenticationError as AuthenticationError
    from andon.errors import BackendError as BackendError
    from andon.errors import BackendResting as BackendResting
    from andon.errors import BadRequestError as BadRequestError
    from andon.errors import BudgetError as BudgetError
    from andon.errors import BudgetExceeded as BudgetExceeded
    from andon.errors import ClientClosedError as ClientClosedError
    from andon.errors import ConfigurationError as ConfigurationError
    from andon.errors import ContentFilterError as ContentFilterError
    from andon.errors import ContextOverflowError as ContextOverflowError
    from andon.errors import ControlTokenError as ControlTokenError
    from andon.errors import DailyBudgetExceeded as DailyBudgetExceeded
    from andon.errors import DuplicateNameError as DuplicateNameError
    from andon.errors import EgressBlocked as EgressBlocked
    from andon.errors import InvalidRequestError as InvalidRequestError
    from andon.errors import LedgerError as LedgerError
    from andon.errors import MissingKeyError as MissingKeyError
    from andon.errors import ModelLoadError as ModelLoadError
    from andon.errors import NotFoundError as NotFoundError
    from andon.errors import OverloadedError as OverloadedError
    from andon.errors import PermissionDeniedError as PermissionDeniedError
    from andon.errors import PluginLoadError as PluginLoadError
    from andon.errors import PluginWarning as PluginWarning
    from andon.errors import PrivacyViolation as PrivacyViolation
    from andon.errors import PromptTooLongError as PromptTooLongError
    from andon.errors import RateLimitError as RateLimitError
    from andon.errors import Rejected as Rejected
    from andon.errors import RequestTimeout as RequestTimeout
    from andon.errors import RequestTooExpensive as RequestTooExpensive
    from andon.errors import RoleOrderError as RoleOrderError
    from andon.errors import RoutingError as RoutingError
    from andon.errors import SeamMismatch as SeamMismatch
    from andon.errors import ServerError as ServerError
    from andon.errors import SettingsError as SettingsError
    from andon.errors import StreamInterrupted as StreamInterrupted
    from andon.errors import TemplateError as TemplateError
    from andon.errors import TransportError as TransportError
    from andon.errors import UnknownBackendError as UnknownBackendError
    from andon.errors import UnknownModelError as UnknownModelError
    from andon.errors import UnknownPriceError as UnknownPriceError
    from andon.errors import UnsafeTemplateError as UnsafeTemplateError
    from andon.errors import UnsupportedParameterError as UnsupportedParameterError
    from andon.errors import UnsupportedRoleError as UnsupportedRoleError
    from andon.failover import FailoverManager as FailoverManager
    from andon.failover import FailoverMode as FailoverMode
    from andon.failover import FailoverPolicy as FailoverPolicy
    from andon.hookspecs import hookimpl as hookimpl
    from andon.messages import ChatMessage as ChatMessage
    from andon.messages import ImagePart as ImagePart
    from andon.messages import ProviderState as ProviderState
    from andon.messages import Role as Role
    from andon.messages import TextPart as TextPart
    from andon.messages import ToolCall as ToolCall
    from andon.options import RequestOptions as RequestOptions
    from andon.plugins import PluginInfo as PluginInfo
    from andon.plugins import Plugins as Plugins
    from andon.pricing import PriceTable as PriceTable
    from andon.pricing import TokenPricing as TokenPricing
    from andon.privacy import PrivacyTier as PrivacyTier
    from andon.response_stream import AsyncResponseStream as AsyncResponseStream
    from andon.response_stream import ResponseStream as ResponseStream
    from andon.routing import Local as Local
    from andon.routing import Reject as Reject
    from andon.routing import RouterConfig as RouterConfig
    from andon.routing import Spillover as Spillover
    from andon.routing import SpilloverRouter as SpilloverRouter
    from andon.selection import BackendSelector as BackendSelector
    from andon.selection import CostTier as CostTier
    from andon.selection import LatencyTier as LatencyTier
    from andon.selection import ServingBackend as ServingBackend
    from andon.selection import ThroughputTier as ThroughputTier
    from andon.settings import Settings as Settings
    from andon.specs import BackendContext as BackendContext
    from andon.specs import BackendSpec as BackendSpec
    from andon.specs import BatchEngineSpec as BatchEngineSpec
    from andon.specs import ChatTemplateSpec as ChatTemplateSpec
    from andon.specs import CommandSpec as CommandSpec
    from andon.specs import LedgerSpec as LedgerSpec
    from andon.specs import Locality as Locality
    from andon.specs import LongContextPrice as LongContextPrice
    from andon.specs import ModelCard as ModelCard
    from andon.specs import ModelProfile as ModelProfile
    from andon.specs import ObserverSpec as ObserverSpec
    from andon.specs import Price as Price
    from andon.specs import RouterSpec as RouterSpec
    from andon.specs import TokenizerSpec as TokenizerSpec
    from andon.templates import ChatTemplateEngine as ChatTemplateEngine
    from andon.templates import TemplateFormat as TemplateFormat
    from andon.tokens import Exactness as Exactness
    from andon.tokens import TokenCount as TokenCount

__version__ = "0.1.0"

#: Where each public name lives.
_HOMES = {
    "budget": "Budget BudgetWarning CircuitBreakerConfig CircuitState CostCircuitBreaker "
    "MemoryLedger",
    "chat": "Attempt ChatDelta ChatRequest ChatResponse Failover FinishReason ResponseFormat "
    "Sampling TokenLogprob Tool ToolCallDelta Usage",
    "client": "AsyncClient Client",
    "context": "ContextManager ContextWindow Truncation TruncationStrategy",
    "errors": "AndonError AnswerLost AnsweredElsewhere AuthenticationError BackendError "
    "BackendResting BadRequestError BudgetError BudgetExceeded ClientClosedError "
    "ConfigurationError ContentFilterError ContextOverflowError ControlTokenError "
    "DailyBudgetExceeded DuplicateNameError EgressBlocked InvalidRequestError LedgerError "
    "MissingKeyError ModelLoadError NotFoundError OverloadedError PermissionDeniedError "
    "PluginLoadError PluginWarning PrivacyViolation PromptTooLongError RateLimitError Rejected "
    "RequestTimeout RequestTooExpensive RoleOrderError RoutingError SeamMismatch ServerError "
    "SettingsError StreamInterrupted TemplateError TransportError UnknownBackendError "
    "UnknownModelError UnknownPriceError UnsafeTemplateError UnsupportedParameterError "
    "UnsupportedRoleError",
    "failover": "FailoverManager FailoverMode FailoverPolicy",
    "hookspecs": "hookimpl",
    "messages": "ChatMessage ImagePart ProviderState Role TextPart ToolCall",
    "options": "RequestOptions",
    "plugins": "PluginInfo Plugins",
    "pricing": "PriceTable TokenPricing",
    "privacy": "PrivacyTier",
    "response_stream": "AsyncResponseStream ResponseStream",
    "routing": "Local Reject RouterConfig Spillover SpilloverRouter",
    "selection": "BackendSelector CostTier LatencyTier ServingBackend ThroughputTier",
    "settings": "Settings",
    "specs": "BackendContext BackendSpec BatchEngineSpec ChatTemplateSpec CommandSpec LedgerSpec "
    "Locality LongContextPrice ModelCard ModelProfile ObserverSpec Price RouterSpec TokenizerSpec",
    "templates": "ChatTemplateEngine TemplateFormat",
    "tokens": "Exactness TokenCount",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [*_HOME_OF, "__version__"]  # noqa: PLE0604  (a test compares it with the imports above)


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'andon' has no attribute {name!r}")
    value = getattr(import_module(f"andon.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
