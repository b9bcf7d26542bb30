"""Harmony, the format of gpt-oss.

Authorities: the ``openai-harmony`` renderer; for the variant ``hf`` the chat template that OpenAI
publishes with gpt-oss, which differs in blank lines and in calls of tools.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from andon.chat import Tool
from andon.errors import RoleOrderError
from andon.messages import ChatMessage, Role, ToolCall
from andon.templates.layout import (
    NO_CONTEXT,
    ContextRenderer,
    RenderContext,
    arguments_json,
    content,
    json_text,
)

CONTROL_TOKENS = (
    "<|start|>",
    "<|end|>",
    "<|message|>",
    "<|channel|>",
    "<|constrain|>",
    "<|return|>",
    "<|call|>",
    "<|startoftext|>",
    "<|endoftext|>",
)


@dataclass(frozen=True, slots=True)
class Harmony(ContextRenderer):
    """Harmony in one of its two authorities' forms.

    :param hub: whether to write as the published chat template does.
    """

    hub: bool = False
    places_tools: bool = True

    def __call__(
        self,
        messages: Sequence[ChatMessage],
        add_generation_prompt: bool,
        context: RenderContext = NO_CONTEXT,
    ) -> str:
        """Write messages as one prompt."""
        system = content(messages[0]) if messages[0].role is Role.SYSTEM else None
        turns = messages if system is None else messages[1:]
        written = [_system(context)]
        if system is not None or context.tools:
            written.append(self._developer(system, context.tools))
        names = {call.id: call.name for m in messages for call in m.tool_calls}
        written += [self._turn(turn, names) for turn in turns]
        if add_generation_prompt:
            written.append("<|start|>assistant")
        elif self.hub and messages[-1].role is Role.ASSISTANT and not messages[-1].tool_calls:
            # A chat that ends is one to train on, and the model has to learn to stop.
            written[-1] = f"{written[-1].removesuffix('<|end|>')}<|return|>"
        return "".join(written)

    def _developer(self, system: str | None, tools: Sequence[Tool]) -> str:
        blocks = [] if system is None else [f"# Instructions\n\n{system}"]
        if tools:
            functions = "".join(_declaration(tool) for tool in tools)
            blocks.append(
                f"# Tools\n\n## functions\n\nnamespace functions {{\n\n{functions}"
                "} // namespace functions"
            )
        blank = "\n\n" if self.hub and not tools else ""
        text = "\n\n".join(blocks)
        return f"<|start|>developer<|message|>{text}{blank}<|end|>"

    def _turn(self, message: ChatMessage, names: Mapping[str, str]) -> str:
        if message.role is Role.USER:
            return f"<|start|>user<|message|>{message.content}<|end|>"
        if message.role is Role.TOOL:
            return self._result(message, names)
        if message.role is Role.SYSTEM:
            if self.hub:
                raise RoleOrderError("gpt-oss's chat template has place for one system message")
            return self._developer(content(message), ())
        spoken = f"<|start|>assistant<|channel|>final<|message|>{message.content}<|end|>"
        if not message.tool_calls:
            return spoken
        calls = "".join(map(self._call, message.tool_calls))
        return f"{self._preamble(message)}{calls}"

    def _preamble(self, message: ChatMessage) -> str:
        if not message.content:
            return ""
        channel = "analysis" if self.hub else "commentary"
        return f"<|start|>assistant<|channel|>{channel}<|message|>{message.content}<|end|>"

    def _call(self, call: ToolCall) -> str:
        arguments = arguments_json(call.arguments)
        if self.hub:
            head = f" to=functions.{call.name}<|channel|>commentary json"
        else:
            head = f"<|channel|>commentary to=functions.{call.name} <|constrain|>json"
        return f"<|start|>assistant{head}<|message|>{arguments}<|call|>"

    def _result(self, message: ChatMessage, names: Mapping[str, str]) -> str:
        name = message.name or names.get(message.tool_call_id or "")
        if name is None:
            raise RoleOrderError("a tool's message answers no call of this chat")
        text = json_text(content(message)) if self.hub else content(message)
        head = f"functions.{name} to=assistant<|channel|>commentary"
        return f"<|start|>{head}<|message|>{text}<|end|>"


harmony = Harmony()
harmony_hub = Harmony(hub=True)


def _system(context: RenderContext) -> str:
    today = context.today or datetime.date.today()
    tools = (
        "\nCalls to these tools must go to the commentary channel: 'functions'."
        if context.tools
        else ""
    )
    return (
        "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
        f"Knowledge cutoff: 2024-06\nCurrent date: {today.isoformat()}\n\nReasoning: medium\n\n"
        "# Valid channels: analysis, commentary, final. Channel must be included for every "
        f"message.{tools}<|end|>"
    )


def _declaration(tool: Tool) -> str:
    comment = "".join(f"// {line}\n" for line in tool.description.splitlines())
    if not tool.parameters.get("properties"):
        return f"{comment}type {tool.name} = () => any;\n\n"
    fields = "".join(_fields(tool.parameters))
    return f"{comment}type {tool.name} = (_: {{\n{fields}}}) => any;\n\n"


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        if description := field.get("description"):
            yield f"// {description}\n"
        optional = "" if name in required else "?"
        default = f" // default: {field['default']}" if "default" in field else ""
        yield f"{name}{optional}: {_type(field)},{default}\n"


def _type(schema: Mapping[str, Any]) -> str:
    """Return a JSON schema as a type of TypeScript, which is how the model read them."""
    if "enum" in schema:
        return " | ".join(json_text(value) for value in schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " | ".join(_type(option) for option in schema[union])
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type({**schema, "type": one}) for one in kind)
    if kind == "array":
        return f"{_type(schema['items'])}[]" if schema.get("items") else "any[]"
    if kind == "object":
        return f"{{\n{''.join(_fields(schema))}}}" if schema.get("properties") else "object"
    plain = {"integer": "number", "number": "number", "string": "string", "boolean": "boolean"}
    return plain.get(str(kind), "null" if kind == "null" else "any")
