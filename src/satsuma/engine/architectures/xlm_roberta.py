"""XLM-R and RoBERTa: BERT with positions counted from beyond the padding's, and one type of tokens.

bge-m3, bge-reranker-base, multilingual e5, all-distilroberta. A sequence classifier has its head
here: what it gives for a text's first token is the text's score.

Source: Conneau et al. 2019, https://arxiv.org/abs/1911.02116; Liu et al. 2019,
https://arxiv.org/abs/1907.11692; the names are those of
https://huggingface.co/docs/transformers/model_doc/xlm-roberta
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from satsuma.engine.architectures import bert
from satsuma.engine.architectures.blueprint import Blueprint, Dense, add_denses
from satsuma.engine.architectures.numbers import positive
from satsuma.engine.architectures.tensors import Linear
from satsuma.errors import UnsupportedModelError

MODEL_TYPES = ("xlm-roberta", "roberta", "camembert")
_USUAL_PADDING_ID = 1


@dataclass(frozen=True, slots=True)
class ClassifierConfig:
    """An encoder, and the head that scores a text by its first token.

    Attributes:
        encoder: its numbers.
        num_labels: scores of a text.
    """

    encoder: bert.BertConfig
    num_labels: int

    @property
    def hidden_size(self) -> int:
        """Width of the result: the scores."""
        return self.num_labels

    @property
    def vocab_size(self) -> int:
        """Rows of the table of words."""
        return self.encoder.vocab_size

    @property
    def max_tokens(self) -> int:
        """Longest item."""
        return self.encoder.max_tokens

    @property
    def gives_scores(self) -> bool:
        """A classifier."""
        return True

    def blueprint(self, names: Collection[str]) -> Blueprint:
        """List the steps; see `EncoderConfig`."""
        hidden = self.encoder.hidden_size
        dense = Linear.named("classifier.dense", hidden, hidden)
        scores = Linear.named("classifier.out_proj", self.num_labels, hidden)
        return add_denses(self.encoder.blueprint(names), (Dense(dense, "tanh"), Dense(scores)))


def parse(config: Mapping[str, Any]) -> bert.BertConfig | ClassifierConfig:
    """Read config.json's numbers.

    Raises:
        UnsupportedModelError: as `bert.parse`.
    """
    num_rows = positive(config, "max_position_embeddings")
    padding_id = config.get("pad_token_id", _USUAL_PADDING_ID)
    if type(padding_id) is not int or not 0 <= padding_id < num_rows - 2:
        raise UnsupportedModelError(
            f"config.json has pad_token_id {padding_id!r}; a row of its positions is needed."
        )
    # RoBERTa numbers a text's tokens from the row that follows the padding's.
    encoder = replace(bert.parse(config), first_position=padding_id + 1, prefixes=("roberta.",))
    if any(name.endswith("ForSequenceClassification") for name in config.get("architectures", ())):
        labels = config.get("id2label", {"0": "", "1": ""})
        return ClassifierConfig(encoder, positive({"num_labels": len(labels)}, "num_labels"))
    return encoder
