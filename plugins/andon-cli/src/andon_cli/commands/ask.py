"""``andon ask``: one question, about the text on stdin where there is one."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from andon.options import RequestOptions


@click.command("ask")
@click.argument("words", nargs=-1, metavar="[MODEL] [QUESTION]...", shell_complete=complete_models)
@click.option("--system", help="What the model is told before everything else.")
@request_options
@raw_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    system: str | None,
    privacy: str | None,
    raw: bool,
    as_json: bool,
    **options: Unpack[RequestOptions],
) -> None:
    """Print MODEL's answer to QUESTION, about the text on stdin where there is one.

        cat report.txt | andon ask "Summarise this."

    MODEL is BACKEND:MODEL or a route of the settings; without it, the first model is taken that
    needs no key and no configuration.
    """
    with ctx.ensure_object(App).client(privacy) as client:
        model, question = read_words(client, words)
        document = "" if stdin_is_terminal() else read_stdin().strip()
        asked = with_document(question, document)
        if not asked:
            raise click.UsageError("there is no question; give one, or pipe one in", ctx)
        stream = client.stream(model, Conversation(model, system).ask(asked), **options)
        if as_json:
            print_json(stream)
        else:
            print_answer(stream, end_line=True, raw=raw)


def with_document(question: str, document: str) -> str:
    """Return a question together with the text that it is about.

    :param question: the question.
    :param document: the text; alone, it is the question.
    """
    if not (question and document):
        return question or document
    # Marked off, so that a model tells what is asked from what is only read.
    return f"{question}\n\n<document>\n{document}\n</document>"
