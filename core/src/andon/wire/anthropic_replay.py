"""What of Anthropic's blocks has to go back as it was.

Claude signs its thoughts, and binds them to everything that stands before them: each block but
texts and calls is kept whole.
"""

from __future__ import annotations

from andon.wire.block_replay import Block, BlockReplay


def text_blocks(text: str) -> list[Block]:
    """Return a text as a block; an empty one is none, for Anthropic refuses it."""
    return [{"type": "text", "text": text}] if text else []


REPLAY = BlockReplay(
    dialect="anthropic-messages",
    provider="Anthropic",
    is_kept=lambda block: isinstance(block.get("type"), str),
    to_block=dict,
    text_blocks=text_blocks,
)
