"""The generator is Philox, and a row's noise is its own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rdserve.models.card_parts import Architecture
from rdserve.models.distributions.draw import draw
from rdserve.models.distributions.noise import MAX_SAMPLES, Noise, NoiseKeys, Purpose, philox
from rdserve.models.families import FAMILIES, SPARSE_FAMILIES, build
from scipy import stats
from torch import Tensor

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


@pytest.mark.parametrize("family", [*FAMILIES, *SPARSE_FAMILIES])
@torch.inference_mode()
def test_no_two_draws_of_a_family_share_a_word(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """z ~ e(z|x), z ~ m(z) and x ~ d(x|z) of one example under one seed are independent."""
    seen: dict[str, set[int]] = {}
    words = Noise._words

    def noted(noise: Noise, n_samples: int, size: int) -> Tensor:
        found = words(noise, n_samples, size)
        seen.setdefault(what, set()).update(found.flatten().tolist())
        return found

    monkeypatch.setattr(Noise, "_words", noted)
    vae = build(Architecture(family=family, image_size=8, latent_dim=4, width=0.1, n_pseudo_inputs=3))
    rows, z = keys([5, 5], [0, 1]), torch.zeros(2, 4)
    for what, law, purpose in (  # noqa: B007 - `noted` reads it
        ("posterior", vae.encoder(torch.zeros(2, 8, 8)), Purpose.POSTERIOR),
        ("prior", vae.marginal(), Purpose.PRIOR),
        ("pixels", vae.decoder(z), Purpose.PIXELS),
    ):
        draw(law, Noise(rows, purpose), 3)
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
