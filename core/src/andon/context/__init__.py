"""The context window: how large a chat is, whether it fits, and what is left out if it does not."""

from andon.context.counting import ChatCounter
from andon.context.manager import ContextManager
from andon.context.truncation import Truncation, TruncationStrategy, drop_order, truncate
from andon.context.window import ContextWindow

__all__ = [
    "ChatCounter",
    "ContextManager",
    "ContextWindow",
    "Truncation",
    "TruncationStrategy",
    "drop_order",
    "truncate",
]
