"""Tiny encoders of every architecture that Transformers has for sentences, made from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BACKBONES = (
    "bert",
    "roberta",
    "albert",
    "xlnet",
    "ernie",
    "electra",
    "distilbert",
    "modernbert",
)
"""BERT-wwm and MacBERT are BERTs that were pre-trained in another way: they load as `bert`."""


def build_backbone(kind: str, path: Path, tokenizer_from: Path, layers: int = 4) -> Path:
    """A plain Transformers directory with random weights and the tokenizer of another."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerFast

    words = AutoTokenizer.from_pretrained(tokenizer_from)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words.backend_tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    )
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **_shape(kind, len(tokenizer), layers))
    model = AutoModel.from_config(config)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def _shape(kind: str, vocabulary: int, layers: int) -> dict[str, Any]:
    common: dict[str, Any] = {"vocab_size": vocabulary, "pad_token_id": 0}
    if kind == "distilbert":
        return {**common, "dim": 32, "n_layers": layers, "n_heads": 4, "hidden_dim": 64}
    if kind == "xlnet":
        return {**common, "d_model": 32, "n_layer": layers, "n_head": 4, "d_inner": 64}
    shape = {
        **common,
        "hidden_size": 32,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 80,
        "embedding_size": 32,
    }
    if kind == "albert":  # its published ones have none
        shape |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    if kind == "modernbert":
        shape |= {"embedding_dropout": 0.1, "mlp_dropout": 0.1, "global_attn_every_n_layers": 2}
        shape |= {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    return shape
