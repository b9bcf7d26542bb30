"""Prompts as tokens, so that no content can become a control token.

A tokenizer finds its control tokens by their text, in whoever's text they stand. The encoder
here gives every control token another text, an alias that nobody can guess, in a copy of the
tokenizer, and writes the aliases itself into those segments that may hold control tokens. Then
one pass over the whole prompt gives the very ids that the tokenizer would give, and what looks
like a control token in a message is text like any other.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

if TYPE_CHECKING:
    from andon.templates import Segment

#: How the control tokens look that a tokenizer's author forgot to mark as special.
_MARKUP = re.compile(r"<[|\uff5c].*[|\uff5c]>", re.DOTALL)


def find_control_tokens(
    tokenizer: Mapping[str, Any], special: Sequence[str], template: str
) -> dict[str, int]:
    """Return the texts that a tokenizer reads as control tokens, with their ids.

    Added tokens that are not special count where the chat template writes them, as ``<think>``;
    other ones, such as runs of spaces, are mere vocabulary.

    :param tokenizer: the tokenizer, as its JSON file has it.
    :param special: texts of the tokens that the model's author calls special.
    :param template: source of the model's chat template.
    """
    vocabulary = _ids(tokenizer["model"]["vocab"])
    found = {text: vocabulary[text] for text in special if text in vocabulary}
    for token in tokenizer.get("added_tokens", ()):
        text = token["content"]
        written = bool(text.strip()) and text in template
        if token["special"] or text in special or written or _MARKUP.fullmatch(text):
            found[text] = token["id"]
    return found


class PromptEncoder:
    """A tokenizer for prompts of which only some parts may hold control tokens.

    :param tokenizer: the tokenizer, as its JSON file has it.
    :param control_tokens: the texts that it reads as control tokens, with their ids.
    :raises ValueError: the tokenizer gives its tokens other ids than its file says.
    """

    def __init__(self, tokenizer: Mapping[str, Any], control_tokens: Mapping[str, int]) -> None:
        nonce = secrets.token_hex(16)
        self._aliases = {text: f"zq{nonce}n{id_}qz" for text, id_ in control_tokens.items()}
        # The longest first, because a regular expression takes the first that fits.
        longest_first = sorted(control_tokens, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._tokenizer = Tokenizer.from_str(json.dumps(_rename(tokenizer, self._aliases)))
        for text, id_ in control_tokens.items():
            if self._tokenizer.token_to_id(self._aliases[text]) != id_:
                raise ValueError(f"its tokenizer does not give {text!r} the id {id_}")

    def encode(self, segments: Sequence[Segment]) -> list[int]:
        """Return the ids of a prompt.

        :param segments: the prompt in pieces; only those with ``control`` hold control tokens.
        """
        text = "".join(
            self._pattern.sub(self._alias, segment.text) if segment.control else segment.text
            for segment in segments
        )
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _alias(self, match: re.Match[str]) -> str:
        return self._aliases[match.group()]


def _ids(vocabulary: Mapping[str, int] | Sequence[Sequence[Any]]) -> Mapping[str, int]:
    if isinstance(vocabulary, Mapping):
        return vocabulary
    return {text: id_ for id_, (text, _) in enumerate(vocabulary)}


def _rename(tokenizer: Mapping[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    added = [
        # An alias may well stand between letters, where the token's own text may not.
        token | {"content": aliases[token["content"]], "single_word": False}
        if token["content"] in aliases
        else token
        for token in tokenizer.get("added_tokens", ())
    ]
    return {
        **tokenizer,
        "added_tokens": added,
        "model": _rename_vocabulary(tokenizer["model"], aliases),
        "post_processor": None,
        "truncation": None,
        "padding": None,
    }


def _rename_vocabulary(model: Mapping[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    # Left in the vocabulary, a control token's text could still be put together by merges, be
    # looked up as a whole word, or win as the likeliest piece.
    renamed = dict(model)
    vocabulary = model["vocab"]
    if isinstance(vocabulary, Mapping):
        renamed["vocab"] = {aliases.get(text, text): id_ for text, id_ in vocabulary.items()}
    else:
        renamed["vocab"] = [[aliases.get(text, text), score] for text, score in vocabulary]
    if "merges" in model:
        renamed["merges"] = [merge for merge in model["merges"] if not _meets(merge, aliases)]
    if model.get("unk_token") is not None:
        renamed["unk_token"] = aliases.get(model["unk_token"], model["unk_token"])
    return renamed


def _meets(merge: str | Sequence[str], aliases: Mapping[str, str]) -> bool:
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return left in aliases or right in aliases or left + right in aliases
