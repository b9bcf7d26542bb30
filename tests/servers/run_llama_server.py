"""Runs llama.cpp's own server, as the xllamacpp wheel carries it, until its standard input ends.

Called with the path of a model and, if one is to be asked for, an API key. Prints its address.
"""

from __future__ import annotations

import sys

import xllamacpp


def main(model: str, key: str = "") -> None:
    """Serve a model."""
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {"demo"}
    params.n_ctx = 1024
    params.n_parallel = 1
    params.port = 0
    params.cpuparams.n_threads = 1
    params.endpoint_metrics = True
    if key:
        params.api_keys = [key]
    server = xllamacpp.Server(params)
    print("LISTENING", server.listening_address, flush=True)
    # Whoever started it ends it, or its own end does.
    sys.stdin.read()


main(*sys.argv[1:])
