"""OpenVINO's files, as sentence-transformers makes them: `openvino.py FOLDER PRECISION`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import nncf  # type: ignore[import-not-found]
import numpy as np
import openvino  # type: ignore[import-not-found]
from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found]

_NUM_CALIBRATION_TEXTS = 300  # sentence-transformers' own number
_CALIBRATION_TOKENS = (8, 128)


def main(folder: Path, precision: str) -> None:
    """Write openvino/openvino_model.xml or openvino/openvino_model_int8.xml."""
    if precision == "fp32":
        _export(folder)
    else:
        _quantise(folder)


def _export(folder: Path) -> None:
    """Export anew, even where a model lies in the folder already."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        kwargs = {"export": True}
        model = SentenceTransformer(
            str(folder), backend="openvino", device="cpu", model_kwargs=kwargs
        )
        model.save_pretrained(temporary)
        (folder / "openvino").mkdir(exist_ok=True)
        for path in (Path(temporary) / "openvino").iterdir():
            path.replace(folder / "openvino" / path.name)


def _quantise(folder: Path) -> None:
    """Quantise weights and activations, as sentence-transformers' static export does.

    Its own function calibrates with sentences from the hub; these are made here.
    """
    model = openvino.Core().read_model(folder / "openvino" / "openvino_model.xml")
    tokenizer = SentenceTransformer(str(folder), device="cpu").tokenizer
    names = {name for port in model.inputs for name in port.get_names()}

    def to_inputs(text: str) -> Mapping[str, object]:
        encoded = tokenizer(text, return_tensors="np")
        return {name: encoded[name].astype(np.int64) for name in names if name in encoded}

    quantised = nncf.quantize(
        model,
        nncf.Dataset(_calibration_texts(tokenizer.get_vocab()), to_inputs),
        subset_size=_NUM_CALIBRATION_TEXTS,
        model_type=nncf.ModelType.TRANSFORMER,
    )
    openvino.save_model(
        quantised, folder / "openvino" / "openvino_model_int8.xml", compress_to_fp16=False
    )


def _calibration_texts(vocabulary: Iterable[str]) -> list[str]:
    """Make texts of whole words, drawn from the vocabulary."""
    words = sorted(word for word in vocabulary if word.isascii() and word.isalpha())
    numbers = np.random.default_rng(0)
    lengths = numbers.integers(*_CALIBRATION_TOKENS, size=_NUM_CALIBRATION_TEXTS)
    return [" ".join(numbers.choice(words, size=length)) for length in lengths]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
