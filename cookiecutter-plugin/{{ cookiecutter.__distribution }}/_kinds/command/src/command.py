"""The command ``andon {{ cookiecutter.name }}``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from andon import AndonError, Client

from {{ cookiecutter.__package }} import NAME, SUMMARY


def run(arguments: Sequence[str]) -> int:
    """Ask a model how it is; return the exit code.

    :param arguments: what stands behind the command's name.
    """
    parser = argparse.ArgumentParser(prog=f"andon {NAME}", description=SUMMARY)
    parser.add_argument("model", help="the model, as BACKEND:MODEL")
    told = parser.parse_args(arguments)
    try:
        with Client() as client:
            sys.stdout.write(f"{client.chat(told.model, 'How are you?').text}\n")
    except AndonError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0
