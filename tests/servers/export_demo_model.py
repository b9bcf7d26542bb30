"""Writes the demo model as a folder in the form of Hugging Face's transformers.

Called with the folder that has ``demo.gguf``, and the folder to write.
"""

from __future__ import annotations

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer


def main(source: str, target: str) -> None:
    """Write the folder."""
    packed = AutoModelForCausalLM.from_pretrained(source, gguf_file="demo.gguf")
    # Read from a GGUF file a model counts as quantised, and those are not written.
    del packed.config.quantization_config
    plain = AutoModelForCausalLM.from_config(packed.config)
    plain.load_state_dict(packed.state_dict())
    plain.save_pretrained(target)
    AutoTokenizer.from_pretrained(source, gguf_file="demo.gguf").save_pretrained(target)


main(*sys.argv[1:])
