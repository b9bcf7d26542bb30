"""The context window: how large a chat is, whether it fits, and what is left out if it does not."""

from andon.context.calibration import Calibration, Calibrations, PromptSize
from andon.context.counting import IMAGE_TOKENS, ChatCounter, CountTools, has_images
from andon.context.manager import ContextManager
from andon.context.rendered import RenderedCounter
from andon.context.truncation import Truncation, TruncationStrategy, drop_order, truncate
from andon.context.window import ContextWindow

__all__ = [
    "IMAGE_TOKENS",
    "Calibration",
    "Calibrations",
    "ChatCounter",
    "ContextManager",
    "ContextWindow",
    "CountTools",
    "PromptSize",
    "RenderedCounter",
    "Truncation",
    "TruncationStrategy",
    "drop_order",
    "has_images",
    "truncate",
]
