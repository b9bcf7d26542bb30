"""The files that encodings are made of: where they lie, and that they are what they should be."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from andon.errors import ConfigurationError

#: Seconds to wait for the next bytes of a download.
TIMEOUT = 60.0

#: Most bytes of a rank file; the largest that is known has 3.6 MB.
LARGEST = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RankFile:
    """A rank file, known by its hash.

    :param url: where its maker publishes it.
    :param sha256: the hash of its bytes.
    """

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name in a cache, the same that tiktoken gives it."""
        return hashlib.sha1(self.url.encode(), usedforsecurity=False).hexdigest()

    def read(self, folder: Path) -> bytes:
        """Return the file's bytes.

        :param folder: the cache.
        :raises ConfigurationError: it is not there, or is another file.
        """
        file = folder / self.name
        try:
            data = file.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"the rank file {self.url.rpartition('/')[2]} is not in {folder}; fetch it once "
                "with: andon tokenizers fetch"
            ) from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ConfigurationError(
                f"{file} is not the rank file that it should be (its SHA-256 differs); delete it, "
                "and run: andon tokenizers fetch"
            )
        return data

    def fetch(self, folder: Path) -> None:
        """Download the file into the cache.

        :param folder: the cache.
        :raises ConfigurationError: it could not be had, or came as another file.
        """
        try:
            with urllib.request.urlopen(self.url, timeout=TIMEOUT) as reply:  # noqa: S310  fixed URLs
                data = reply.read(LARGEST)
        except OSError as error:
            raise ConfigurationError(f"{self.url} cannot be fetched: {error}") from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ConfigurationError(f"{self.url} sent another file: its SHA-256 differs")
        folder.mkdir(parents=True, exist_ok=True)
        # Renamed when it is whole: another process may be reading.
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(data)
        os.replace(file.name, folder / self.name)  # noqa: PTH105


def folder(environment: Mapping[str, str]) -> Path:
    """Return the cache: tiktoken's own where it has one that lasts, else the user's.

    :param environment: the environment variables.
    """
    given = environment.get("TIKTOKEN_CACHE_DIR") or environment.get("DATA_GYM_CACHE_DIR")
    if given:
        return Path(given)
    base = environment.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "andon" / "tokenizers"
