"""``andon chat``: one question, or a chat in the terminal."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Unpack

import click

from andon.errors import ConfigurationError
from andon_cli.answers import print_answer, print_json
from andon_cli.app import App
from andon_cli.conversation import Conversation
from andon_cli.options import json_option, read_stdin, request_options, stdin_is_terminal
from andon_cli.terminal import is_terminal

if TYPE_CHECKING:
    from andon.client import Client
    from andon.options import RequestOptions
    from andon.specs import ModelCard

#: What ``backend:model`` looks like, as opposed to the first word of a question.
_MODEL = re.compile(r"[a-z][a-z0-9_-]*:\S+")

#: Localities that need neither a key nor an account, nearest first.
_KEYLESS = ("in-process", "local")


@click.command("chat")
@click.argument("words", nargs=-1, metavar="[MODEL] [QUESTION]...")
@click.option("--system", help="What the model is told before everything else.")
@request_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    system: str | None,
    privacy: str | None,
    as_json: bool,
    **options: Unpack[RequestOptions],
) -> None:
    """Chat with MODEL, or print its answer to QUESTION or to the text on stdin.

    MODEL is BACKEND:MODEL, like llama-cpp:demo; without it, the first model is taken that needs
    no key and no configuration. In a chat, ctrl-c stops an answer, ctrl-d ends the chat, and
    /help lists what else can be typed.
    """
    with ctx.ensure_object(App).client(privacy) as client:
        model, question = _read_words(client, words)
        talk = Conversation(model, system)
        if not question and stdin_is_terminal() and is_terminal(sys.stdout) and not as_json:
            from andon_cli.console import ChatConsole

            ChatConsole(client, talk, options).run()
            return
        question = question or _question_on_stdin(ctx)
        stream = client.stream(model, talk.ask(question), **options)
        if as_json:
            print_json(stream)
        else:
            print_answer(stream, end_line=True)


def _read_words(client: Client, words: tuple[str, ...]) -> tuple[str, str]:
    """Return model and question; the first word is a model if it looks like one."""
    if words and _MODEL.fullmatch(words[0]):
        return words[0], " ".join(words[1:]).strip()
    if words and words[0] in client.plugins.backends():
        raise click.UsageError(
            f"{words[0]!r} is a backend; name one of its models too, as in {words[0]}:MODEL "
            "(andon models lists them)"
        )
    return default_model(client), " ".join(words).strip()


def _question_on_stdin(ctx: click.Context) -> str:
    question = "" if stdin_is_terminal() and is_terminal(sys.stdout) else read_stdin().strip()
    if not question:
        raise click.UsageError("there is no question; give one, or pipe one in", ctx)
    return question


def default_model(client: Client) -> str:
    """Return the first model that needs no key and no configuration, the nearest first.

    Where several backends can serve it, its card's order of them counts.

    :raises ConfigurationError: there is none.
    """
    backends = client.plugins.backends()
    models = [
        (_KEYLESS.index(backends[name].locality), _place(name, card), f"{name}:{card.name}")
        for name, card in client.models()
        if backends[name].locality in _KEYLESS and "chat" in card.capabilities
    ]
    if not models:
        raise ConfigurationError(
            "no installed model works without a key or settings; name one as BACKEND:MODEL, or "
            "try: pip install andon-llama-cpp andon-demo-model"
        )
    return min(models, key=lambda model: model[:2])[2]


def _place(backend: str, card: ModelCard) -> int:
    return card.backends.index(backend) if backend in card.backends else len(card.backends)
