"""{{ cookiecutter.summary }}."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from andon import TokenizerSpec, hookimpl

if TYPE_CHECKING:
    from andon.tokens import Tokenizer

NAME = "{{ cookiecutter.name }}"


@hookimpl
def andon_register_tokenizers() -> Iterable[TokenizerSpec]:
    """Offer the tokenizer ``{{ cookiecutter.name }}``."""
    return [
        TokenizerSpec(
            name=NAME,
            create=_create,
            models=(f"{NAME}-*",),
            exact=True,
        )
    ]


def _create() -> Tokenizer:
    # Imported here: the vocabulary is read at the first count.
    from {{ cookiecutter.__package }}.tokenizer import PieceTokenizer

    return PieceTokenizer()
