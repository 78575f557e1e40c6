"""The engine on PyTorch, on its build for the CPU: every family, half precisions, memory.

Runs where PyTorch is: tests/functional/test_torch_units.py.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is in an environment of its own")

import torch
from safetensors.numpy import load_file, save_file
from support.engines import load_local
from support.families import CONFIGS, random_items, write_family

from satsuma.engine.protocol import DeviceEncoder, Encoder, Microbatch, Width
from satsuma.engine.pytorch import backend, encoder, places, program
from satsuma.engine.pytorch.inputs import Inputs, send
from satsuma.engine.pytorch.places import Places
from satsuma.errors import EngineError, UnsupportedModelError
from satsuma.store.manifest import ModelFiles
from satsuma.types import FloatArray, Precision

LENGTHS = (1, 2, 9, 40, 120)
CPU = torch.device("cpu")
TOLERANCE = 1e-5  # between engines in fp32, of hidden states of about unit size
# The least cosine of a token's hidden state to fp32's, and of a text's alone to its own in a mix.
LEAST_COSINES = {Precision.FP16: 0.9999, Precision.BF16: 0.999}
NEIGHBOUR_COSINES = {Precision.FP32: 0.999999, Precision.FP16: 0.9999, Precision.BF16: 0.999}


@pytest.fixture(scope="module", params=[*CONFIGS])
def family(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    all_minilm_files: ModelFiles,
) -> Path:
    """A family's encoder, with random weights."""
    place = tmp_path_factory.mktemp("pytorch") / request.param
    tokenizer_json = all_minilm_files.folder / "tokenizer.json"
    return write_family(place, request.param, tokenizer_json, has_modules=False)


@pytest.fixture
def bert(tmp_path: Path, all_minilm_files: ModelFiles) -> Path:
    """One family of its own, for tests that change it."""
    tokenizer_json = all_minilm_files.folder / "tokenizer.json"
    return write_family(tmp_path / "bert", "xlm_roberta", tokenizer_json, has_modules=False)


@cache
def encoder_of(folder: Path, precision: Precision = Precision.FP32) -> Encoder:
    """A family's encoder, loaded once for all tests."""
    return load_local(folder, engine="torch", precision=precision).encoder


def states_of(encoder: Encoder, lengths: tuple[int, ...] = LENGTHS) -> FloatArray:
    """Encode random texts in one microbatch."""
    return encoder.encode(Microbatch.pack(random_items(lengths)), Width.ONE_LANE)


def least_cosine(one: FloatArray, other: FloatArray) -> float:
    """Of two (T, H), row by row; a classifier's rows of one value count together."""
    if one.shape[1] == 1:
        one, other = one.T, other.T
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / norms).min())


def test_every_family_equals_the_native_engine(family: Path) -> None:
    """In fp32, in every value."""
    native = states_of(load_local(family, engine="native").encoder)
    scale = max(1.0, float(np.sqrt(np.mean(native**2))))
    states = states_of(encoder_of(family))
    np.testing.assert_allclose(states, native, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("precision", [*LEAST_COSINES])
def test_half_precisions_point_the_same_way(family: Path, precision: Precision) -> None:
    """Every token's hidden state; a model that goes beyond fp16 says so."""
    if (family.name, precision) == ("gemma3", Precision.FP16):
        with pytest.raises(EngineError, match="use --precision bf16"):
            load_local(family, engine="torch", precision=precision)
        return
    whole, half = states_of(encoder_of(family)), states_of(encoder_of(family, precision))
    assert half.dtype == np.float32
    assert least_cosine(half, whole) > LEAST_COSINES[precision]


@pytest.mark.parametrize("precision", [*NEIGHBOUR_COSINES])
def test_neighbours_change_next_to_nothing(family: Path, precision: Precision) -> None:
    """A text alone, and among others."""
    if (family.name, precision) == ("gemma3", Precision.FP16):
        pytest.skip("refused")
    encoder = encoder_of(family, precision)
    alone = [encoder.encode(Microbatch.pack([one]), Width.ONE_CORE) for one in random_items()]
    assert least_cosine(np.concatenate(alone), states_of(encoder)) > NEIGHBOUR_COSINES[precision]


def test_a_microbatch_travels_in_one_piece() -> None:
    """Tokens, places and starts, in what the kernels take."""
    inputs = send(Microbatch(np.array([7, 8, 9]), np.array([1, 2])), CPU)
    assert inputs.token_ids.tolist() == [7, 8, 9]
    assert inputs.positions.tolist() == [0, 0, 1]
    assert inputs.starts.tolist() == [0, 1, 3]
    assert {inputs.token_ids.dtype, inputs.starts.dtype} == {torch.int32}


class SmallMemory:
    """A program that fits a few tokens at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most_tokens: int) -> None:
        """Stand in front of the real one."""
        self.runs: list[tuple[int, ...]] = []
        run = program.Program.run

        def guarded(self_: program.Program, inputs: Inputs) -> torch.Tensor:
            self.runs.append(inputs.lengths)
            if sum(inputs.lengths) > most_tokens:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return run(self_, inputs)

        monkeypatch.setattr(program.Program, "run", guarded)


def test_what_does_not_fit_the_memory_runs_in_halves(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And gives what it would have given whole, in its order."""
    encoder = load_local(bert, engine="torch").encoder
    lengths = (30, 2, 9, 40, 35, 8)
    whole = states_of(encoder, lengths)
    memory = SmallMemory(monkeypatch, most_tokens=50)
    np.testing.assert_allclose(states_of(encoder, lengths), whole, rtol=0, atol=TOLERANCE)
    halves = [(30, 2, 9, 40), (30, 2, 9), (40,), (35, 8)]
    assert memory.runs == [lengths, *halves]
    assert isinstance(encoder, DeviceEncoder)
    assert encoder.num_cuts == 2


def test_a_cut_is_told_once_for_a_size(
    bert: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that cuts all day would say nothing else."""
    loaded = load_local(bert, engine="torch").encoder
    SmallMemory(monkeypatch, most_tokens=50)
    encoder._tell_of_cut.cache_clear()
    for lengths in ((40, 40), (30, 45), (40, 40, 40)):
        states_of(loaded, lengths)
    told = [line.split("up to ")[1].split(",")[0] for line in caplog.messages if "cut" in line]
    assert told == ["128 tokens"]


class _BusyMemory:
    """A program that lacks memory for its first run, while another run has it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        """Stand in front of the real one."""
        self.num_runs = 0
        self.has_failed = threading.Event()
        run = program.Program.run

        def guarded(self_: program.Program, inputs: Inputs) -> torch.Tensor:
            self.num_runs += 1
            if self.num_runs == 1:
                self.has_failed.set()
                raise error
            return run(self_, inputs)

        monkeypatch.setattr(program.Program, "run", guarded)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError(
            "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"
        ),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_a_text_waits_for_the_memory_of_another_run(
    bert: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """It is tried once more when the device is its own."""
    loaded = load_local(bert, engine="torch").encoder
    assert isinstance(loaded, encoder.TorchEncoder)
    loaded._places = Places([CPU])
    memory = _BusyMemory(monkeypatch, error)
    with ThreadPoolExecutor(1) as lane:
        with loaded._places.lend(Width.ONE_LANE):
            waiting = lane.submit(states_of, loaded, (9,))
            assert memory.has_failed.wait(30)
            assert memory.num_runs == 1
        assert waiting.result(30).shape[0] == 9
    assert memory.num_runs == 2


def test_new_runs_wait_for_one_that_wants_the_device() -> None:
    """Or it would never have it; other devices take them meanwhile."""
    places = Places([CPU, CPU])
    with ExitStack() as runs:
        one = runs.enter_context(places.lend(Width.ONE_LANE))
        runs.enter_context(places.clear(one))
        others = [runs.enter_context(places.lend(Width.ONE_LANE)) for _ in range(2)]
        assert [one.number, *(other.number for other in others)] == [0, 1, 1]


def test_a_device_is_not_waited_for_for_ever() -> None:
    """A run that hangs holds up nobody else's for good."""
    places = Places([CPU])
    with ExitStack() as runs:
        one, _ = (runs.enter_context(places.lend(Width.ONE_LANE)) for _ in range(2))
        runs.enter_context(places.clear(one, within_s=0.0))


def test_a_text_that_does_not_fit_alone_is_an_error(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing left to cut."""
    loaded = load_local(bert, engine="torch").encoder
    SmallMemory(monkeypatch, most_tokens=50)
    with pytest.raises(EngineError, match="A text of 60 tokens does not fit the device's memory"):
        states_of(loaded, (3, 60))


def test_a_failure_of_pytorch_is_an_engine_s(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler tries each item alone then."""

    def fail(_self: program.Program, _inputs: Inputs) -> torch.Tensor:
        raise RuntimeError("device-side assert")

    loaded = load_local(bert, engine="torch").encoder
    monkeypatch.setattr(program.Program, "run", fail)
    with pytest.raises(EngineError, match="PyTorch failed: device-side assert"):
        states_of(loaded)


_ILLEGAL = "CUDA error: an illegal memory access was encountered"


@pytest.mark.parametrize(
    ("then", "trouble"),
    [
        (torch.AcceleratorError(f"{_ILLEGAL}\nCompile with `TORCH_USE_CUDA_DSA`"), _ILLEGAL),
        (torch.OutOfMemoryError("CUDA out of memory"), ""),
        (None, ""),
    ],
    ids=["lost", "full", "well"],
)
def test_a_card_that_fails_for_good_is_told(
    bert: Path, monkeypatch: pytest.MonkeyPatch, then: Exception | None, trouble: str
) -> None:
    """One that computes the next thing is not lost, nor one whose memory is full."""

    def fail(*_: object) -> None:
        raise torch.AcceleratorError(_ILLEGAL)

    def compute_on(_device: torch.device) -> None:
        if then is not None:
            raise then

    loaded = load_local(bert, engine="torch").encoder
    assert isinstance(loaded, encoder.TorchEncoder)
    loaded._places = Places([CPU])
    states_of(loaded)
    monkeypatch.setattr(program.Program, "run", fail)
    monkeypatch.setattr(places, "compute_on", compute_on)
    assert isinstance(loaded, DeviceEncoder)
    assert not loaded.trouble
    with pytest.raises(EngineError, match="PyTorch failed: CUDA error: an illegal"):
        states_of(loaded)
    assert loaded.trouble.rpartition("anew: ")[2] == trouble


def test_values_beyond_fp16_name_what_holds_them(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some models are known for it; the other half precision has fp32's range."""

    def overflow(_self: program.Program, inputs: Inputs) -> torch.Tensor:
        states = torch.ones(sum(inputs.lengths), 32)
        states[0, 3] = torch.inf
        return states

    loaded = [load_local(bert, engine="torch", precision=one).encoder for one in ("fp16", "bf16")]
    monkeypatch.setattr(program.Program, "run", overflow)
    with pytest.raises(EngineError, match="beyond fp16; use --precision bf16 or fp32"):
        states_of(loaded[0])
    assert np.isinf(states_of(loaded[1])).any()  # the scheduler refuses them


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("20 GiB"), "The model does not fit the device's memory: 20 GiB"),
        (RuntimeError("no kernel image"), "PyTorch failed to load the model: no kernel image"),
    ],
)
def test_a_model_that_a_device_does_not_take_is_explained(
    bert: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    """As an engine's failure, whichever it is."""

    def fail(_folder: Path, _device: torch.device) -> None:
        raise error

    monkeypatch.setattr(backend, "read_tensors", fail)
    with pytest.raises(EngineError, match=message):
        load_local(bert, engine="torch")


def test_runs_go_to_the_device_with_the_fewest() -> None:
    """Several cards share what waits; here they are the CPU, several times."""
    places = Places([CPU, CPU, CPU])
    with places.lend(Width.ONE_LANE) as one, places.lend(Width.ONE_LANE) as other:
        with places.lend(Width.ONE_CORE) as third, places.lend(Width.ONE_LANE) as fourth:
            assert {one.number, other.number, third.number} == {0, 1, 2}
            assert fourth.number == 0
        with places.lend(Width.ONE_LANE) as again:
            assert again.number == 2


def test_each_device_has_the_weights(bert: Path) -> None:
    """Whichever of them a run goes to, the vectors are the same."""
    loaded = load_local(bert, engine="torch").encoder
    assert isinstance(loaded, encoder.TorchEncoder)
    expected = states_of(loaded)
    assert loaded._programs is not None
    loaded._programs = [loaded._programs[0]] * 2
    loaded._places = Places([CPU, CPU])
    with loaded._places.lend(Width.ONE_LANE) as seat:
        assert seat.number == 0
        np.testing.assert_allclose(states_of(loaded), expected, rtol=0, atol=TOLERANCE)


def test_weights_beyond_fp16_are_refused(bert: Path) -> None:
    """They would become infinite."""
    path = bert / "model.safetensors"
    tensors = load_file(path)
    tensors["encoder.layer.1.output.dense.weight"][3, 5] = 1e6
    save_file(tensors, path)
    load_local(bert, engine="torch", precision="bf16")
    with pytest.raises(UnsupportedModelError, match="not finite in fp16"):
        load_local(bert, engine="torch", precision="fp16")


def test_int8_is_refused(bert: Path) -> None:
    """Nobody gets another precision than asked for."""
    with pytest.raises(EngineError, match="int8 needs the native engine"):
        load_local(bert, engine="torch", precision="int8")
