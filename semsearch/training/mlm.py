"""A masked language model and its loss; imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForMaskedLM, BertConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING

from semsearch.encoder.quiet import quiet
from semsearch.errors import EncoderError


class MaskedLoss:
    """Cross-entropy over the masked positions of a model with a masked-language-model head.

    The head over the vocabulary costs more than a small body. It looks at one position at a
    time, so that the states of the body are reduced to the masked ones before it sees them: 15%
    of its work, whether it is that of BERT, RoBERTa, ELECTRA, DistilBERT, ALBERT or ModernBERT.
    A head that gives other values then is left to see all of them.
    """

    def __init__(self, model: Any) -> None:
        """Take `model`, of AutoModelForMaskedLM, and see whether its head can be spared."""
        self._mask: Any = None
        self.sparse = False
        if model.base_model is not model:
            hook = model.base_model.register_forward_hook(self._reduce)
            self.sparse = self._agrees(model)
            if not self.sparse:
                hook.remove()

    def __call__(self, model: Any, batch: dict[str, Any]) -> Any:
        """The sum over a batch; `labels` hold the token to guess, and -100 elsewhere."""
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        mask = batch["labels"] != -100
        logits = self._logits(model, inputs, mask)
        targets = batch["labels"][mask]
        return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum")

    def _logits(self, model: Any, inputs: dict[str, Any], mask: Any) -> Any:
        """(m, v) for the m masked positions."""
        if not self.sparse:
            return model(**inputs).logits[mask]
        self._mask = mask
        try:
            return model(**inputs).logits[0]
        finally:
            self._mask = None

    def _reduce(self, _body: Any, _inputs: Any, output: Any) -> Any:
        if self._mask is not None:
            output["last_hidden_state"] = output["last_hidden_state"][self._mask][None]
        return output

    def _agrees(self, model: Any) -> bool:
        """Whether the head gives the same for some positions as for all."""
        ids = torch.arange(14, device=model.device).reshape(2, 7)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        mask = ids % 3 == 0
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                self.sparse = False
                expected = self._logits(model, inputs, mask)
                self.sparse = True
                found = self._logits(model, inputs, mask)
        except (RuntimeError, TypeError, KeyError, IndexError):
            return False
        finally:
            model.train(training)
        same_shape = found.shape == expected.shape
        return same_shape and bool(torch.allclose(found, expected, atol=1e-4))


def dev_loss(model: Any, loss: MaskedLoss, batches: Any) -> tuple[float, int]:
    """The mean loss of the masked tokens of all batches, and how many they are."""
    total, asked = 0.0, 0
    model.eval()
    with torch.no_grad():
        for number in range(len(batches)):
            batch = {name: value.to(model.device) for name, value in batches[number].items()}
            total += float(loss(model, batch))
            asked += int((batch["labels"] != -100).sum())
    return total / max(1, asked), asked


def new_masked_lm(
    vocab_size: int, layers: int, width: int, heads: int, max_length: int, attention: str | None
) -> Any:
    """A BERT with random weights, its feed-forward layers four times as wide."""
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=max_length,
    )
    return AutoModelForMaskedLM.from_config(config, attn_implementation=attention)


def load_masked_lm(body: Path, name: str, attention: str | None) -> Any:
    """The model of a directory with a masked-language-model head, a new one if it has none.

    Args:
        body: where its weights lie.
        name: what the user calls it.
        attention: how it is computed, "eager" or "sdpa"; None for what Transformers prefers.

    Raises:
        EncoderError: its architecture has no such head, or it cannot be loaded.
    """
    with quiet():
        try:
            config = AutoConfig.from_pretrained(body, local_files_only=True)
            if type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
                raise EncoderError(
                    f"{name}: Transformers has no masked language model for {config.model_type}."
                )
            model = AutoModelForMaskedLM.from_pretrained(
                body,
                config=config,
                local_files_only=True,
                use_safetensors=True,
                attn_implementation=attention,
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EncoderError(f"{name}: Transformers cannot load it: {reason[:200]}") from error
    return model.float()


def replace_vocabulary(model: Any, old: Any, new: Any) -> None:
    """Give a model the embeddings of other tokens.

    A token that both have keeps its own; another one starts as the mean of the old pieces that
    it is written with.

    Args:
        old: the tokenizer of Transformers that the model knows.
        new: the one that it is to know.
    """
    rows = model.get_input_embeddings().weight.detach().clone()
    known = old.get_vocab()
    made = rows.mean(dim=0).repeat(len(new), 1)
    for token, number in new.get_vocab().items():
        if token in known:
            made[number] = rows[known[token]]
        elif pieces := old(token.removeprefix("##"), add_special_tokens=False)["input_ids"]:
            made[number] = rows[pieces].mean(dim=0)
    model.resize_token_embeddings(len(new), mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(made)
        head = model.get_output_embeddings()
        if head is not None and getattr(head, "bias", None) is not None:
            head.bias.zero_()
    model.config.pad_token_id = new.pad_token_id
