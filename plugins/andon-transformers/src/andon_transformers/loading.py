"""Loading a model's files, offline and quietly, with errors that say what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from andon.errors import ModelLoadError, SettingsError
from andon.specs import BackendContext
from andon_transformers.complaints import explain
from andon_transformers.engine import TransformersEngine
from andon_transformers.model import LoadedModel
from andon_transformers.options import read_options
from andon_transformers.quiet import quiet
from andon_transformers.source import Source, find_source

# What they return depends on their arguments in ways that their types do not tell.
_models: Any = AutoModelForCausalLM
_tokenizers: Any = AutoTokenizer


def load(name: str, path: Path, context: BackendContext) -> TransformersEngine:
    """Load a model.

    :param name: what was asked for: a name of the catalogue, a path, or the name of a repository
        of the Hugging Face Hub.
    :param path: where the files lie: a folder, or a GGUF file.
    :param context: the backend's options, and whether anything may be downloaded.
    :raises SettingsError: an option has a wrong value.
    :raises ModelLoadError: the files are missing, damaged, or of a kind that cannot be loaded.
    :raises PrivacyViolation: they would have to be downloaded, and nothing may leave the machine.
    """
    options = read_options(context.options)
    device = _device(options.device)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    source = find_source(name, path, options, offline=context.offline)
    try:
        with quiet():
            return TransformersEngine(_load(name, source, device, options.dtype))
    except ModelLoadError:
        raise
    # Damaged files make readers fail in every way there is.
    except Exception as error:
        raise ModelLoadError(f"{_describe(source)} {explain(error, source)}") from error


def _load(name: str, source: Source, device: torch.device, dtype: str) -> LoadedModel:
    files: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if source.gguf_file is not None:
        files["gguf_file"] = source.gguf_file
    tokenizer = _tokenizers.from_pretrained(str(source.folder), **files)
    model, report = _models.from_pretrained(
        str(source.folder), dtype=dtype, device_map=device, output_loading_info=True, **files
    )
    missing = sorted(report["missing_keys"])
    if missing:
        # Transformers fills them with random numbers and goes on.
        raise ModelLoadError(
            f"{_describe(source)} is incomplete: {len(missing)} tensors are missing, "
            f"{missing[0]} for one"
        )
    return LoadedModel(name, model, tokenizer)


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise SettingsError(f"the option device is no device of PyTorch: {name!r}") from error


def _describe(source: Source) -> str:
    return repr(str(source.folder / (source.gguf_file or "")))
