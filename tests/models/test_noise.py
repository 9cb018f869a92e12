"""The generator is Philox, and a row's noise is its own."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from law_cases import colours, likelihoods, posteriors
from rdserve.models.card_parts import Architecture
from rdserve.models.distributions.draw import draw
from rdserve.models.distributions.named_laws import marginal
from rdserve.models.distributions.noise import MAX_SAMPLES, Noise, NoiseKeys, Purpose, philox
from rdserve.models.families import FAMILIES, SPARSE_FAMILIES, build
from scipy import stats
from torch import Tensor
from torch.distributions import Distribution

WORD = 0xFFFFFFFF


def keys(seeds: list[int], examples: list[int]) -> NoiseKeys:
    return NoiseKeys(torch.tensor(seeds), torch.tensor(examples))


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # Random123's published vectors for philox4x32-10
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([WORD] * 4, [WORD] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_known_answers(counter: list[int], key: list[int], expected: list[int]) -> None:
    even, odd = philox(
        torch.tensor([[counter[0]], [counter[2]]]),
        torch.tensor([[counter[1]], [counter[3]]]),
        torch.tensor([[key[0]], [key[1]]]),
    )
    assert [int(word) for word in (even[0], odd[0], even[1], odd[1])] == expected


patterns = st.integers(-(2**63), 2**63 - 1)


@given(
    rows=st.lists(st.tuples(patterns, patterns), min_size=1, max_size=4),
    purpose=st.sampled_from(Purpose),
    n_samples=st.integers(1, 3),
    size=st.integers(1, 9),
)
def test_torch_and_numpy_give_the_same_words(
    rows: list[tuple[int, int]], purpose: Purpose, n_samples: int, size: int
) -> None:
    """torch's are for accelerators, numpy's for processors."""
    seeds, examples = zip(*rows, strict=True)
    noise = Noise(keys(list(seeds), list(examples)), purpose)
    words = noise.words(n_samples, size)
    assert torch.equal(noise.uniform(n_samples, size), (words.double() + 0.5) * 2.0**-32)


def test_the_highest_words_are_finite_normals() -> None:
    """The word of this key is 2**32 - 31, which float32 would round up to 1."""
    noise = Noise(keys([~9], [7591]), Purpose.POSTERIOR)
    u = noise.uniform(1, 64)[0, 0, 56].item()
    assert 1 - 2.0**-25 < u < 1
    assert 5 < noise.normal(1, 64)[0, 0, 56].item() < 6.5


@given(order=st.permutations(range(6)), cut=st.integers(1, 5))
def test_a_rows_noise_ignores_batch_and_order(order: list[int], cut: int) -> None:
    seeds, examples = [7, 7, 7, 9, 9, -1], [0, 1, 2**40, 0, -5, 3]
    whole = Noise(keys(seeds, examples), Purpose.POSTERIOR).normal(3, 10)

    def some(rows: list[int]) -> Tensor:
        mine = keys([seeds[i] for i in rows], [examples[i] for i in rows])
        return Noise(mine, Purpose.POSTERIOR).normal(3, 10)

    pieces = torch.cat([some(order[:cut]), some(order[cut:])], 1)
    assert torch.equal(pieces, whole[:, order])


def test_more_samples_and_more_latents_extend_what_was_there() -> None:
    noise = Noise(keys([3], [4]), Purpose.PRIOR)
    assert torch.equal(noise.uniform(8, 21)[:5, :, :13], noise.uniform(5, 13))


def test_seed_example_sample_purpose_and_position_each_matter() -> None:
    rows = keys([1, 1, 2, 1 << 32], [1, 2, 1, 1])
    words = torch.cat([Noise(rows, purpose).uniform(5, 50).flatten() for purpose in Purpose])
    # 4,000 words of 32 bits: a repeat by chance has probability 0.002, and the seeds are fixed.
    assert len(words.unique()) == len(words)


def family_laws(family: str) -> list[Distribution]:
    """e(z|x), m(z) and d(x|z) of one of our models."""
    vae = build(Architecture(family=family, image_size=8, latent_dim=4, width=0.1, n_pseudo_inputs=3))
    return [vae.encoder(torch.zeros(2, 8, 8)), vae.marginal(), vae.decoder(torch.zeros(2, 4))]


def mixed_laws(name: str) -> list[Distribution]:
    """Three laws that all choose among parts."""
    tensors = {"logits": torch.zeros(3), "loc": torch.zeros(3, 6), "scale": torch.ones(3, 6)}
    cases = {**likelihoods(), "discretized_logistic_mixture_rgb": colours()}
    e = posteriors()["von_mises_fisher"].law("von_mises_fisher", slice(0, 2))
    return [e, marginal("normal_mixture", tensors, {}, (6,)), cases[name].law(name, slice(0, 2))]


MIXED = ["discretized_logistic_mixture", "discretized_logistic_mixture_rgb"]


@pytest.mark.parametrize(
    ("laws", "name"),
    [*((family_laws, name) for name in [*FAMILIES, *SPARSE_FAMILIES]), *((mixed_laws, n) for n in MIXED)],
)
@torch.inference_mode()
def test_no_two_draws_of_a_model_share_a_word(
    laws: Callable[[str], list[Distribution]], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """z ~ e(z|x), z ~ m(z) and x ~ d(x|z) of one example under one seed are independent."""
    seen: dict[Purpose, set[int]] = {}
    uniform = Noise.uniform

    def noted(noise: Noise, n_samples: int, size: int) -> Tensor:
        found = uniform(noise, n_samples, size)
        seen.setdefault(what, set()).update(found.flatten().tolist())
        return found

    monkeypatch.setattr(Noise, "uniform", noted)
    purposes = (Purpose.POSTERIOR, Purpose.PRIOR, Purpose.PIXELS)
    for what, law in zip(purposes, laws(name), strict=True):
        draw(law, Noise(keys([5, 5], [0, 1]), what), 3)
    assert sum(map(len, seen.values())) == len(set.union(*seen.values()))


def test_a_choice_chooses_among_no_parts() -> None:
    with pytest.raises(ValueError, match="PIXELS_CHOICE"):
        _ = Noise(keys([0], [0]), Purpose.PIXELS).choice.choice


def test_uniform_and_normal_have_their_laws() -> None:
    noise = Noise(NoiseKeys(torch.zeros(500, dtype=torch.int64), torch.arange(500)), Purpose.PIXELS)
    assert stats.kstest(noise.uniform(4, 50).flatten().numpy(), "uniform").pvalue > 0.01
    assert stats.kstest(noise.normal(4, 50).flatten().numpy(), "norm").pvalue > 0.01


@pytest.mark.parametrize("n_samples", [0, MAX_SAMPLES + 1])
def test_sample_counts_outside_the_counter_are_refused(n_samples: int) -> None:
    with pytest.raises(ValueError, match=str(n_samples)):
        Noise(keys([0], [0]), Purpose.PRIOR).uniform(n_samples, 1)
