"""Which model is better, and for which beta? Usage: compare_in_python.py [ADDRESS]

Cells as in a notebook; the first is all it takes. Start a service first: make serve.
"""

# %% Score the same images with the same noise, and say what follows.
import sys

from rdserve.client import Client
from rdserve.compare.api import Stop, compare
from rdserve.data import load

test = load("digits", split="test")
with Client(sys.argv[1] if len(sys.argv) > 1 else "localhost:50051") as client:
    models = [model.name for model in client.models() if not model.fault][:2]
    comparison = compare(client, models, test.images, labels=test.labels)
    print(comparison.table())
    comparison.report("report.html")

    # %% Only as many images as it takes to know which has the least D + 2 R.
    early = compare(client, models, test.images, beta=2.0, stop=Stop())
    print(f"{early.n} images: {early.verdict}\n")

# %% One pair, quantity by quantity, with 95% intervals.
pair = comparison.pairs[0]
for name, found in {"R": pair.rate, "D": pair.distortion, "R + D": pair.total}.items():
    print(f"{name:>5} of {pair.a} minus {pair.b}: {found.mean:+.2f} nats, {found.interval}")

# %% Where the preference turns.
for stretch in pair.preference.stretches:
    print(f"beta {stretch.low:.2f} to {stretch.high:.2f}: {stretch.answer}")

# %% Class by class, with Holm's correction over the classes.
from rdserve.compare.statistics.multiplicity import holm  # noqa: E402
from rdserve.compare.statistics.paired import per_class  # noqa: E402

a, b = comparison.scores
classes = per_class(a.elbo_nats, b.elbo_nats, test.labels)
adjusted = holm([found.p_value for found in classes.values()])
for (label, found), p in zip(classes.items(), adjusted, strict=True):
    print(f"digit {label}: ELBO {found.mean:+.2f} nats, p = {p:.3f}")
