"""Chat templates: how messages become the prompt that a model was trained on.

The built-in formats are plain functions. A model's own Jinja template runs in a worker process of
its own, within limits; jinja2 is loaded only there.
"""

from andon.templates.detection import Detection, detect_format
from andon.templates.engine import ChatTemplateEngine, ControlTokens, Normalize
from andon.templates.formats import TemplateFormat, builtin, variants
from andon.templates.layout import ContextRenderer, RenderContext
from andon.templates.rendered import Rendered, Segment
from andon.templates.tool_calls import ToolCallParser

__all__ = [
    "ChatTemplateEngine",
    "ContextRenderer",
    "ControlTokens",
    "Detection",
    "Normalize",
    "RenderContext",
    "Rendered",
    "Segment",
    "TemplateFormat",
    "ToolCallParser",
    "builtin",
    "detect_format",
    "variants",
]
