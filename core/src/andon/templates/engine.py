"""The engine that turns a chat into a prompt."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from andon.chat import Tool
from andon.errors import InvalidRequestError, TemplateError, UnsupportedRoleError
from andon.messages import ChatMessage, ImagePart, Messages, Role, as_messages
from andon.specs import ChatTemplateSpec
from andon.templates.folding import render_folded
from andon.templates.formats import TemplateFormat, builtin, is_builtin
from andon.templates.guard import Guard, refuse_control_tokens, unused, vocabulary
from andon.templates.layout import ContextRenderer, RenderContext
from andon.templates.presence import demand_presence
from andon.templates.rendered import Rendered, Segment

#: What happens to messages that a template cannot express: an error, or folding.
Normalize: TypeAlias = Literal["strict", "merge"]
#: What happens to control tokens in messages where the prompt is one text.
ControlTokens: TypeAlias = Literal["refuse", "verbatim"]


class ChatTemplateEngine:
    """Writes messages as the prompt that a model was trained on.

    :param template: the format: a :class:`TemplateFormat`, its name, or a spec of your own.
    :param variant: the version of a built-in format; None takes its default.
    :param now: the date that templates with a clock print; None reads it once at every render.
    :param extra_control_tokens: further texts that the model's tokenizer reads as control tokens.
    :param bos_token: the text of the tokenizer's BOS, where the format does not tell.
    :raises ConfigurationError: there is no such format or version.
    """

    def __init__(
        self,
        template: TemplateFormat | ChatTemplateSpec | str,
        *,
        variant: str | None = None,
        now: datetime.date | None = None,
        extra_control_tokens: Sequence[str] = (),
        bos_token: str = "",
    ) -> None:
        if isinstance(template, ChatTemplateSpec):
            if variant is not None:
                raise InvalidRequestError("a spec has no variants; choose the spec itself")
            self.spec = template
        else:
            self.spec = builtin(template, variant)
        self._now = now
        self._render = self.spec.render
        self._builtin = is_builtin(self.spec)
        self._bos_token = bos_token
        self._vocabulary = vocabulary((*self.spec.control_tokens, *extra_control_tokens))
        self._gate = self._vocabulary.gate
        self._idle = RenderContext((), now)
        self._contextual = isinstance(self._render, ContextRenderer)

    @classmethod
    def from_model(
        cls,
        name: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        specs: Sequence[ChatTemplateSpec] = (),
        now: datetime.date | None = None,
        extra_control_tokens: Sequence[str] = (),
    ) -> ChatTemplateEngine:
        """Return the engine for a model: from its metadata first, then from its name.

        :param name: the model's name, or the folder that holds its tokenizer's files.
        :param metadata: the keys of a GGUF file or of ``tokenizer_config.json``.
        :param specs: further formats, whose globs in ``models`` go before andon's own rules.
        :param now: the date that templates with a clock print.
        :param extra_control_tokens: further texts that the tokenizer reads as control tokens.
        :raises ConfigurationError: the format is not built in, or jinja2 is not installed.
        """
        from andon.templates.lookup import find_template

        found = find_template(name, metadata, tuple(specs))
        return cls(
            found.template,
            variant=found.variant,
            now=now,
            extra_control_tokens=(*found.control_tokens, *extra_control_tokens),
            bos_token=found.bos_token,
        )

    @property
    def format(self) -> str:
        """The format's name: a :class:`TemplateFormat` where it is built in, else the spec's."""
        return TemplateFormat(self.spec.name.partition(":")[0]) if self._builtin else self.spec.name

    @property
    def variant(self) -> str | None:
        """The version of a built-in format, or None."""
        return self.spec.name.partition(":")[2] if self._builtin else None

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts at which an answer ends."""
        return self.spec.stop

    def apply(
        self,
        messages: Messages,
        add_generation_prompt: bool | None = None,
        continue_final_message: bool = False,
        *,
        tools: Sequence[Tool | Mapping[str, Any]] = (),
        normalize: Normalize = "strict",
        control_tokens: ControlTokens = "refuse",
    ) -> str:
        """Return the prompt as one text.

        :param messages: one user's text, or messages.
        :param add_generation_prompt: whether to open the assistant's answer; None does so unless
            the final message is continued.
        :param continue_final_message: leave the last message, an assistant's, open at its end.
        :param tools: functions that the model may call.
        :param normalize: ``"merge"`` folds messages that the template cannot express.
        :param control_tokens: one text cannot keep control tokens in messages apart; they are
            refused unless this is ``"verbatim"``.
        :raises UnsupportedRoleError: the template has no place for a role.
        :raises RoleOrderError: the template demands another order of roles.
        :raises ControlTokenError: a message holds what would become a control token.
        :raises UnsafeTemplateError: a Jinja template broke out of its limits.
        :raises InvalidRequestError: the arguments contradict each other.
        """
        _check_choices(normalize, control_tokens)
        if not (continue_final_message or tools) and self._innocuous(messages):
            try:
                return self._write_innocuous(messages, add_generation_prompt is not False)
            except TemplateError:
                # Only the long way can fold, and it says the same of what it cannot fold.
                if normalize == "strict":
                    raise
        verbatim = control_tokens == "verbatim"
        rendered = self._compose(
            messages, add_generation_prompt, continue_final_message, tools, normalize, verbatim
        )
        refuse_control_tokens(rendered.segments, self._vocabulary)
        return rendered.text

    def render(
        self,
        messages: Messages,
        add_generation_prompt: bool | None = None,
        continue_final_message: bool = False,
        *,
        tools: Sequence[Tool | Mapping[str, Any]] = (),
        normalize: Normalize = "strict",
    ) -> Rendered:
        """Return the prompt in pieces that keep messages and control tokens apart.

        The parameters are those of :meth:`apply`. Control tokens in messages are never refused
        here, since they come back in pieces of their own.

        :raises UnsupportedRoleError: the template has no place for a role.
        :raises RoleOrderError: the template demands another order of roles.
        :raises UnsafeTemplateError: a Jinja template broke out of its limits.
        :raises InvalidRequestError: the arguments contradict each other.
        """
        _check_choices(normalize, "refuse")
        return self._compose(
            messages, add_generation_prompt, continue_final_message, tools, normalize, False
        )

    def apply_prompt(
        self,
        text: str,
        *,
        control_tokens: ControlTokens = "refuse",
        normalize: Normalize = "strict",
    ) -> str:
        """Return the prompt for one text of a user.

        :param text: what the user says.
        :param control_tokens: as in :meth:`apply`.
        :param normalize: as in :meth:`apply`.
        :raises ControlTokenError: the text holds what would become a control token.
        """
        messages = (ChatMessage.user(text),)
        return self.apply(messages, normalize=normalize, control_tokens=control_tokens)

    def _innocuous(self, messages: Messages) -> bool:
        """Return whether messages are plain texts without a character of any control token."""
        if not (self._builtin and messages) or type(messages) not in (list, tuple):
            return False
        tool = Role.TOOL
        try:
            texts = [
                m.content  # type: ignore[union-attr]
                for m in messages
                if not (m.tool_calls or m.tool_call_id or m.reasoning or m.role is tool)  # type: ignore[union-attr]
            ]
            blob = "\n".join(texts)  # type: ignore[arg-type]
        except (AttributeError, TypeError):
            return False
        if len(texts) != len(messages):
            return False
        for mark in self._gate:  # noqa: SIM110 a generator would take longer than all the rest
            if mark in blob:
                return False
        return True

    def _write_innocuous(self, messages: Any, prompt: bool) -> str:
        if self._contextual:
            return self._render(messages, prompt, self._idle)  # type: ignore[call-arg]
        return self._render(messages, prompt)

    def _compose(
        self,
        given: Messages,
        add_generation_prompt: bool | None,
        continuing: bool,
        given_tools: Sequence[Tool | Mapping[str, Any]],
        normalize: Normalize,
        verbatim: bool,
    ) -> Rendered:
        messages = self._flat(as_messages(given))
        tools = tuple(Tool.from_openai(tool) for tool in given_tools)
        self._check_tools(messages, tools)
        prompt = _generation_prompt(messages, add_generation_prompt, continuing)
        nonce = unused([text for m in messages for text in _texts(m)] + [str(t) for t in tools])
        guard = Guard(vocabulary(()) if verbatim else self._vocabulary, nonce)
        tag = f"{nonce}t "
        if continuing:
            messages = (*messages[:-1], _tagged(messages[-1], tag))
        guarded = tuple(map(guard.message, messages))
        context = RenderContext(tuple(map(guard.tool, tools)), self._now or datetime.date.today())
        text, done = self._folded(guarded, prompt, context, normalize)
        if continuing:
            text = _cut(text, tag)
        return Rendered(guard.segments(text), done, self.spec.stop, self._bos_token)

    def _folded(
        self,
        messages: tuple[ChatMessage, ...],
        prompt: bool,
        context: RenderContext,
        normalize: Normalize,
    ) -> tuple[str, tuple[str, ...]]:
        def render(messages: Sequence[ChatMessage]) -> str:
            return self._write(messages, prompt, context)

        if normalize == "merge":
            return render_folded(render, messages)
        return render(messages), ()

    def _write(self, messages: Sequence[ChatMessage], prompt: bool, context: RenderContext) -> str:
        if isinstance(self._render, ContextRenderer):
            text = self._render(messages, prompt, context)
        else:
            text = self._render(messages, prompt)
        if not self._builtin:
            demand_presence(messages, text, self.spec.name)
        return text

    def _flat(self, messages: tuple[ChatMessage, ...]) -> tuple[ChatMessage, ...]:
        if all(isinstance(message.content, str) for message in messages):
            return messages
        images = any(isinstance(part, ImagePart) for m in messages for part in m.content)
        if images:
            raise UnsupportedRoleError(
                f"{self.spec.name} writes texts, and has no place for images"
            )
        return tuple(replace(message, content=message.text) for message in messages)

    def _check_tools(self, messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> None:
        render = self._render
        if isinstance(render, ContextRenderer) and render.places_tools:
            return
        if tools:
            raise UnsupportedRoleError(f"{self.spec.name} has no place for tools")
        if self._builtin and any(m.tool_calls or m.role is Role.TOOL for m in messages):
            raise UnsupportedRoleError(
                f"{self.spec.name} has no place for calls of tools and their results"
            )


def _check_choices(normalize: str, control_tokens: str) -> None:
    if normalize not in ("strict", "merge"):
        raise InvalidRequestError(f"normalize is 'strict' or 'merge', not {normalize!r}")
    if control_tokens not in ("refuse", "verbatim"):
        raise InvalidRequestError(
            f"control_tokens is 'refuse' or 'verbatim', not {control_tokens!r}"
        )


def _generation_prompt(
    messages: Sequence[ChatMessage], asked: bool | None, continuing: bool
) -> bool:
    if not continuing:
        return asked is not False
    if asked:
        raise InvalidRequestError(
            "continue_final_message and add_generation_prompt exclude each other: an answer is "
            "either continued or begun"
        )
    if messages[-1].role is not Role.ASSISTANT or messages[-1].tool_calls:
        raise InvalidRequestError("only a last message of the assistant can be continued")
    return False


def _texts(message: ChatMessage) -> list[str]:
    return [
        str(message.content),
        message.name or "",
        message.reasoning or "",
        message.tool_call_id or "",
        *(f"{call.id} {call.name} {call.arguments}" for call in message.tool_calls),
    ]


def _tagged(message: ChatMessage, tag: str) -> ChatMessage:
    return replace(message, content=f"{message.content}{tag}")


def _cut(text: str, tag: str) -> str:
    """Cut a prompt at its tag; a template that trims the tag's last space trims the text too."""
    at = text.rfind(tag.rstrip(" "))
    if at < 0:
        raise TemplateError("the template does not write the message that is to be continued")
    return text[:at] if text.startswith(tag, at) else text[:at].rstrip()


__all__ = ["ChatTemplateEngine", "ControlTokens", "Normalize", "Segment"]
