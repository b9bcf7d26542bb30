"""The tokenizer: the longest piece of the vocabulary that fits, else a byte."""

from __future__ import annotations

#: Pieces of texts; their ids follow those of the bytes. Control tokens have no place here.
PIECES = (" the", " and", " is", "ing", "tion", "er", "in", "on", "th", "  ")
_IDS = {piece: 256 + place for place, piece in enumerate(PIECES)}
_LONGEST = max(map(len, PIECES))


class PieceTokenizer:
    """The tokenizer of the models ``{{ cookiecutter.name }}-…``."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of the text's tokens; nothing in it is read as a control token."""
        tokens: list[int] = []
        place = 0
        while place < len(text):
            piece = self._piece(text, place)
            if piece is None:
                tokens += text[place].encode("utf-8", "surrogatepass")
                place += 1
            else:
                tokens.append(_IDS[piece])
                place += len(piece)
        return tokens

    def decode(self, tokens: list[int]) -> str:
        """Return the text of the tokens."""
        data = b"".join(self._bytes(token) for token in tokens)
        return data.decode("utf-8", "surrogatepass")

    def _piece(self, text: str, place: int) -> str | None:
        ends = range(place + _LONGEST, place + 1, -1)
        return next((text[place:end] for end in ends if text[place:end] in _IDS), None)

    def _bytes(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else PIECES[token - 256].encode()
