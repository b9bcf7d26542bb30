"""Chats as prompts, for servers that complete raw text.

There the model's chat template is applied here, so it has to be known here: the setting
``chat_template`` names it, else the plugins' formats and the model's name tell it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from andon.chat import ChatRequest
from andon.errors import (
    ConfigurationError,
    SettingsError,
    UnsupportedParameterError,
    UnsupportedRoleError,
)
from andon.messages import ImagePart
from andon.specs import BackendContext, ChatTemplateSpec

if TYPE_CHECKING:
    from andon.templates import ChatTemplateEngine, Rendered

#: What an endpoint must name among its ``options``, so that the setting is taken.
TEMPLATE_OPTION = "chat_template"

#: Larger files than this are no chat templates.
_MOST_BYTES = 1024 * 1024

#: What a template writes that a tokenizer will read as a control token: a Jinja file alone has no
#: list of them.
_MARKS = re.compile(r"<\|[^<>|\s]+\|>|\[/?[A-Z_]+\]|<</?SYS>>|</?s>|<(?:bos|eos|\w+_of_turn)>")


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A chat as its model reads it.

    :param text: the prompt, without a BOS at its beginning, which nearly every server adds.
    :param bos: that BOS, or nothing where the template writes none; a prompt that has it and is
        tokenised with another one confuses the model.
    :param stop: texts that end the answer, the request's own before those of the template.
    """

    text: str
    bos: str
    stop: tuple[str, ...]


class PromptRenderer:
    """Renders the chats of one backend.

    :param template: the format of all its models, as the setting ``chat_template`` gives it:
        a format's name, with a version behind a colon if need be; a Jinja file; a
        ``tokenizer_config.json``; a GGUF file; or the folder of a tokenizer. None goes by the
        model's name.
    :param specs: gives the formats that plugins offer.
    """

    def __init__(
        self,
        template: str | None = None,
        specs: Callable[[], Sequence[ChatTemplateSpec]] = tuple,
    ) -> None:
        self._template = template
        self._specs = specs
        self._engines: dict[str, ChatTemplateEngine] = {}

    @classmethod
    def from_context(cls, context: BackendContext) -> PromptRenderer:
        """Return the renderer of a backend, from its settings.

        :raises SettingsError: the setting ``chat_template`` is no text.
        """
        template = context.options.get(TEMPLATE_OPTION)
        if template is not None and not isinstance(template, str):
            raise SettingsError(f"{TEMPLATE_OPTION} must be a format's name or a file's path")
        return cls(template, context.chat_templates)

    def render(self, request: ChatRequest) -> RenderedPrompt:
        """Return a chat as a prompt.

        Control tokens in messages are refused: a prompt that is one text cannot keep them apart.

        :param request: a request with messages.
        :raises SettingsError: nobody knows the model's chat template.
        :raises TemplateError: the chat template cannot express the messages.
        :raises UnsupportedParameterError: the chat template has no place for tools, a call of one
            is to be forced, or a message has an image.
        """
        engine = self._engine(request.model)
        if any(isinstance(part, ImagePart) for m in request.messages for part in m.content):
            raise UnsupportedParameterError("a rendered prompt is text, and holds no images")
        tools = calls_in_text(request)
        if tools and request.tool_choice != "auto":
            raise UnsupportedParameterError(
                "a server that completes raw text cannot be made to call a tool; use "
                'tool_choice="auto"',
                parameter="tool_choice",
            )
        rendered = _render(engine, request, tools)
        text = rendered.text.removeprefix(rendered.bos)
        stop = tuple(dict.fromkeys((*request.sampling.stop, *rendered.stop)))
        return RenderedPrompt(text, rendered.bos, stop)

    def to_raw(self, request: ChatRequest) -> ChatRequest:
        """Return a chat as a request to complete a raw prompt; a raw one comes back as it is.

        What the prompt does not say, sampling and the answer's form, stays as it was. Whether
        tool calls are to be read out of the text, :func:`calls_in_text` tells.

        :param request: what to ask.
        :raises AndonError: see :meth:`render`.
        """
        return request if request.prompt is not None else as_raw(request, self.render(request))

    def _engine(self, model: str) -> ChatTemplateEngine:
        key = model if self._template is None else ""
        engine = self._engines.get(key)
        if engine is None:
            given = self._template
            engine = self._from_name(model) if given is None else self._from_setting(given)
            self._engines[key] = engine
        return engine

    def _from_name(self, model: str) -> ChatTemplateEngine:
        from andon.templates import ChatTemplateEngine, TemplateFormat

        try:
            engine = ChatTemplateEngine.from_model(model, specs=self._specs())
        except ConfigurationError as error:
            raise _unknown(model, str(error)) from error
        # A model whose name tells nothing gets raw text in this process, where its file would
        # tell if it had a template. A server's model has one, only we do not know it.
        if engine.format == TemplateFormat.RAW:
            raise _unknown(model, "its name tells no chat format")
        return engine

    def _from_setting(self, given: str) -> ChatTemplateEngine:
        from andon.templates import ChatTemplateEngine, TemplateFormat

        name, _, variant = given.partition(":")
        if name in set(TemplateFormat):
            return ChatTemplateEngine(name, variant=variant or None)
        path = Path(given).expanduser()
        if path.exists():
            return _from_path(path)
        for spec in self._specs():
            if spec.name == given:
                return ChatTemplateEngine(spec)
        raise SettingsError(
            f"{TEMPLATE_OPTION} {given!r} is neither a file nor a known format; there are "
            + ", ".join(repr(str(name)) for name in TemplateFormat)
        )


def as_raw(request: ChatRequest, prompt: RenderedPrompt, *, with_bos: bool = False) -> ChatRequest:
    """Return the request to complete the prompt that a chat has become.

    :param request: the chat.
    :param prompt: the chat, rendered.
    :param with_bos: whether the template's BOS is sent as well.
    """
    return replace(
        request,
        messages=(),
        prompt=prompt.bos + prompt.text if with_bos else prompt.text,
        sampling=replace(request.sampling, stop=prompt.stop),
        tools=(),
        tool_choice="auto",
        continue_final_message=False,
    )


def calls_in_text(request: ChatRequest) -> bool:
    """Return whether the answer to a chat may hold tool calls that its text spells out."""
    return bool(request.tools) and request.prompt is None and request.tool_choice != "none"


def _render(engine: ChatTemplateEngine, request: ChatRequest, tools: bool) -> Rendered:
    from andon.templates.guard import refuse_control_tokens, vocabulary

    continued = request.continue_final_message
    try:
        rendered = engine.render(
            request.messages,
            continue_final_message=continued,
            tools=request.tools if tools else (),
        )
    except UnsupportedRoleError as error:
        if not tools:
            raise
        raise UnsupportedParameterError(
            f"{error}; leave the tools out", parameter="tools"
        ) from error
    refuse_control_tokens(rendered.segments, vocabulary(engine.spec.control_tokens))
    return rendered


def _from_path(path: Path) -> ChatTemplateEngine:
    from andon.templates import ChatTemplateEngine, TemplateFormat

    if path.is_dir():
        engine = ChatTemplateEngine.from_model(str(path))
    else:
        engine = ChatTemplateEngine.from_model(path.stem, metadata=_metadata(path))
    if engine.format == TemplateFormat.RAW:
        raise SettingsError(f"{TEMPLATE_OPTION} {path} holds no chat template")
    return engine


def _metadata(path: Path) -> Mapping[str, Any]:
    if path.suffix == ".json":
        return _tokenizer_config(path)
    if path.suffix == ".gguf":
        from andon.gguf import read_header

        return read_header(path, ("tokenizer.",)).values
    return _alone(path)


def _tokenizer_config(path: Path) -> Mapping[str, Any]:
    try:
        metadata = json.loads(_read(path, 64 * _MOST_BYTES))
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{TEMPLATE_OPTION} {path} is no JSON: {error}") from error
    if not isinstance(metadata, dict) or not metadata.get("chat_template"):
        raise SettingsError(f"{TEMPLATE_OPTION} {path} holds no chat_template")
    return metadata


def _alone(path: Path) -> Mapping[str, Any]:
    """Return what a Jinja file says without its tokenizer."""
    source = _read(path, _MOST_BYTES)
    if re.search(r"\beos_token\b", source):
        raise SettingsError(
            f"{TEMPLATE_OPTION} {path} writes the tokenizer's eos_token, which a Jinja file alone "
            "does not tell; give the model's tokenizer_config.json, or the folder with both"
        )
    marks = dict.fromkeys(_MARKS.findall(source))
    added = {str(at): {"content": mark, "special": True} for at, mark in enumerate(marks)}
    return {"chat_template": source, "added_tokens_decoder": added}


def _read(path: Path, most: int) -> str:
    try:
        if path.stat().st_size > most:
            raise SettingsError(f"{TEMPLATE_OPTION} {path} is too large to be a chat template")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{TEMPLATE_OPTION} {path} cannot be read: {error}") from error


def _unknown(model: str, why: str) -> SettingsError:
    return SettingsError(
        f"the prompt of {model!r} is rendered here, and nobody knows how: {why}. Set "
        f'{TEMPLATE_OPTION} of its endpoint to a format ("chatml", "llama3", "raw", …), to a '
        'Jinja or GGUF file, or to the folder of its tokenizer; or use api = "chat"'
    )
