"""Figure 2 from the toy's checkpoints."""

from pathlib import Path

from rdserve.compare.render.figures.toy import figure
from rdserve.models.card import CardError
from rdserve.models.checkpoint import load
from rdserve.models.toy.laws import panels, toy_source
from rdserve.models.toy.vae import laws
from rdserve.study.figures.draw import Drawn

# In the paper's order of columns, (a) to (c).
COLUMNS = {"toy-hand-made": "hand-made", "toy-elbo": "ELBO", "toy-target-rate": "target rate"}


def figure_2(folder: Path) -> Drawn:
    """The columns whose checkpoints are there, with what the others are called."""
    data, columns, missing = toy_source(), [], []
    for name, words in COLUMNS.items():
        try:
            tables = laws(load(folder / name)[1])
        except CardError as error:
            missing.append(f"{name} ({error}); `rdserve toy --checkpoints {folder}` makes it")
            continue
        r, d = tables.rate(data.p).item(), tables.distortion(data.p).item()
        columns.append((f"{words}\nR = {r:.4f}, D = {d:.4f} nats", panels(tables, data)))
    return Drawn("figure-2", figure(columns) if columns else None, tuple(missing))
