"""Write the trained folder as a GGUF file.

Use: python training/export.py build/hf src/andon_demo_model/demo.gguf --type q8_0
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, quants
from numpy.typing import NDArray
from safetensors.numpy import load_file

TYPES = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}
NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}  # fmt: skip
Config = dict[str, Any]


def gguf_name(name: str) -> str:
    """The GGUF name of a Hugging Face tensor."""
    name = name.removeprefix("model.").removesuffix(".weight")
    if name == "embed_tokens":
        return "token_embd.weight"
    if name == "norm":
        return "output_norm.weight"
    _, layer, part = name.split(".", 2)
    return f"blk.{layer}.{NAMES[part]}.weight"


def interleave(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Reorder the rows of each head from halves (Hugging Face) to pairs (llama.cpp's rope)."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def add_model(writer: GGUFWriter, config: Config, kind: LlamaFileType) -> None:
    """General facts and the shape of the model."""
    writer.add_name("andon demo model")
    writer.add_description("A very small chat model for trying and testing andon.")
    writer.add_license("Apache-2.0")
    writer.add_organization("andon")
    writer.add_languages(["en"])
    writer.add_size_label("3.7M")
    writer.add_file_type(kind)
    writer.add_quantization_version(2)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def add_tokenizer(writer: GGUFWriter, folder: Path, config: Config) -> None:
    """Tokens, merges, control tokens and the chat template."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    ids = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
    control = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    words = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    merges = [pair if isinstance(pair, str) else " ".join(pair)
              for pair in tokenizer["model"]["merges"]]  # fmt: skip
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([token for token, _ in ids])
    writer.add_token_types(
        [TokenType.CONTROL if token in control else TokenType.NORMAL for token, _ in ids]
    )
    writer.add_token_merges(merges)
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_eot_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(words["chat_template"])


def add_tensors(writer: GGUFWriter, folder: Path, config: Config, kind: str) -> None:
    """The weights; vectors stay in fp32."""
    for name, weight in load_file(folder / "model.safetensors").items():
        weight = weight.astype(np.float32)
        if name.endswith("q_proj.weight"):
            weight = interleave(weight, config["num_attention_heads"])
        elif name.endswith("k_proj.weight"):
            weight = interleave(weight, config["num_key_value_heads"])
        wanted = TYPES["f32" if weight.ndim == 1 else kind][0]
        data = quants.quantize(np.ascontiguousarray(weight), wanted)
        writer.add_tensor(gguf_name(name), data, raw_dtype=wanted)


def export(folder: Path, out: Path, kind: str) -> None:
    """Write `out` from the Hugging Face folder, in one of the three types."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    out.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(out, "llama")
    add_model(writer, config, TYPES[kind][1])
    add_tokenizer(writer, folder, config)
    add_tensors(writer, folder, config, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--type", choices=TYPES, default="q8_0")
    options = parser.parse_args()
    export(options.folder, options.out, options.type)
    print(f"{options.out}: {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
