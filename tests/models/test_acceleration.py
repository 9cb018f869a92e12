"""Compiled, padded or recorded networks give the numbers of plain ones, and nobody waits for a compiler."""

import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rdserve.data import load
from rdserve.models import checkpoint
from rdserve.models.distributions.noise import NoiseKeys
from rdserve.models.execution.acceleration import GRAPH_SIZES, Padded, accelerate, networks, record_networks
from rdserve.models.execution.config import EXECUTION_VARIABLE, ExecutionConfig, chosen_execution
from rdserve.models.execution.cuda_graphs import Network, Play
from rdserve.models.ops import sample, score
from rdserve.models.vae import VAE, frozen
from rdserve.models.worker.worker import Worker
from torch import Tensor
from torch.distributions import Bernoulli

ZOO = Path(__file__).parents[2] / "zoo/digits"
IMAGES = torch.from_numpy(load("digits", split="test").images[:200]).float()
CPU = ExecutionConfig()
# Both encoders, both decoders.
MODELS = ("digits-mmm-b1.0", "digits-ppv-b1.0")


def model(name: str) -> VAE:
    """As a worker holds it."""
    return frozen(checkpoint.load(ZOO / name)[1])


@torch.inference_mode()
def scores(vae: VAE, n: int, config: ExecutionConfig = CPU) -> NDArray[np.float64]:
    """Rates and distortions of n digits, (2, n) nats."""
    ids = torch.arange(n, device=config.device)
    with config.computing():
        found = score(vae, IMAGES[:n].to(config.device), NoiseKeys(ids, ids), 1)
    return torch.stack([found.rate, found.distortion]).double().cpu().numpy()


@pytest.mark.parametrize("name", MODELS)
def test_padding_to_fixed_sizes_changes_nothing(name: str) -> None:
    plain, padded = model(name), model(name)
    sizes: list[int] = []

    def prepare(network: Network, *examples: Tensor) -> Network:
        sizes.append(len(examples[0]))
        return network

    assert len(networks(padded)) == 2
    for network in networks(padded):
        network.forward = Padded((1, 4, 16), partial(prepare, network.forward))
    for n in (1, 3, 16, 37):
        np.testing.assert_allclose(scores(padded, n), scores(plain, n), rtol=0, atol=1e-4)
    assert sorted(sizes) == [1, 1, 4, 4, 16, 16]


def test_what_fills_up_is_cut_off() -> None:
    seen: list[Tensor] = []

    def network(x: Tensor, y: Tensor) -> Tensor:
        seen.append(x)
        return x + y

    padded = Padded((2, 4), lambda *examples: network)
    x = torch.arange(7.0).reshape(7, 1)
    torch.testing.assert_close(padded(x, 2 * x), 3 * x)
    assert [each.flatten().tolist() for each in seen] == [[0, 1, 2, 3], [4, 5, 6, 0]]


@pytest.mark.slow
def test_after_the_warm_up_nothing_compiles() -> None:
    """With a quick backend: what makes torch compile again is the same with all."""
    from torch._dynamo.utils import counters

    torch.compiler.reset()
    counters.clear()
    vae = model(MODELS[0])
    accelerate(vae, ExecutionConfig(execution="compile"), (8, 8), compiler="aot_eager")
    compiled = counters["stats"]["unique_graphs"]
    assert compiled > 0
    for n in (1, 2, 3, 7, 15, 16, 17, 64, 200):
        scores(vae, n)
    assert counters["stats"]["unique_graphs"] == compiled
    with pytest.raises(ValueError, match="constraint"):  # laws still refuse what a broken network gives them
        Bernoulli(probs=torch.tensor(float("nan")))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler here")
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch, of itself
def test_a_compiled_network_moves_no_number() -> None:
    """The decoder; one takes long enough to compile."""
    torch.compiler.reset()
    plain, compiled = model(MODELS[0]), model(MODELS[0])
    decoder = networks(compiled)[1]
    decoder.forward = torch.compile(decoder.forward, dynamic=True)
    difference = np.abs(scores(compiled, 200) - scores(plain, 200))
    assert difference.max() < 1e-3
    assert difference.max() > 0  # other code ran


def again(work: Play) -> Play:
    """A recorder that needs no GPU. What lies in memory then is as after a real recording."""
    work()
    return work


@torch.inference_mode()
def drawn(vae: VAE, seed: int, n: int, config: ExecutionConfig = CPU) -> Tensor:
    """(n, 8, 8) images."""
    keys = NoiseKeys(torch.full((n,), seed, device=config.device), torch.arange(n, device=config.device))
    with config.computing():
        return sample(vae, keys, 1).images[:, 0].cpu()


@pytest.mark.parametrize("name", MODELS)
def test_what_was_recorded_is_of_no_consequence(name: str) -> None:
    """Buffers that hold an older batch give the numbers, and the pixels, of new ones."""
    plain, recorded = model(name), model(name)
    record_networks(recorded, lambda: again)
    for seed, n in enumerate((16, 16, 3, 37, 16)):
        np.testing.assert_allclose(scores(recorded, n), scores(plain, n), rtol=0, atol=1e-4)
        assert torch.equal(drawn(recorded, seed, n), drawn(plain, seed, n))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("name", MODELS)
def test_graphs_give_what_plain_networks_give(name: str) -> None:
    config = ExecutionConfig(torch.device("cuda"), execution="graphs")
    plain, recorded = (frozen(checkpoint.load(ZOO / name, "cuda")[1]) for _ in range(2))
    accelerate(recorded, config, (8, 8))
    for n in (1, 3, 100, GRAPH_SIZES[4]):
        np.testing.assert_allclose(scores(recorded, n, config), scores(plain, n, config), rtol=0, atol=1e-3)
        # A pixel whose probability lies within rounding of its u may turn, and with it those after it.
        same = (drawn(recorded, n, n, config) == drawn(plain, n, n, config)).all(dim=(1, 2))
        assert same.float().mean() > 0.9


def test_a_worker_says_how_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_execution() == "eager"
    monkeypatch.setenv(EXECUTION_VARIABLE, "graphs")
    assert chosen_execution() == "graphs"
    assert ExecutionConfig(execution="compile").device_name == f"{ExecutionConfig().device_name} compile"
    assert not Worker.load(ZOO / MODELS[0]).config.device_name.endswith("compile")
