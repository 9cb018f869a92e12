"""Models that others made, served beside ours: every operation over the wire, whatever x and z they have."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import torch
from front import Front
from onnx import helper
from own_models import Encoder, bits, graph, made
from rdserve.client import Client, FailedPrecondition, InvalidArgument
from rdserve.compare import compare
from rdserve.models.card import read_card, sha256_of, write_card
from rdserve.v1 import vae_pb2, vae_pb2_grpc
from torch import Tensor, nn

pytestmark = pytest.mark.slow


def levels(n: int = 12) -> Tensor:
    return torch.randint(0, 5, (n, 2, 3), generator=torch.Generator().manual_seed(2)).float()


def colours(n: int = 12) -> Tensor:
    return torch.randint(0, 256, (n, 3, 4, 4), generator=torch.Generator().manual_seed(3)).to(torch.uint8)


class Codes(nn.Module):
    """Which of four patches is brightest, as codes (2, 2); and from codes a colour each."""

    def __init__(self) -> None:
        super().__init__()
        self.colour = nn.Parameter(torch.randn(5, 6, generator=torch.Generator().manual_seed(4)))

    def encode(self, x: Tensor) -> Tensor:
        grey = x.mean(1).reshape(x.shape[0], 2, 2, 2, 2).mean((2, 4))
        return (grey / 60).clamp(0, 4).long()

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        painted = self.colour[z].permute(0, 3, 1, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        return painted[:, :3].tanh(), painted[:, 3:].clamp(-4, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A binary model, two laws of five levels, codes of colours, and a density of a table."""
    folder = tmp_path_factory.mktemp("own") / "models"
    made(folder / "bits", bits())
    made(
        folder / "categorical",
        levels(),
        decoder=lambda z: (z.sum(1)[:, None, None, None] * torch.arange(5.0)).expand(-1, 2, 3, 5),
        likelihood="categorical",
        arguments={"levels": 5},
    )
    made(
        folder / "beta-binomial",
        levels(),
        decoder=lambda z: (0.1 * z.repeat(1, 2).reshape(-1, 2, 3), 0.0 * z.repeat(1, 2).reshape(-1, 2, 3)),
        likelihood="beta_binomial",
        decoder_outputs=("log_alpha", "log_beta"),
        arguments={"levels": 5},
    )
    codes = Codes()
    made(
        folder / "codes",
        colours(),
        encoder=codes.encode,
        decoder=codes.decode,
        modules=[codes],
        posterior="codes",
        marginal="uniform_codes",
        marginal_arguments={"n_codes": 5},
        likelihood="discretized_logistic",
        decoder_outputs=("loc", "log_scale"),
        arguments={"levels": 256, "network_range": (-1.0, 1.0)},
    )
    made(
        folder / "table",
        torch.randn(12, 6, generator=torch.Generator().manual_seed(5)) * 1e-3,
        encoder=Encoder(6, 3),
        decoder=lambda z: (0.0 * z.repeat(1, 2), 0.0 * z.repeat(1, 2) - 6.9),
        likelihood="normal",
        decoder_outputs=("loc", "log_scale"),
        unit="km",
    )
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    front = Front(folder)
    yield front.address
    front.stop()


def test_every_operation_in_every_kind(address: str) -> None:
    with Client(address) as client:
        infos = {model.name: model for model in client.models()}
        assert infos["codes"].input_shape == (3, 4, 4)
        assert (infos["codes"].input_kind, infos["codes"].levels) == ("levels", 256)
        assert (infos["table"].measure, infos["table"].unit) == ("lebesgue", "km")
        assert infos["table"].reference is not None
        assert infos["table"].reference.distortion_nats < 0
        x = colours().numpy()
        encoded = client.encode("codes", x, n_samples=2)
        assert encoded.latents.shape == (12, 2, 2, 2)
        assert set(np.unique(encoded.latents)) <= set(range(5))
        decoded = client.decode("codes", encoded.latents[:, 0], n_samples=3)
        assert (decoded.images.shape, decoded.images.dtype) == ((12, 3, 3, 4, 4), np.uint8)
        again = client.reconstruct("codes", x, n_samples=3)
        np.testing.assert_array_equal(again.images, decoded.images, "the same noise, the same codes")
        assert client.sample("table", 5, n_samples=2).images.shape == (5, 2, 6)
        assert client.sample("categorical", 4).images.max() < 5
        scores = client.score("codes", x)
        assert np.allclose(scores.rate_nats, 4 * np.log(5))


def test_the_cards_numbers_come_out_again(address: str) -> None:
    with Client(address) as client:
        for name, x in (("categorical", levels()), ("table", None), ("codes", colours())):
            if x is None:
                continue
            stated = client.model(name).reference
            assert stated is not None
            scores = client.score(name, x.numpy(), seed=stated.seed)
            assert scores.rate_nats.mean() == pytest.approx(stated.rate_nats, abs=1e-4)
            assert scores.distortion_nats.mean() == pytest.approx(stated.distortion_nats, abs=1e-4)


def test_laws_of_one_x_compare_and_other_x_do_not(address: str) -> None:
    with Client(address) as client:
        compared = compare(client, ["categorical", "beta-binomial"], levels().numpy())
        assert not [line for line in compared.warnings if "not comparable" in line]
        everything = compare(client, None, levels().numpy())
        assert set(everything.names) == {"categorical", "beta-binomial"}
        left_out = " ".join(everything.warnings)
        assert "codes is left out: it takes 3x4x4 images, the data has 2x3" in left_out
        assert "bits is left out: it takes binary x" in left_out


@pytest.mark.parametrize(
    ("model", "x", "words"),
    [
        ("bits", levels().numpy(), r"takes binary pixels, 0 or 1, got \d"),
        ("categorical", 5 * bits().numpy(), "takes whole levels from 0 to 4, got 5"),
        ("categorical", 0.5 * bits().numpy(), r"takes whole levels from 0 to 4, got 0\.5"),
        ("codes", bits(4, 48).numpy(), r"shape \(N, 3, 4, 4\), got \(4, 48\); as many numbers: reshape"),
    ],
)
def test_other_x_are_refused_with_what_the_model_takes(
    address: str, model: str, x: object, words: str
) -> None:
    with Client(address) as client, pytest.raises(InvalidArgument, match=words):
        client.score(model, x)  # type: ignore[arg-type]


def test_a_client_from_before_kinds_sees_the_models_that_it_knows(address: str) -> None:
    """It sends no `accept`, and one shape that is not (H, W) would be an error of its whole list."""
    with grpc.insecure_channel(address) as channel:
        stub = vae_pb2_grpc.VaeServiceStub(channel)
        known = stub.ListModels(vae_pb2.ListModelsRequest())
    assert [model.name for model in known.models] == ["bits"]
    assert all(len(model.image_shape) == 2 for model in known.models)


def test_a_hostile_graph_fails_its_own_model(
    folder: Path, tmp_path: Path, front: Callable[..., Front]
) -> None:
    models = tmp_path / "models"
    shutil.copytree(folder / "bits", models / "bits")
    shutil.copytree(folder / "bits", models / "evil")
    graph(
        models / "evil" / "decoder.onnx",
        [helper.make_node("RandomUniformLike", ["z"], ["logits"])],
        {"z": ["n", 3]},
        {"logits": ["n", 3]},
    )
    card = read_card(models / "evil")
    graphs = card.graphs.model_copy(  # type: ignore[union-attr]
        update={
            "decoder": card.graphs.decoder.model_copy(  # type: ignore[union-attr]
                update={"sha256": sha256_of(models / "evil" / "decoder.onnx"), "outputs": ("logits",)}
            )
        }
    )
    write_card(card.model_copy(update={"name": "evil", "graphs": graphs}), models / "evil")
    with Client(front(models).address) as client:
        states = {model.name: model for model in client.models()}
        assert states["bits"].state == "SERVING"
        assert states["evil"].state == "FAILED"
        assert "draws noise of its own" in states["evil"].state_reason
        with pytest.raises(FailedPrecondition):
            client.score("evil", bits().numpy())
