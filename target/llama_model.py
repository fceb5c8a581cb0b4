"""A tiny Mixtral with random weights, made on the spot: a real model to a real engine, and noise to its reader.

Eight experts of which two are used, grouped-query attention, a byte-level BPE vocabulary and a ChatML template: about
two million parameters, written in less than a second.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from .prose import about

CONTEXT = 2048
_SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
_LARGEST_VOCABULARY = 1024
_WIDTH, _LAYERS, _HEADS, _KV_HEADS, _FEED_FORWARD = 128, 3, 4, 2, 256
_EXPERTS, _EXPERTS_USED = 8, 2
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write(path: Path, seed: int) -> None:
    """Write the model as a GGUF file; the same seed gives the same weights."""
    writer = GGUFWriter(str(path), "llama")  # Mixtral is that architecture, with experts
    writer.add_name("mixtral-tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_FEED_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_KV_HEADS)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_expert_count(_EXPERTS)
    writer.add_expert_used_count(_EXPERTS_USED)
    pieces = _add_vocabulary(writer)
    _add_weights(writer, pieces, np.random.default_rng(seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: GGUFWriter) -> int:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=_LARGEST_VOCABULARY,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((about(f"topic {number}", number) for number in range(20)), trainer)
    places = tokenizer.get_vocab()
    pieces = sorted(places, key=places.__getitem__)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_vocab_size(len(pieces))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(pieces)
    writer.add_token_types([TokenType.CONTROL if piece in _SPECIAL else TokenType.NORMAL for piece in pieces])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_bos_token_id(_SPECIAL.index("<s>"))
    writer.add_eos_token_id(_SPECIAL.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(_TEMPLATE)
    return len(pieces)


def _add_weights(writer: GGUFWriter, pieces: int, rng: np.random.Generator) -> None:
    def noise(name: str, *shape: int) -> None:
        writer.add_tensor(name, (rng.standard_normal(shape) * 0.08).astype(np.float32))

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(_WIDTH, dtype=np.float32))

    narrow = _WIDTH * _KV_HEADS // _HEADS
    noise("token_embd.weight", pieces, _WIDTH)
    noise("output.weight", pieces, _WIDTH)
    ones("output_norm.weight")
    for layer in range(_LAYERS):
        block = f"blk.{layer}"
        ones(f"{block}.attn_norm.weight")
        ones(f"{block}.ffn_norm.weight")
        noise(f"{block}.attn_q.weight", _WIDTH, _WIDTH)
        noise(f"{block}.attn_k.weight", narrow, _WIDTH)
        noise(f"{block}.attn_v.weight", narrow, _WIDTH)
        noise(f"{block}.attn_output.weight", _WIDTH, _WIDTH)
        noise(f"{block}.ffn_gate_inp.weight", _EXPERTS, _WIDTH)
        noise(f"{block}.ffn_gate_exps.weight", _EXPERTS, _FEED_FORWARD, _WIDTH)
        noise(f"{block}.ffn_up_exps.weight", _EXPERTS, _FEED_FORWARD, _WIDTH)
        noise(f"{block}.ffn_down_exps.weight", _EXPERTS, _WIDTH, _FEED_FORWARD)
