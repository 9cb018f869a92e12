"""Probabilistic PCA of a table, written with numpy and onnx alone. Usage: probabilistic_pca.py FOLDER

z ~ N(0, I), x = W z + b + noise (Tipping and Bishop, 1999). Maximum likelihood, the posterior and log p(x)
are known, so the served model can be held against them: with the true posterior every importance bound is
log p(x).
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from rdserve.models.card import OnnxCard
from rdserve.models.export.own_graphs import describe
from sklearn.datasets import load_breast_cancer

N_LATENTS = 5
Floats = NDArray[np.float64]


class ProbabilisticPCA(NamedTuple):
    """w (X, Z), b (X,), and the noise's standard deviation."""

    w: Floats
    b: Floats
    sigma: float

    def posterior(self) -> tuple[Floats, Floats]:
        """(Z, X) and (Z, Z): z given x is N(gain (x - b), tril tril^T)."""
        precision = self.w.T @ self.w / self.sigma**2 + np.eye(self.w.shape[1])
        gain = np.linalg.solve(precision, self.w.T / self.sigma**2)
        return gain, np.linalg.cholesky(np.linalg.inv(precision))

    def log_p(self, x: Floats) -> Floats:
        """(N,) nats, exact, of x (N, X)."""
        covariance = self.w @ self.w.T + self.sigma**2 * np.eye(len(self.b))
        off = x - self.b
        mahalanobis = (off * np.linalg.solve(covariance, off.T).T).sum(1)
        log_det = np.linalg.slogdet(2 * np.pi * covariance)[1]
        return np.asarray(-0.5 * (mahalanobis + log_det))


def table() -> NDArray[np.float32]:
    """(569, 30), each column in its standard deviations."""
    x = load_breast_cancer().data
    return np.asarray((x - x.mean(0)) / x.std(0), dtype=np.float32)


def fit(x: Floats) -> ProbabilisticPCA:
    """Of maximum likelihood, in closed form."""
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    left, kept = values[:-N_LATENTS], values[-N_LATENTS:]
    variance = left.mean()
    w = vectors[:, -N_LATENTS:] * np.sqrt(kept - variance)
    return ProbabilisticPCA(w, x.mean(0), float(np.sqrt(variance)))


def write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, int],
    outputs: Mapping[str, Sequence[int]],
    constants: Mapping[str, NDArray[np.generic]],
) -> None:
    """A graph of rows in float32: the sizes of one row of each input and output."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        list(nodes),
        path.stem,
        [info(name, TensorProto.FLOAT, ["n", size]) for name, size in inputs.items()],
        [info(name, TensorProto.FLOAT, ["n", *shape]) for name, shape in outputs.items()],
        [numpy_helper.from_array(each, name) for name, each in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def main(folder: Path) -> OnnxCard:
    x = table()
    model = fit(x.astype(np.float64))
    gain, tril = model.posterior()
    n_columns, n_latents = model.w.shape
    folder.mkdir(parents=True, exist_ok=True)
    node = helper.make_node
    write(
        folder / "encoder.onnx",
        [
            node("Sub", ["x", "b"], ["off"]),
            node("MatMul", ["off", "gain"], ["loc"]),
            # One matrix for all rows, as often as there are rows.
            node("Shape", ["x"], ["rows"], start=0, end=1),
            node("Concat", ["rows", "size"], ["shape"], axis=0),
            node("Expand", ["tril", "shape"], ["scale_tril"]),
        ],
        {"x": n_columns},
        {"loc": [n_latents], "scale_tril": [n_latents, n_latents]},
        {
            "b": model.b.astype(np.float32),
            "gain": gain.T.astype(np.float32),
            "tril": tril.astype(np.float32),
            "size": np.array([n_latents, n_latents]),
        },
    )
    write(
        folder / "decoder.onnx",
        [node("MatMul", ["z", "w"], ["off"]), node("Add", ["off", "b"], ["loc"])],
        {"z": n_latents},
        {"loc": [n_columns]},
        {"w": model.w.T.astype(np.float32), "b": model.b.astype(np.float32)},
    )
    return describe(
        folder,
        graphs={"encoder": ("loc", "scale_tril"), "decoder": ("loc",)},
        x=x,
        latent_shape=[n_latents],
        likelihood="normal",
        posterior="normal_full",
        arguments={"scale": model.sigma},
        unit="standard deviation of the column",
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    card = main(Path(sys.argv[1]))
    bound = -(card.reference.rate_nats + card.reference.distortion_nats)
    print(f"{card.name}: ELBO {bound:.3f} nats, log p(x) {fit(table()).log_p(table()).mean():.3f}")
