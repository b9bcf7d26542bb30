"""What a template makes of messages."""

from __future__ import annotations

from dataclasses import dataclass

# Every text that a vocabulary in use puts at the beginning of a prompt.
_BOS = (
    "<s>",
    "<bos>",
    "<BOS_TOKEN>",
    "<|begin_of_text|>",
    "<|startoftext|>",
    "<｜begin▁of▁sentence｜>",  # noqa: RUF001 the token's own characters
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a prompt.

    :param text: its text.
    :param control: whether control tokens in it are meant; False marks what a message holds,
        which must be tokenised as plain text.
    """

    text: str
    control: bool


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt.

    :param segments: its pieces, in order. A tokenizer encodes each on its own: those with
        ``control`` with special tokens recognised, the others as plain text.
    :param normalizations: what was changed to fit the messages into the template.
    :param stop: texts at which an answer ends.
    :param bos_token: the text of the model's BOS, where it is known.
    """

    segments: tuple[Segment, ...]
    normalizations: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    bos_token: str = ""

    @property
    def text(self) -> str:
        """The prompt as one text."""
        return "".join(segment.text for segment in self.segments)

    @property
    def bos(self) -> str:
        """The BOS that the prompt brings along, or nothing."""
        if not self.segments or not self.segments[0].control:
            return ""
        known = (self.bos_token, *_BOS) if self.bos_token else _BOS
        return next((bos for bos in known if self.segments[0].text.startswith(bos)), "")

    @property
    def has_bos(self) -> bool:
        """Whether the prompt brings its own BOS, so that none must be added."""
        return bool(self.bos)
