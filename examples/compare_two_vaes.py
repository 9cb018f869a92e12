"""Which of two VAEs is better, and on which images? Usage: compare_two_vaes.py A B [ADDRESS]

Both models score the same images with the same noise, so their difference is taken image by image:
its standard error is far smaller than that of either mean.
"""

import sys

import numpy as np
from rdserve.client import Client, Score
from rdserve.compare.statistics.summaries import mean
from rdserve.data import load


def show(what: str, a: np.ndarray, b: np.ndarray) -> None:  # type: ignore[type-arg]
    """Both means, and the mean of the paired difference."""
    means = (mean(a), mean(b), mean(b - a))
    print(f"{what:>6}", *(f"{value:9.2f} ± {error:.2f}" for value, error in means), sep="  ")


def compare(name_a: str, name_b: str, address: str) -> None:
    """Print R, D and -ELBO of both models, their paired differences, and the images that differ most."""
    images = load("digits", split="test").images
    with Client(address) as client:
        a, b = (client.score(name, images, seed=0) for name in (name_a, name_b))
    print(f"{'nats':>6}  {name_a:>16}  {name_b:>16}  {'difference':>16}")
    show("R", a.rate_nats, b.rate_nats)
    show("D", a.distortion_nats, b.distortion_nats)
    show("-ELBO", -a.elbo_nats, -b.elbo_nats)
    print("most in favour of", name_b, "are images", favourites(a, b))
    print("most in favour of", name_a, "are images", favourites(b, a))


def favourites(a: Score, b: Score) -> list[int]:
    """The five images that b explains better than a by the most nats."""
    return [int(index) for index in np.argsort(a.elbo_nats - b.elbo_nats)[:5]]


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    compare(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else "localhost:50051")
