"""Stop texts: found across the borders of tokens, and never delivered, not even in part."""

from __future__ import annotations

import re
from collections.abc import Sequence


class StopScanner:
    """Passes text on until a stop text is complete.

    What is passed on does not depend on how the text is cut into pieces: the stop text that is
    complete first ends the answer, and of several that end at one place the longest.

    :param stops: the stop texts, none of them empty.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._patterns = [_Pattern(stop) for stop in dict.fromkeys(stops)]
        firsts = "".join(re.escape(pattern.text[0]) for pattern in self._patterns)
        # Most tokens hold no beginning of any stop text, and are let through at once.
        self._begins = re.compile(f"[{firsts}]").search if firsts else None
        self._held = ""
        #: The stop text that ended the answer, or None.
        self.found: str | None = None

    def feed(self, text: str) -> str:
        """Take the next text; return what is certainly no part of a stop text."""
        if self._begins is None or not (self._held or self._begins(text) or self.found):
            return text
        if self.found is not None:
            return ""
        ends = [(end, -len(p.text), p.text) for p in self._patterns if (end := p.feed(text)) >= 0]
        pending = self._held + text
        if ends:
            end, length, self.found = min(ends)
            safe = len(self._held) + end + length
            self._held = ""
            return pending[:safe]
        safe = len(pending) - max((p.matched for p in self._patterns), default=0)
        self._held = pending[safe:]
        return pending[:safe]

    def finish(self) -> str:
        """Return what was held back; after it no more text comes."""
        held, self._held = self._held, ""
        return held


class _Pattern:
    """One stop text as the automaton of Knuth, Morris and Pratt, which reads each character once.

    :param text: the stop text.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        #: How many characters at the end of what was read are the beginning of the stop text.
        self.matched = 0
        self._borders = _borders(text)

    def feed(self, text: str) -> int:
        """Read on; return the index after the stop text's first end in ``text``, or -1."""
        pattern, borders, matched = self.text, self._borders, self.matched
        for index, character in enumerate(text):
            while matched and pattern[matched] != character:
                matched = borders[matched - 1]
            if pattern[matched] == character:
                matched += 1
            if matched == len(pattern):
                return index + 1
        self.matched = matched
        return -1


def _borders(text: str) -> list[int]:
    """Return, for each prefix of the text, the length of its longest border."""
    borders = [0]
    for character in text[1:]:
        length = borders[-1]
        while length and text[length] != character:
            length = borders[length - 1]
        borders.append(length + (text[length] == character))
    return borders
