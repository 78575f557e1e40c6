"""A GGUF file for llama.cpp, as its own script lays a BERT out: `gguf.py FOLDER PRECISION`.

The script itself is in llama.cpp's repository and in no package; the names of tensors and keys
come from the `gguf` package.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf  # type: ignore[import-not-found]
import numpy.typing as npt
from safetensors.numpy import load_file

_WORD_START = "\u2581"
_FILE_TYPES = {
    "fp32": gguf.LlamaFileType.ALL_F32,
    "int8": gguf.LlamaFileType.MOSTLY_Q8_0,
}
_WHOLE = ("position_embd", "token_types")  # llama.cpp keeps these two in full precision


def main(folder: Path, precision: str) -> None:
    """Write gguf/model_PRECISION.gguf; int8 is Q8_0, a scale for each 32 weights."""
    target = folder / "gguf" / f"model_{precision}.gguf"
    target.parent.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(target, "bert")
    config = _read_json(folder / "config.json")
    _add_sizes(writer, config, folder)
    _add_vocabulary(writer, folder, config)
    writer.add_file_type(_FILE_TYPES[precision])
    _add_tensors(writer, folder, config["num_hidden_layers"], precision)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _add_sizes(writer: Any, config: Mapping[str, Any], folder: Path) -> None:
    pooling = _read_json(folder / "1_Pooling" / "config.json")
    is_cls = pooling["pooling_mode_cls_token"]
    writer.add_name(folder.name)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.CLS if is_cls else gguf.PoolingType.MEAN)


def _add_vocabulary(writer: Any, folder: Path, config: Mapping[str, Any]) -> None:
    vocabulary = _read_json(folder / "tokenizer.json")["model"]["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    types = [gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens]
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(config["type_vocab_size"])
    writer.add_token_list([_spell(token) for token in tokens])
    writer.add_token_types(types)
    writer.add_bos_token_id(vocabulary["[CLS]"])
    writer.add_sep_token_id(vocabulary["[SEP]"])
    writer.add_unk_token_id(vocabulary["[UNK]"])
    writer.add_pad_token_id(vocabulary["[PAD]"])
    writer.add_mask_token_id(vocabulary["[MASK]"])


def _spell(token: str) -> str:
    """Mark the start of a word, where WordPiece marks its continuation."""
    if token.startswith("[") and token.endswith("]"):
        return token
    return token[2:] if token.startswith("##") else _WORD_START + token


def _add_tensors(writer: Any, folder: Path, num_layers: int, precision: str) -> None:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, num_layers)
    for name, tensor in load_file(folder / "model.safetensors").items():
        if name.startswith("pooler.") or name.endswith("position_ids"):
            continue  # no pooling uses them
        short = names.get_name(name, try_suffixes=(".weight", ".bias"))
        _add_tensor(writer, short, tensor, precision)


def _add_tensor(writer: Any, name: str, tensor: npt.NDArray[Any], precision: str) -> None:
    if precision == "fp32" or tensor.ndim == 1 or name.startswith(_WHOLE):
        writer.add_tensor(name, tensor)
        return
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
