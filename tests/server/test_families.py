"""Kinds of models beside the paper's tuples, through the whole stack: the toy, sparse codes."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from front import Front
from rdserve.client import Client, InputError
from rdserve.client.errors import InvalidArgument
from rdserve.compare import compatibility
from rdserve.models.card import read_card, write_card
from rdserve.models.checkpoint import load
from rdserve.models.toy import vae
from rdserve.models.toy.laws import N, toy_source
from rdserve.server.repository.packaging import PackagingError, package

pytestmark = pytest.mark.service

ZOO = Path(__file__).parents[2] / "zoo/toy"
NAMES = ("toy-elbo", "toy-hand-made", "toy-target-rate")
BINS = np.eye(N)[:, None]


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, make_checkpoint: Callable[..., Path]
) -> Iterator[Client]:
    """A service over zoo/toy and a tiny sparse model. That it serves them says that their self-tests passed:
    the toys' against exact sums."""
    folder = tmp_path_factory.mktemp("kinds")
    shutil.copytree(ZOO, folder, dirs_exist_ok=True)
    make_checkpoint(folder, "sparse+")
    front = Front(folder)
    assert f"serving 4 models on {front.address}" in front.lines
    with Client(front.address) as client:
        yield client
    front.stop()


@pytest.mark.parametrize("name", NAMES)
def test_bounds_through_the_service(client: Client, name: str) -> None:
    """H - D <= I <= R, all of it known exactly."""
    data, laws = toy_source(), vae.laws(load(ZOO / name)[1])
    p = data.p.numpy()
    score = client.score(name, BINS)
    r, d = p @ score.rate_nats, p @ score.distortion_nats
    assert score.rate_is_exact
    assert r == pytest.approx(laws.rate(data.p).item(), abs=1e-5)
    assert d == pytest.approx(laws.distortion(data.p).item(), abs=1e-5)
    h, i = data.entropy.item(), laws.information(data.p).item()
    assert h - d <= i + 1e-6
    assert i <= r + 1e-6
    card = client.model(name).reference
    assert (card.rate_nats, card.distortion_nats) == pytest.approx((r, d), abs=1e-5)


def test_what_an_elbo_hides(client: Client) -> None:
    """One R + D, two models: an empty code, and one that tells the classes apart."""
    p = toy_source().p.numpy()
    elbo, target = (client.score(name, BINS) for name in ("toy-elbo", "toy-target-rate"))
    assert p @ elbo.elbo_nats == pytest.approx(p @ target.elbo_nats, abs=2e-3)
    assert p @ elbo.rate_nats < 1e-3
    assert p @ target.rate_nats == pytest.approx(0.5, abs=5e-3)
    best = np.linalg.norm(client.encode("toy-target-rate", BINS).posterior_mode, axis=1)
    np.testing.assert_array_equal(best, 1)


def test_every_op_speaks_one_hot(client: Client) -> None:
    encoding = client.encode("toy-target-rate", BINS, n_samples=4)
    decoding = client.decode("toy-target-rate", encoding.latents[:, 0], n_samples=2)
    rebuilt, drawn = client.reconstruct("toy-target-rate", BINS), client.sample("toy-target-rate", 50)
    for rows in (encoding.latents, decoding.images, rebuilt.images, drawn.images, drawn.latents):
        assert rows.shape[-1] == N
        np.testing.assert_array_equal(rows.sum(-1), 1)


def test_samples_follow_the_marginal(client: Client) -> None:
    with torch.no_grad():
        laws = vae.laws(load(ZOO / "toy-target-rate")[1])
    drawn = client.sample("toy-target-rate", 4000)
    np.testing.assert_allclose(drawn.images[:, 0, 0].mean(0), laws.generated().numpy(), atol=0.03)


def test_what_is_not_one_hot_is_refused(client: Client) -> None:
    with pytest.raises(InvalidArgument, match=r"takes one-hot images, .*; row 1 has 2 entries .* sum 2"):
        client.score("toy-elbo", np.maximum(BINS[:2], BINS[[0, 5]]))
    with pytest.raises(InvalidArgument, match=r"takes one-hot latents, .*; row 0 has 1 entries .* sum 0.5"):
        client.decode("toy-elbo", np.eye(N)[:1] / 2)


def test_the_toy_does_not_compare_with_digits(client: Client) -> None:
    toy = client.model("toy-elbo")
    card, _ = load(ZOO.parent / "digits/digits-mpv-b1.0")
    digits = replace(
        toy,
        name=card.name,
        likelihood=card.likelihood.law,
        image_shape=card.input.shape,
        input_shape=card.input.shape,
        input_kind=card.input.kind,
        binarisation=card.input.binarisation,
        data_name=card.data.name,
        data_sha256=card.data.sha256,
    )
    with pytest.raises(InputError) as refused:
        compatibility.check([toy, digits])
    for words in ("'one_hot' but", "'1x30' but", "'one-hot' but", "'toy (sha256 "):
        assert words in str(refused.value)
    assert compatibility.check([toy, client.model("toy-target-rate")]) == ()


def test_sparse_codes_through_the_service(client: Client) -> None:
    images = np.random.default_rng(0).random((20, 8, 8)) < 0.4
    name = "tiny-sparse-p"
    score, encoding = client.score(name, images), client.encode(name, images, n_samples=8)
    assert score.rate_is_exact
    assert (score.rate_nats >= 0).all()
    assert 0 < np.mean(encoding.latents == 0) < 1
    drawn = client.sample(name, 200)
    assert np.mean(drawn.latents != 0) == pytest.approx(0.2, abs=0.06)  # the marginal's share
    assert client.reconstruct(name, images).images.shape == (20, 1, 8, 8)
    np.testing.assert_array_equal(client.decode(name, drawn.latents[:5]).images, drawn.images[:5])


@pytest.mark.parametrize("name", ["rate_nats", "distortion_nats"])
def test_a_toy_that_is_not_as_its_card_says_is_not_packaged(name: str, tmp_path: Path) -> None:
    """Sums without an error leave no room for one."""
    shutil.copytree(ZOO / "toy-elbo", checkpoint := tmp_path / "toy-elbo")
    card = read_card(checkpoint)
    off = card.reference.model_copy(update={name: getattr(card.reference, name) + 0.01})
    write_card(card.model_copy(update={"reference": off}), checkpoint)
    with pytest.raises(PackagingError, match=rf"a mean {name.removesuffix('_nats')} of .* its card states"):
        package(checkpoint, tmp_path / "store")
