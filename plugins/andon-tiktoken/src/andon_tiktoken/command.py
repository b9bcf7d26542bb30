"""``andon tokenizers``: which rank files are there, and fetching the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from andon.errors import AndonError, ConfigurationError
from andon.privacy import PrivacyTier
from andon.settings import load
from andon_tiktoken import MODELS
from andon_tiktoken.encodings import rank_files
from andon_tiktoken.rank_files import RankFile, folder

_USAGE = """usage: andon tokenizers [fetch]

Lists the rank files that exact token counts need. With "fetch", downloads the missing ones from
their maker, once, and checks their hashes; andon never does so by itself.
"""


def run(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    if list(arguments) not in ([], ["fetch"]):
        asked = list(arguments) in (["-h"], ["--help"])
        (sys.stdout if asked else sys.stderr).write(_USAGE)
        return 0 if asked else 2
    files = {file.name: file for name in MODELS for file in rank_files(name)}.values()
    try:
        return max(map(_fetch if arguments else _show, files))
    except AndonError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _show(file: RankFile) -> int:
    sys.stdout.write(f"{'present' if _is_there(file) else 'missing'}  {file.url}\n")
    return 0


def _fetch(file: RankFile) -> int:
    if not _is_there(file):
        if load().privacy is PrivacyTier.SOVEREIGN:
            raise ConfigurationError(
                "the privacy tier sovereign lets nothing be fetched; run it once with "
                "ANDON_PRIVACY=standard, or copy the files"
            )
        file.fetch(folder(os.environ))
    return _show(file)


def _is_there(file: RankFile) -> bool:
    try:
        file.read(folder(os.environ))
    except ConfigurationError:
        return False
    return True
