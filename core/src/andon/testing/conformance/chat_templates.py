"""The conformance class for chat templates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import takewhile
from typing import Any, ClassVar

import pytest

from andon.errors import ControlTokenError, TemplateError
from andon.messages import ChatMessage, Role, ToolCall
from andon.specs import ChatTemplateSpec
from andon.templates import ChatTemplateEngine
from andon.testing.conformance.contract import (
    CONTROL_TOKENS,
    GENERATION_PROMPT,
    RENDER,
    TEMPLATE_MODELS,
    TEMPLATE_STOP,
    check,
    check_equal,
    fail,
)
from andon.testing.conformance.records import RecordConformance

_SYSTEM = ChatMessage.system("Speak like a pîrate of 1720.")
_ASKED = ChatMessage.user("Ahoy, wörld! 🦜")
_ANSWER = ChatMessage.assistant("Arr “matey” 日本")
_MORE = ChatMessage.user("What\n\nnext? {{ 7*7 }}")
#: Chats, from what every format can express to what few can.
CHATS: Mapping[str, tuple[ChatMessage, ...]] = {
    "a question": (_ASKED,),
    "a chat": (_ASKED, _ANSWER, _MORE),
    "instructions": (_SYSTEM, _ASKED),
    "instructions and a chat": (_SYSTEM, _ASKED, _ANSWER, _MORE),
    "two questions": (_ASKED, _MORE),
    "an answer first": (_ANSWER, _ASKED),
    "late instructions": (_ASKED, _ANSWER, _SYSTEM),
    "a call of a tool": (
        _ASKED,
        ChatMessage.assistant("", tool_calls=(ToolCall("call_1", "sail", "{}"),)),
        ChatMessage.tool("windy", "call_1"),
    ),
}
#: What control tokens look like, in the vocabularies in use.
_TOKEN = re.compile(r"<\|[^|<>\s]{1,40}\|>|</?(?:s|bos|eos|start_of_turn|end_of_turn)>|\[/?INST\]")


class TemplateConformance(RecordConformance[ChatTemplateSpec]):
    """What every chat template must do. Subclass it, give the facts, and run pytest.

    ::

        class TestTemplate(TemplateConformance):
            plugin = andon_example
            examples = [([ChatMessage.user("Hi")], "<|user|>Hi<|end|><|assistant|>")]
    """

    hook = "andon_register_chat_templates"
    #: Chats, and the prompts that the model's own template makes of them.
    examples: ClassVar[Sequence[tuple[Sequence[ChatMessage], str]]] = ()
    #: What stands behind an earlier answer, where a new one ends with something else.
    behind_answers: ClassVar[str | None] = None
    #: Names of models that use it.
    models: ClassVar[Sequence[str]] = ()

    @pytest.fixture
    def engine(self, spec: ChatTemplateSpec) -> ChatTemplateEngine:
        """Return the engine that writes with the template."""
        return ChatTemplateEngine(spec)

    @pytest.mark.parametrize("chat", CHATS.values(), ids=CHATS)
    def test_every_message_is_written(
        self, spec: ChatTemplateSpec, chat: tuple[ChatMessage, ...]
    ) -> None:
        """The texts stand in the prompt, in order; or the template refuses.

        Instructions may stand elsewhere: formats without a place for them put them to a question.
        """
        text = self._rendered(spec, chat)
        if text is None:
            check(chat != CHATS["a question"], "it cannot even express a question", RENDER)
            return
        place = 0
        for message in chat:
            said, anywhere = message.text.strip(), message.role is Role.SYSTEM
            found = text.find(said, 0 if anywhere else place)
            check(found >= 0, f"{said!r} does not stand there in turn: {text!r}", RENDER)
            place = place if anywhere else found + len(said)

    @pytest.mark.parametrize("chat", CHATS.values(), ids=CHATS)
    def test_it_is_a_pure_function(
        self, spec: ChatTemplateSpec, chat: tuple[ChatMessage, ...]
    ) -> None:
        """The same chat gives the same prompt again."""
        texts = [self._rendered(spec, chat) for _ in range(2)]
        check_equal(texts[1], texts[0], "the second prompt of one chat", RENDER)

    @pytest.mark.parametrize("chat", CHATS.values(), ids=CHATS)
    def test_the_generation_prompt(
        self, spec: ChatTemplateSpec, chat: tuple[ChatMessage, ...]
    ) -> None:
        """The generation prompt changes nothing before the end of the last message."""
        bare, opened = self._rendered(spec, chat, False), self._rendered(spec, chat, True)
        if bare is None or opened is None:
            check(bare is opened, "it refuses a chat only with or without it", GENERATION_PROMPT)
            return
        same = "".join(takewhile(bool, (a * (a == b) for a, b in zip(bare, opened, strict=False))))
        fact = f"with it the prompt is\n    {opened!r}\nand without it\n    {bare!r}"
        check(chat[-1].text.strip() in same, fact, GENERATION_PROMPT)

    def test_what_it_reserves_is_named(self, spec: ChatTemplateSpec) -> None:
        """Every control token that it writes is named, so that messages cannot forge it."""
        for chat in CHATS.values():
            text = self._rendered(spec, chat) or ""
            for message in chat:
                text = text.replace(message.text, " ") if message.text else text
            written = set(_TOKEN.findall(text))
            unnamed = sorted(written - set(spec.control_tokens))
            check(not unnamed, f"it writes {unnamed}, which control_tokens lacks", CONTROL_TOKENS)

    def test_a_message_cannot_forge_control_tokens(
        self, spec: ChatTemplateSpec, engine: ChatTemplateEngine
    ) -> None:
        """A message with a control token is refused, or kept apart from the prompt's own."""
        for token in spec.control_tokens:
            message = ChatMessage.user(f"a{token}b")
            try:
                text = engine.apply([message])
            except ControlTokenError:
                kept = engine.render([message]).segments
                apart = not any(s.control and f"a{token}b" in s.text for s in kept)
                check(apart, f"{token!r} of a message is meant as one", CONTROL_TOKENS)
            else:
                fail(f"{token!r} of a message passes: {text!r}", CONTROL_TOKENS)

    def test_the_texts_at_which_an_answer_ends(self, spec: ChatTemplateSpec) -> None:
        """What stands behind an earlier answer is what ends the next one."""
        empty = [stop for stop in spec.stop if not stop]
        check(not empty, "an empty text stands in stop, and ends every answer", TEMPLATE_STOP)
        text = self._rendered(spec, CHATS["a chat"], False)
        if text is None or not spec.stop:
            pytest.skip(f"{spec.name!r} has no chats, or answers without an end")
        meant = spec.stop if self.behind_answers is None else (self.behind_answers,)
        behind = text.partition(_ANSWER.text)[2].lstrip()
        ends = any(behind.startswith(stop.strip()) for stop in meant)
        fact = f"an answer is followed by {behind[:40]!r}, and not by one of {meant}"
        check(ends, fact, TEMPLATE_STOP)

    def test_an_answer_is_continued(self, engine: ChatTemplateEngine) -> None:
        """A last message of the assistant can be left open at its end."""
        begun = [_ASKED, ChatMessage.assistant("Well:")]
        try:
            prompt = engine.apply(begun, continue_final_message=True)
        except TemplateError as error:
            fail(f"an answer that is begun cannot be continued: {error}", RENDER)
        check(prompt.endswith("Well:"), f"the prompt ends with {prompt[-30:]!r}", RENDER)

    def test_the_models_own_prompts(self, engine: ChatTemplateEngine) -> None:
        """It writes what the model's own template writes."""
        if not self.examples:
            pytest.skip("there are no examples of the model's own prompts")
        for chat, prompt in self.examples:
            check_equal(engine.apply(list(chat)), prompt, "the prompt", RENDER)

    def test_the_models_that_use_it(self, spec: ChatTemplateSpec) -> None:
        """Its patterns are in lower case, and find the models that it is for."""
        upper = [pattern for pattern in spec.models if pattern != pattern.lower()]
        check(not upper, f"{upper} can match nothing", TEMPLATE_MODELS)
        for model in self.models:
            names = (model.lower(), model.lower().rpartition("/")[2])
            found = any(fnmatchcase(one, pattern) for one in names for pattern in spec.models)
            check(found, f"none of {spec.models} matches {model!r}", TEMPLATE_MODELS)

    def write(self, spec: ChatTemplateSpec, chat: Sequence[ChatMessage], opened: bool) -> str:
        """Return the prompt, before andon has looked at it."""
        return spec.render(chat, opened)

    def _rendered(
        self, spec: ChatTemplateSpec, chat: Sequence[ChatMessage], opened: bool = True
    ) -> str | None:
        """Return the prompt, or None where the template refuses the chat."""
        try:
            text: Any = self.write(spec, chat, opened)
        except TemplateError:
            return None
        except Exception as error:  # noqa: BLE001  told by the test
            fail(f"for what it cannot express it raises {error!r}", RENDER)
        check(isinstance(text, str), f"the prompt is {text!r}", RENDER)
        return str(text)
