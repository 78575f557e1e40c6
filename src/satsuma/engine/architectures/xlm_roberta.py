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
from satsuma.engine.architectures.numbers import positive, require
from satsuma.engine.architectures.tensors import Linear
from satsuma.errors import UnsupportedModelError

MODEL_TYPES = ("xlm-roberta", "roberta", "camembert")
_USUAL_PADDING_ID = 1
_USUAL_LABELS = ("no", "yes")  # where config.json names none


@dataclass(frozen=True, slots=True)
class ClassifierConfig:
    """An encoder, and the head that scores a text by its first token.

    Attributes:
        encoder: its numbers.
    """

    encoder: bert.BertConfig

    @property
    def hidden_size(self) -> int:
        """Width of the result: the score."""
        return 1

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
        score = Linear.named("classifier.out_proj", 1, hidden)
        return add_denses(self.encoder.blueprint(names), (Dense(dense, "tanh"), Dense(score)))


def parse(config: Mapping[str, Any]) -> bert.BertConfig | ClassifierConfig:
    """Read config.json's numbers.

    Raises:
        UnsupportedModelError: as `bert.parse`, and of a classifier that gives several scores.
    """
    num_rows = positive(config, "max_position_embeddings")
    padding_id = config.get("pad_token_id", _USUAL_PADDING_ID)
    if type(padding_id) is not int or not 0 <= padding_id < num_rows - 2:
        raise UnsupportedModelError(
            f"config.json has pad_token_id {padding_id!r}; a row of its positions is needed."
        )
    # RoBERTa numbers a text's tokens from the row that follows the padding's.
    encoder = replace(bert.parse(config), first_position=padding_id + 1, prefixes=("roberta.",))
    names = config.get("architectures") or ()
    if any(name.endswith("ForSequenceClassification") for name in names):
        require("the number of labels", len(config.get("id2label", _USUAL_LABELS)), (1,))
        return ClassifierConfig(encoder)
    return encoder
