"""``andon chat``: one question, or a chat in the terminal."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Unpack

import click

from andon_cli.answers import print_answer, print_json
from andon_cli.app import App
from andon_cli.completion import complete_models
from andon_cli.conversation import Conversation
from andon_cli.model_choice import read_words
from andon_cli.options import (
    json_option,
    raw_option,
    read_stdin,
    request_options,
    stdin_is_terminal,
)
from andon_cli.terminal import is_terminal, typing_kept

if TYPE_CHECKING:
    from andon.options import RequestOptions


@click.command("chat")
@click.argument("words", nargs=-1, metavar="[MODEL] [QUESTION]...", shell_complete=complete_models)
@click.option("--system", help="What the model is told before everything else.")
@request_options
@raw_option
@click.option("--no-history", is_flag=True, help="Do not keep the questions of this chat.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    system: str | None,
    privacy: str | None,
    raw: bool,
    no_history: bool,
    as_json: bool,
    **options: Unpack[RequestOptions],
) -> None:
    """Chat with MODEL, or print its answer to QUESTION or to the text on stdin.

    MODEL is BACKEND:MODEL, like llama-cpp:demo, or a route of the settings; without it, the first
    model is taken that needs no key and no configuration. In a chat, ctrl-c stops an answer,
    ctrl-d ends the chat, and /help lists what else can be typed.
    """
    by_hand = stdin_is_terminal() and is_terminal(sys.stdout) and not as_json
    with (
        typing_kept() if by_hand else nullcontext(),
        ctx.ensure_object(App).client(privacy) as client,
    ):
        model, question = read_words(client, words)
        talk = Conversation(model, system)
        if not question and by_hand:
            from andon_cli.console import ChatConsole

            ChatConsole(client, talk, options, raw=raw, keep_history=not no_history).run()
            return
        question = question or _question_on_stdin(ctx)
        stream = client.stream(model, talk.ask(question), **options)
        if as_json:
            print_json(stream)
        else:
            print_answer(stream, end_line=True, raw=raw)


def _question_on_stdin(ctx: click.Context) -> str:
    question = "" if stdin_is_terminal() and is_terminal(sys.stdout) else read_stdin().strip()
    if not question:
        raise click.UsageError("there is no question; give one, or pipe one in", ctx)
    return question
