"""What of Bedrock's blocks has to go back as it was: the content of ``reasoningContent`` blocks.

Thoughts that nobody signed are not among them, for some models refuse to have them back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from andon.wire.block_replay import Block, BlockReplay


def text_blocks(text: str) -> list[Block]:
    """Return a text as a block; one without a letter is none, for Bedrock refuses it."""
    return [{"text": text}] if text.strip() else []


def _is_reasoning(content: Mapping[str, Any]) -> bool:
    return isinstance(content.get("reasoningText") or content.get("redactedContent"), dict | str)


REPLAY = BlockReplay(
    dialect="bedrock-converse",
    provider="Bedrock",
    is_kept=_is_reasoning,
    to_block=lambda content: {"reasoningContent": content},
    text_blocks=text_blocks,
)
