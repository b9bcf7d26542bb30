"""The chat template of the demo model: ChatML, with Hermes-style tools when there are any."""

from __future__ import annotations

import json
from typing import Any

import jinja2

CHAT_TEMPLATE = r"""
{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] + '\n\n' }}
    {%- endif %}
    {{- 'You can call these tools:\n<tools>\n' }}
    {%- for tool in tools %}
        {{- tool | tojson }}
        {{- '\n' }}
    {%- endfor %}
    {{- '</tools>\nTo call one, answer with <tool_call>\n' }}
    {{- '{"name": tool, "arguments": object}\n</tool_call><|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message['role'] == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1]['role'] != 'tool' %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' + message['content'] + '\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1]['role'] != 'tool' %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- elif not (tools and loop.first and message['role'] == 'system') %}
        {{- '<|im_start|>' + message['role'] + '\n' }}
        {%- if message['content'] %}
            {{- message['content'] }}
        {%- endif %}
        {%- if message['tool_calls'] %}
            {%- for call in message['tool_calls'] %}
                {%- if not loop.first or message['content'] %}
                    {{- '\n' }}
                {%- endif %}
                {{- '<tool_call>\n{"name": "' + call['function']['name'] + '", "arguments": ' }}
                {%- if call['function']['arguments'] is string %}
                    {{- call['function']['arguments'] }}
                {%- else %}
                    {{- call['function']['arguments'] | tojson }}
                {%- endif %}
                {{- '}\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
""".strip()


def _environment(sort_keys: bool) -> jinja2.Environment:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(
        value, ensure_ascii=False, sort_keys=sort_keys
    )
    return environment


# Servers differ in whether their `tojson` sorts the keys of a tool: train on both orders.
_TEMPLATES = {flag: _environment(flag).from_string(CHAT_TEMPLATE) for flag in (False, True)}


def render(
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]] | None = None,
    *,
    add_generation_prompt: bool = False,
    sort_keys: bool = False,
) -> str:
    """The exact text that the model sees for these messages."""
    return _TEMPLATES[sort_keys].render(
        messages=messages, tools=tools, add_generation_prompt=add_generation_prompt
    )
