"""Environment variables by which libraries are told not to call home.

A switch is a request to a library, and no barrier: the guard and the kernel are. Yet a library that
is told so does not try, and says what it misses instead of failing at a connection.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, MutableMapping

#: The switches. (The documentation of huggingface_hub, transformers, datasets, vLLM, Ollama,
#: LiteLLM, Gradio, OpenTelemetry, pip and uv; consoledonottrack.com.)
SWITCHES: Mapping[str, str] = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "OLLAMA_NO_CLOUD": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "ANONYMIZED_TELEMETRY": "False",
    "OTEL_SDK_DISABLED": "true",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INDEX": "1",
    "UV_OFFLINE": "1",
}

#: Variables that name a proxy. andon never reads them, and others shall not either.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "WS_PROXY", "WSS_PROXY")

#: Libraries that read their switches once, when they are imported.
_READ_AT_IMPORT = {"huggingface_hub": "HF_HUB_OFFLINE", "litellm": "LITELLM_LOCAL_MODEL_COST_MAP"}


def turn_off(environment: MutableMapping[str, str]) -> None:
    """Set all switches, and take proxies out.

    :param environment: the variables of this process, or of one to be started.
    """
    environment.update(SWITCHES)
    for name in PROXIES:
        environment.pop(name, None)
        environment.pop(name.lower(), None)


def still_on(environment: Mapping[str, str]) -> list[str]:
    """Return what the environment leaves on, in words; nothing where all is off.

    :param environment: the variables of this process.
    """
    missing = [name for name, value in SWITCHES.items() if environment.get(name) != value]
    proxies = [name for name in PROXIES if environment.get(name) or environment.get(name.lower())]
    found = [f"{name} is not set to {SWITCHES[name]}" for name in missing]
    return found + [f"{name} names a proxy" for name in proxies]


def too_late(environment: Mapping[str, str]) -> list[str]:
    """Return the libraries that were imported before their switch was set."""
    return [
        library
        for library, variable in _READ_AT_IMPORT.items()
        if library in sys.modules and environment.get(variable) != SWITCHES[variable]
    ]
