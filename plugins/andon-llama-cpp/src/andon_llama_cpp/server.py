"""llama.cpp's own server, asked over HTTP: nothing but facts."""

from __future__ import annotations

from dataclasses import replace

from andon.backends.http_backend import http_backend_spec
from andon.specs import Locality
from andon.wire.api_choice import choose_api
from andon.wire.endpoint import EndpointSpec
from andon.wire.llama_server import llama_server_dialect
from andon.wire.openai_chat import openai_dialect
from andon.wire.openai_quirks import LLAMA_SERVER
from andon.wire.resumable import RESUMABLE_OPTION
from andon_llama_cpp import SERVER_VARIABLE

ENDPOINT = EndpointSpec(
    base_url="http://127.0.0.1:8080/v1",
    locality=Locality.LOCAL,
    key_variables=("LLAMA_API_KEY",),
    key_optional=True,
    base_url_variables=(SERVER_VARIABLE,),
    options=("api", "chat_template"),
    switches=(RESUMABLE_OPTION,),
    docs="https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
)
QUIRKS = LLAMA_SERVER
#: Its own route keeps raw completions to a JSON schema as well.
RAW_QUIRKS = replace(QUIRKS, raw_response_format=True)

#: The backend, where it is a server.
SERVER = http_backend_spec(
    "llama-cpp",
    ENDPOINT,
    choose_api({"chat": openai_dialect(QUIRKS), "completions": llama_server_dialect(RAW_QUIRKS)}),
    summary="a llama-server",
)
