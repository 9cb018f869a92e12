"""Models that others made: exported, loaded and scored as they are, or refused with the file and the cure."""

import math
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper
from own_models import DATA, Encoder, bits, graph, made
from rdserve.data import load
from rdserve.data.preprocessing import from_words
from rdserve.models import ops
from rdserve.models.cancellation import Abandoned, abandoned_when
from rdserve.models.card import CARD_FILE, CardError, OnnxCard, read_card, sha256_of, write_card
from rdserve.models.distributions.noise import NoiseKeys
from rdserve.models.engines import load_model
from rdserve.models.export.export import export
from rdserve.models.export.given_data import given_data
from rdserve.models.export.to_graph import ExportError
from rdserve.models.onnx.checks import CheckError, check
from rdserve.models.onnx.graph import Graph, GraphError
from rdserve.models.onnx.operators import check_operators
from rdserve.models.onnx.vae import load_graph
from rdserve.models.worker.worker import Worker
from rdserve.v1.vae_pb2 import SampleRequest, ScoreRequest
from rdserve.v1.worker_pb2 import WORK_ERROR_REASON_INVALID_ARGUMENT, WorkReply, WorkRequest
from rdserve.wire.tensors import to_message
from torch import Tensor, nn

pytestmark = pytest.mark.slow


def keys(n: int, seed: int = 0) -> NoiseKeys:
    return NoiseKeys(torch.full((n,), seed), torch.arange(n))


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "linear"
    made(folder, bits())
    return folder


def test_rates_and_distortions_are_those_of_the_formulas(linear: Path) -> None:
    card, vae = load_model(linear)
    assert isinstance(card, OnnxCard)
    x = bits().double()
    with torch.inference_mode():
        scores = ops.score(vae, x, keys(len(x)), 3)
        z = ops.encode(vae, x, keys(len(x)), 3).latents
    torch.manual_seed(0)
    encoder, decoder = Encoder(6, 3).double(), nn.Linear(3, 6).double()
    loc, log_variance = encoder(x)
    kl = 0.5 * (loc**2 + log_variance.exp() - log_variance - 1).sum(1)
    assert scores.rate_is_exact
    assert torch.allclose(scores.rate, kl, atol=1e-5)
    logits = decoder(z.double()).view(len(x), 3, 2, 3)
    wanted = nn.functional.binary_cross_entropy_with_logits(
        logits, x[:, None].expand_as(logits), reduction="none"
    )
    assert torch.allclose(scores.distortion, wanted.sum((2, 3)).mean(1), atol=1e-5)


def test_a_rows_answer_is_its_own_to_the_last_bit(linear: Path) -> None:
    _, vae = load_model(linear)
    x = bits().double()
    together = ops.reconstruct(vae, x, keys(len(x)), 2)
    for row in range(len(x)):
        alone = ops.reconstruct(
            vae, x[row : row + 1], NoiseKeys(torch.zeros(1).long(), torch.tensor([row])), 2
        )
        assert torch.equal(alone.images[0], together.images[row])


def test_the_card_states_what_was_measured(linear: Path) -> None:
    card = read_card(linear)
    assert isinstance(card, OnnxCard)
    assert card.checks["batch_nats"] <= 1e-4
    assert card.checks["onnx_rate_nats"] <= 1e-4
    assert card.reference.n_examples == 12
    _, vae = load_model(linear)
    scores = ops.score(vae, bits().double(), keys(12), 1)
    assert card.reference.rate_nats == pytest.approx(float(scores.rate.mean()), abs=1e-6)


# Factor analysis by hand: z ~ N(0, I_2), x = W z + b + noise, whose p(x) and posterior are known.
W = np.array([[1.0, 0.5], [-0.3, 0.8], [0.2, -1.1], [0.7, 0.0]])
B = np.array([0.1, -0.2, 0.3, 0.0])
SIGMA = 0.6


def exact_log_p(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    from scipy.stats import multivariate_normal

    return np.asarray(multivariate_normal(B, W @ W.T + SIGMA**2 * np.eye(4)).logpdf(x))


@pytest.fixture(scope="module")
def factors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tensor]:
    """Written with onnx alone, then packaged; its encoder is the exact posterior's mean and covariance."""
    precision = W.T @ W / SIGMA**2 + np.eye(2)
    gain = np.linalg.solve(precision, W.T / SIGMA**2)
    tril = np.linalg.cholesky(np.linalg.inv(precision))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 2)) @ W.T + B + SIGMA * rng.standard_normal((40, 4))

    def encoder(x: Tensor) -> dict[str, Tensor]:
        loc = (x - torch.tensor(B).float()) @ torch.tensor(gain.T).float()
        return {"loc": loc, "scale_tril": torch.tensor(tril).float().expand(x.shape[0], 2, 2)}

    def decoder(z: Tensor) -> dict[str, Tensor]:
        return {"loc": z @ torch.tensor(W.T).float() + torch.tensor(B).float()}

    folder = tmp_path_factory.mktemp("own") / "factors"
    values = torch.tensor(x).float()
    export(
        folder,
        encoder=encoder,
        decoder=lambda z: decoder(z) | {"scale": torch.full_like(decoder(z)["loc"], SIGMA)},
        x=values,
        likelihood="normal",
        posterior="normal_full",
        decoder_outputs=("loc", "scale"),
        unit="m",
        data=DATA,
    )
    return folder, values


def test_the_bound_of_an_exact_posterior_is_log_p(factors: tuple[Path, Tensor]) -> None:
    """Factor analysis: with the true posterior every sample gives log p(x) itself."""
    folder, x = factors
    card, vae = load_model(folder)
    assert card.likelihood.measure == "lebesgue"
    scores = ops.score(vae, x.double(), keys(len(x)), 4)
    assert np.allclose(scores.importance_bound, exact_log_p(x.double().numpy()), atol=1e-4)
    assert torch.allclose(scores.importance_ess, torch.full((len(x),), 4.0).double(), atol=1e-3)


class Flow(nn.Module):
    """x, eps -> z and log e(z|x): a Gaussian and a stretch. wrong: nats added to the density."""

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__()
        self.base, self.wrong = Encoder(6, 3), wrong

    def forward(self, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        loc, log_variance = self.base(x)
        z = loc + (0.5 * log_variance).exp() * eps
        log_prob = -0.5 * (eps**2 + math.log(2 * math.pi) + log_variance).sum(1)
        # sinh stretches: d sinh(z) / dz = cosh(z)
        return torch.sinh(z), log_prob - torch.log(torch.cosh(z)).sum(1) + self.wrong


def flow(folder: Path, **given: Any) -> object:
    return made(folder, bits(), posterior="graph", noise=3, **given)


def test_a_flow_of_others_is_scored_by_the_density_it_reports(tmp_path: Path) -> None:
    flow(tmp_path / "flow", encoder=Flow())
    card, vae = load_model(tmp_path / "flow")
    assert isinstance(card, OnnxCard)
    assert card.checks["log_density_nats"] < 0.01
    x = bits().double()
    scores, z = ops.score(vae, x, keys(12), 2), ops.encode(vae, x, keys(12), 2).latents
    assert not scores.rate_is_exact
    e = vae.encoder(x)
    drawn = e.transform(torch.special.ndtri(torch.rand(2, 12, 3).double()))
    assert drawn.z.shape == (2, 12, 3)
    log_m = -0.5 * (z.double() ** 2 + math.log(2 * math.pi)).sum(-1)
    assert torch.isfinite(log_m).all()


def test_an_autoregressive_decoder_is_drawn_entry_by_entry(tmp_path: Path) -> None:
    decode = Causal(leak=0)
    made(tmp_path / "ar", bits(), decoder=decode, autoregressive=True)
    card, vae = load_model(tmp_path / "ar")
    assert isinstance(card, OnnxCard)
    assert card.checks["non_causal"] == 0
    z = torch.zeros(4, 3).double()
    images = ops.decode(vae, z, keys(4), 3).images
    u = torch.stack([images[:, k] for k in range(3)], 1)
    assert u.shape == (4, 3, 2, 3)
    # Score the drawn images: the law that drew them finds each possible.
    assert torch.isfinite(vae.decoder(z).log_prob(images[:, 0])).all()


def test_what_takes_too_many_passes_is_scored_and_not_drawn(tmp_path: Path) -> None:
    x = torch.zeros(4, 65, 64)
    x[:, 0, :4] = 1
    made(tmp_path / "ar", x, decoder=Causal(leak=0, n=65 * 64), autoregressive=True)
    worker = Worker.load(tmp_path / "ar")
    scored = ScoreRequest(images=to_message(x.numpy().astype(bool)))
    bodies = [WorkRequest(score=scored), WorkRequest(sample=SampleRequest(n_latents=1))]
    good, refused = (WorkReply.FromString(worker.work([each.SerializeToString()])[0]) for each in bodies)
    assert good.score.distortion_nats
    assert refused.error.reason == WORK_ERROR_REASON_INVALID_ARGUMENT
    assert "4160 entries" in refused.error.message


class Causal(nn.Module):
    """Logits of entry i: of z, and of the sum of entries before i. leak: times the entry itself."""

    def __init__(self, leak: float, n: int = 6) -> None:
        super().__init__()
        self.plane, self.leak = nn.Linear(3, n), leak

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        before = flat.cumsum(1) - flat
        return self.plane(z) + 0.5 * before + self.leak * flat


class Noisy(Encoder):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        loc, log_variance = super().forward(x)
        return loc + torch.randn_like(loc), log_variance


class OfBatch(Encoder):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        loc, log_variance = super().forward(x)
        return loc - loc.mean(0), log_variance


class FixedRows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 6)

    def forward(self, z: Tensor) -> Tensor:
        return self.linear(z).reshape(len(z), 6) if isinstance(z, list) else self.linear(z).reshape(12, 6)


class Certain(Encoder):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        loc, log_variance = super().forward(x)
        return loc, torch.full_like(log_variance, -60.0)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "own noise": ({"encoder": Noisy(6, 3)}, r"encoder\.onnx: two calls .* draws its own noise"),
    "batch statistics": ({"encoder": OfBatch(6, 3)}, r"encoder\.onnx: .*depends on the rows beside it"),
    "half precision": ({"decoder": nn.Linear(3, 6).bfloat16()}, r"float\(\)|dtype"),
    "certain z": ({"encoder": Certain(6, 3)}, "infinite rate"),
    "sees itself": ({"decoder": Causal(leak=1.0), "autoregressive": True}, r"decoder\.onnx sees the entry"),
    "wrong density": (
        {"encoder": Flow(wrong=0.3), "posterior": "graph", "noise": 3},
        r"posterior\.onnx reports a log_prob that is 0\.3",
    ),
    "other values": ({"x": 2 * bits()}, "takes binary pixels, 0 or 1, x has 2"),
    "no such law": ({"likelihood": "bernouli"}, "no .*bernouli.*there are bernoulli"),
    "another loss": (
        {"own_loss": lambda x: (torch.full((len(x),), 50.0), torch.zeros(len(x)))},
        "own_loss gives a mean rate of 50",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_export_refuses(case: str, tmp_path: Path) -> None:
    changes, words = REFUSED[case]
    x = changes.get("x", bits())
    with pytest.raises((ExportError, CheckError, ValueError), match=words):
        made(tmp_path / "model", x, **{name: each for name, each in changes.items() if name != "x"})
    assert not (tmp_path / "model").exists()
    assert not list(tmp_path.glob(".model*"))


def test_a_folder_that_holds_something_is_left_alone(linear: Path) -> None:
    before = sha256_of(linear / CARD_FILE)
    with pytest.raises(ExportError, match="overwrite"):
        made(linear, bits())
    assert sha256_of(linear / CARD_FILE) == before


def test_overwriting_replaces_models_alone(linear: Path, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("mine")
    with pytest.raises(ExportError, match="what is there is no model, and stays"):
        made(tmp_path / "letters", bits(), overwrite=True)
    assert (tmp_path / "letters" / "dear.txt").read_text() == "mine"


def test_a_split_says_what_it_is() -> None:
    bare = load("digits-grey", split="test")
    grey = load("digits-grey", split="valid", steps=from_words("scale=0.0625") or ())
    binary = load("digits", split="test")
    found = [given_data(each, None, "train") for each in (bare, grey, binary)]
    assert [each.split for each in found] == ["test", "valid", "test"]
    assert [each.data.sha256 for each in found] == [bare.sha256, bare.sha256, binary.sha256]
    assert [each.binarisation for each in found] == ["", "scale=0.0625", binary.binarisation]
    assert [each.preprocessing for each in found] == [(), ({"op": "scale", "by": 0.0625},), ()]
    assert [each.values.dtype for each in found] == [np.uint8, np.float32, np.float32]


def test_a_unit_that_the_networks_do_not_speak(tmp_path: Path) -> None:
    """Levels of 0 to 255 scored against a decoder of [-1, 1]: thirty million nats, and an error here."""
    x = 255 * bits() + 0.5
    with pytest.raises(CheckError, match="another unit or range"):
        made(
            tmp_path / "model",
            x,
            likelihood="normal",
            decoder=lambda z: (torch.tanh(z.repeat(1, 2)), torch.zeros_like(z).repeat(1, 2) - 6.0),
            unit="grey",
        )


def test_a_file_that_is_not_the_cards_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "model", bits())
    path = tmp_path / "model" / "decoder.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CardError, match=r"decoder\.onnx has sha256 [0-9a-f]{64}, the file has"):
        load_model(tmp_path / "model")


FORBIDDEN: dict[str, tuple[list[Any], str]] = {
    "noise": ([helper.make_node("RandomNormalLike", ["x"], ["y"])], "draws noise of its own"),
    "another domain": (
        [helper.make_node("Relu", ["x"], ["y"], domain="com.evil")],
        "com.evil.Relu is not among",
    ),
    "control flow": (
        [helper.make_node("Loop", ["x"], ["y"], body=helper.make_graph([], "b", [], []))],
        "control flow",
    ),
}


@pytest.mark.parametrize("case", FORBIDDEN)
def test_graphs_with_other_operators_are_not_loaded(case: str, tmp_path: Path) -> None:
    nodes, words = FORBIDDEN[case]
    path = graph(tmp_path / "g.onnx", nodes, {"x": ["n", 2]}, {"y": ["n", 2]})
    with pytest.raises(GraphError, match=words):
        check_operators(path)


def test_data_outside_the_file_are_not_read(tmp_path: Path) -> None:
    import onnx
    from onnx.external_data_helper import set_external_data

    path = graph(
        tmp_path / "g.onnx",
        [helper.make_node("Add", ["x", "w"], ["y"])],
        {"x": ["n", 2]},
        {"y": ["n", 2]},
        {"w": np.ones(2, np.float32)},
    )
    model = onnx.load(path)
    set_external_data(model.graph.initializer[0], location="../../etc/passwd")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(GraphError, match="'w' lies in another file"):
        check_operators(path)


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x0a" * 40])
def test_what_is_no_graph_is_an_error_of_ours(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    path.write_bytes(content)
    with pytest.raises(GraphError, match=r"g\.onnx"):
        load_graph(path, ["y"])


def slow_graph(path: Path, n_steps: int) -> Path:
    """Products of large matrices, one after another."""
    nodes = [helper.make_node("MatMul", [f"h{i}" if i else "x", "w"], [f"h{i + 1}"]) for i in range(n_steps)]
    last = helper.make_node("Identity", [f"h{n_steps}"], ["y"])
    weights = {"w": np.eye(512, dtype=np.float32)}
    return graph(path, [*nodes, last], {"x": ["n", 512]}, {"y": ["n", 512]}, weights)


def test_a_run_ends_soon_after_nobody_waits_for_it(tmp_path: Path) -> None:
    run = Graph(slow_graph(tmp_path / "g.onnx", 400), ["y"])
    asked = threading.Event()

    def nobody_waits() -> bool:
        # The first to ask is the run's own look before it begins.
        before, _ = asked.is_set(), asked.set()
        return before

    with abandoned_when(nobody_waits), pytest.raises(Abandoned):
        run(x=torch.ones(4096, 512))
    assert run(x=torch.ones(1, 512))["y"].shape == (1, 512), "the next one is answered"


BOMB = """
import sys
from pathlib import Path

import numpy as np
from rdserve.models.worker.memory import bound_memory_for
from rdserve.models.worker.worker import Worker
from rdserve.v1.vae_pb2 import ScoreRequest
from rdserve.v1.worker_pb2 import WorkErrorReason, WorkReply, WorkRequest
from rdserve.wire.tensors import to_message

bound_memory_for(Path(sys.argv[1]))
worker = Worker.load(Path(sys.argv[1]))
for n in (2, 512, 2):
    request = WorkRequest(score=ScoreRequest(images=to_message(np.zeros((n, 2, 3), bool))))
    reply = WorkReply.FromString(worker.work([request.SerializeToString()])[0])
    print(WorkErrorReason.Name(reply.error.reason) if reply.HasField("error") else "scored")
"""


def test_a_graph_that_asks_for_gigabytes_fails_its_own_call(linear: Path, tmp_path: Path) -> None:
    """16 MB a row: two rows are answered, 512 are not, and two are again."""
    folder = tmp_path / "bomb"
    shutil.copytree(linear, folder)
    nodes = [
        helper.make_node("MatMul", ["z", "w"], ["flat"]),
        helper.make_node("Shape", ["z"], ["rows"], start=0, end=1),
        helper.make_node("Mul", ["rows", "each"], ["much"]),
        helper.make_node("ConstantOfShape", ["much"], ["memory"]),
        helper.make_node("ReduceSum", ["memory"], ["sum"], keepdims=0),
        helper.make_node("Add", ["flat", "sum"], ["logits"]),
    ]
    tensors = {"w": np.zeros((3, 6), np.float32), "each": np.array([2**22], np.int64)}
    path = graph(folder / "decoder.onnx", nodes, {"z": ["n", 3]}, {"logits": ["n", 6]}, tensors)
    card = read_card(folder)
    assert isinstance(card, OnnxCard)
    decoder = card.graphs.decoder.model_copy(update={"sha256": sha256_of(path)})
    graphs = card.graphs.model_copy(update={"decoder": decoder})
    write_card(card.model_copy(update={"graphs": graphs}), folder)
    done = subprocess.run([sys.executable, "-c", BOMB, folder], capture_output=True, text=True)
    assert done.stdout.split() == ["scored", "WORK_ERROR_REASON_OUT_OF_MEMORY", "scored"], done.stderr


def test_loading_a_hundred_graphs_costs_little_memory_each(linear: Path) -> None:
    import psutil

    load_model(linear)
    before = psutil.Process().memory_info().rss
    kept = [load_model(linear)[1] for _ in range(50)]
    for vae in kept:
        ops.score(vae, bits().double(), keys(12), 1)
    each = (psutil.Process().memory_info().rss - before) / len(kept)
    assert each < 2.5e6
    assert len({id(vae) for vae in kept}) == 50


def test_an_edited_card_is_read_strictly(linear: Path, tmp_path: Path) -> None:
    card = read_card(linear)
    write_card(card, tmp_path)
    text = (tmp_path / CARD_FILE).read_text()
    (tmp_path / CARD_FILE).write_text(text.replace('"kind": "binary"', '"kind": "levels"'))
    with pytest.raises(CardError, match=r"input: .*levels is None"):
        read_card(tmp_path)
    (tmp_path / CARD_FILE).write_text(text.replace('"engine": "onnx"', '"engine": "pickle"'))
    with pytest.raises(CardError, match='"torch" for a family of ours, "onnx" for graphs'):
        read_card(tmp_path)


def test_checks_are_made_again_of_a_folder(linear: Path) -> None:
    card, vae = load_model(linear)
    assert isinstance(card, OnnxCard)
    assert check(card, vae, linear).keys() == {"batch_nats", "above_fit_nats"}
