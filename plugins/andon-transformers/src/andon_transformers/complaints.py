"""What is wrong with a model's files, in words for whoever has to mend it."""

from __future__ import annotations

import re

from gguf import GGUFReader
from safetensors import SafetensorError

from andon_transformers.source import Source

#: What Transformers says, and what it means where its advice does not apply.
_MEANINGS = (
    (r"custom code", "needs Python code that comes with it, which andon never runs"),
    (r"ignore_mismatched_sizes", "has weights of other sizes than its config.json says"),
    (r"no file named model\.safetensors", "has no weights: there is no model.safetensors in it"),
    (r"instantiate the backend tokenizer", "has no tokenizer: there is no tokenizer.json in it"),
)


def explain(error: Exception, source: Source) -> str:
    """Return what is wrong with a model that could not be loaded, as the rest of a sentence.

    :param error: what its reader said.
    :param source: its files.
    """
    text = str(error).strip()
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, text):
            return meaning
    # The first sentence; those after it give advice to whoever calls Transformers.
    reason = re.split(r"\n|(?<=[.!]) ", text, maxsplit=1)[0]
    if " " not in reason:
        reason = f"{type(error).__name__} {reason}"
    if isinstance(error, SafetensorError) or _is_damaged(source):
        return f"is damaged or truncated: {reason}"
    return f"cannot be loaded: {reason}"


def _is_damaged(source: Source) -> bool:
    if source.gguf_file is None:
        return False
    try:
        GGUFReader(source.folder / source.gguf_file)
    # It checks nothing, and fails wherever the damage leads it.
    except Exception:  # noqa: BLE001 - says whether, not what
        return True
    return False
