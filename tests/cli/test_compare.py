import html
import json
import re
import resource
import shlex
import signal
import subprocess
from collections.abc import Callable
from itertools import product
from pathlib import Path
from threading import Event
from typing import Any
from xml.etree import ElementTree

import grpc
import numpy as np
import pytest
from engines import Scripted
from front import Front
from points import MODEL
from rdserve.cli.exits import Code
from rdserve.client import Client
from rdserve.compare.scoring import run
from rdserve.compare.statistics import summaries
from rdserve.data import load
from rdserve.models.card_parts import InputSpec
from rdserve.trainer.config import configure
from rdserve.v1 import vae_pb2
from scripted import scripted
from shell import RDSERVE, rdserve

MakeCheckpoint = Callable[..., Path]

FILES = {
    "report.html",
    "comparison.json",
    "comparison.csv",
    "comparison.csv-metadata.json",
    "examples.csv",
    "examples.csv-metadata.json",
    "rd-plane.svg",
    "rd-plane.png",
    "table.tex",
    "table.md",
    "reconstructions.png",
}


def test_a_comparison_end_to_end(service: str, tmp_path: Path) -> None:
    done = rdserve(
        "compare", "--server", service, "--limit", "30", "--seed", "2", "--n-samples", "3", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "Of 3 models on 30 images, tiny-" in done.stdout
    report = tmp_path / "report"
    assert {path.name for path in report.iterdir()} == FILES | {"rows"}
    assert all(f"report/{name}" in done.stdout for name in FILES)
    document = json.loads((report / "comparison.json").read_text())
    assert document["data"]["sha256"] == load("digits", split="test").sha256
    images = load("digits", split="test").images[:30]
    with Client(service) as client:
        for model in document["models"]:
            score = client.score(model["name"], images, seed=2, n_samples=3)
            assert model["rate_nats"] == pytest.approx(score.rate_nats.mean(), rel=1e-6)
            elbo = summaries.mean(score.elbo_nats)
            assert model["elbo_nats"] == pytest.approx(elbo.value, rel=1e-6)
            assert model["elbo_standard_error_nats"] == pytest.approx(elbo.standard_error, rel=1e-5)
            assert model["n"] == 30


def test_named_models_only(in_process_service: str, tmp_path: Path) -> None:
    wanted = ("--models", "tiny-ppp, tiny-mmm", "--limit", "5", "--out", tmp_path)
    done = rdserve("compare", "--server", in_process_service, *wanted)
    assert done.returncode == 0, done.stderr
    models = json.loads((tmp_path / "comparison.json").read_text())["models"]
    assert {model["name"] for model in models} == {"tiny-ppp", "tiny-mmm"}
    page = html.unescape((tmp_path / "report.html").read_text())
    asked = ("compare", "--server", in_process_service, *map(str, wanted))
    assert f" · service {in_process_service} · " in page
    assert f"<code>rdserve {shlex.join(asked)}</code>" in page
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    assert rdserve(*asked).returncode == 0  # goes on from whole rows
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == before


GATE = ("--baseline", "tiny-mmm", "--models", "tiny-ppp", "--limit")


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("20", "--max-rate-increase", "1000", "--max-elbo-decrease", "1000"), 0, "pass"),
        (("20", "--max-rate-increase", "1000", "--max-elbo-decrease=-1000"), 1, "fail"),
        (("1", "--max-rate-increase", "1000"), 2, "undecided"),
    ],
)
def test_a_gate_ends_with_its_outcome(
    in_process_service: str, tmp_path: Path, arguments: tuple[str, ...], code: int, word: str
) -> None:
    done = rdserve("compare", "--server", in_process_service, "--out", tmp_path, *GATE, *arguments)
    assert done.returncode == code, done.stderr
    assert f"\n{word}: tiny-ppp: " in done.stdout
    assert (tmp_path / "gate.md").read_text().startswith(f"## Against tiny-mmm: {word}\n")
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()
    assert [suite.get("failures"), suite.get("skipped")] == [str(int(code == 1)), str(int(code == 2))]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--server", "localhost:1", "--baseline", "a"), Code.UNAVAILABLE),
        (("--baseline", "gone"), Code.USAGE),
        (("--baseline", "tiny-mmm", "--nonsense"), Code.USAGE),
        (("--baseline", "tiny-mmm", "--limit", "0"), Code.USAGE),
        (("--baseline", "tiny-mmm", "--out", "/dev/null/report"), Code.IO),
    ],
)
def test_a_gate_that_cannot_be_run_is_no_outcome(
    in_process_service: str, arguments: tuple[str, ...], code: Code
) -> None:
    done = rdserve("compare", "--server", in_process_service, "--max-rate-increase", "1", *arguments)
    assert done.returncode == code, done.stderr


def test_a_gate_over_a_model_that_fails_is_no_outcome(tmp_path: Path) -> None:
    def one_fails(request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.INTERNAL, "the model made NaN")

    limits = ("--baseline", "poor", "--max-rate-increase", "1", "--out", tmp_path)
    with scripted(ListModels=listing(card("poor", 8), card("worse", 8)), Compare=one_fails) as address:
        assert rdserve("compare", "--server", address, *limits).returncode == Code.UNAVAILABLE


def test_a_gate_needs_a_baseline(in_process_service: str) -> None:
    done = rdserve("compare", "--server", in_process_service, "--max-rate-increase", "1")
    assert done.returncode == Code.USAGE
    assert done.stderr == "rdserve: a limit is on what changed since a baseline: name it with --baseline\n"


def test_stops_once_the_answer_is_known(in_process_service: str, tmp_path: Path) -> None:
    wanted = ("--models", "tiny-ppp,tiny-mmm", "--sequential", "--out", tmp_path)
    done = rdserve("compare", "--server", in_process_service, *wanted)
    assert done.returncode == 0, done.stderr
    assert "Settled after 300 images." in " ".join(done.stdout.split())
    examples = json.loads((tmp_path / "comparison.json").read_text())["examples"]
    assert examples["method"] == "sequential"
    assert len(set(examples["example_ids"])) == 300
    assert max(examples["example_ids"]) > 200  # in random order


def test_models_that_differ_in_their_seed_are_compared_as_recipes(
    front: Callable[..., Front], make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    """From cards over the wire to the files, and verified; a run that is there twice is refused."""
    models, out = tmp_path / "models", tmp_path / "out"
    for at, (epochs, seed) in enumerate(product((60, 120), range(3))):
        training = configure("---", "digits", epochs=epochs, seed=seed).as_dict()
        make_checkpoint(models, name=f"e{epochs}-s{seed}", training=training, weights_seed=at)
    make_checkpoint(models, name="twin", training={"seed": 0}, weights_seed=0)
    make_checkpoint(models, name="twin-again", training={"seed": 0}, weights_seed=0)
    asked = ("--server", front(models).address, "--limit", "40", "--by", "recipe", "--out", out)
    runs = ",".join(f"e{epochs}-s{seed}" for epochs in (60, 120) for seed in range(3))
    done = rdserve("compare", "--models", runs, *asked)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Recipes? e(60|120) \(3 runs\) (and|is better than) e(60|120) \(3 runs\)", done.stdout)
    recipes = json.loads((out / "comparison.json").read_text())["recipes"]
    assert {(one["name"], tuple(one["seeds"])) for one in recipes["recipes"]} == {
        ("e60", (0, 1, 2)),
        ("e120", (0, 1, 2)),
    }
    assert {one["differs_in"]["epochs"] for one in recipes["recipes"]} == {"60", "120"}
    for file in ("comparison.json", "report.html"):
        verified = rdserve("verify", out / file, "--server", asked[1])
        assert verified.returncode == 0, verified.stdout
    done = rdserve("compare", "--models", "twin,twin-again", *asked)
    assert done.returncode == Code.USAGE
    assert "twin and twin-again are one run, of one recipe and seed 0" in done.stderr


def test_what_does_not_compare_is_refused_or_marked_everywhere(
    front: Callable[..., Front], make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    make_checkpoint(models, name="a")
    make_checkpoint(models, name="b", input=InputSpec(shape=(8, 8), binarisation="dynamic"))
    service = front(models).address
    wanted = ("compare", "--server", service, "--limit", "5", "--out", tmp_path / "out")
    refused = rdserve(*wanted)
    assert refused.returncode == Code.USAGE
    assert "different binarisations: a 'none' but b 'dynamic'" in refused.stderr
    assert "--allow-incomparable" in refused.stderr
    allowed = rdserve(*wanted, "--allow-incomparable", "--baseline", "a", "--max-rate-increase", "1000")
    assert allowed.returncode == 0, allowed.stderr
    words = "not comparable: different binarisations: a 'none' but b 'dynamic'"
    assert words in " ".join(allowed.stdout.split())
    for name in ("comparison.json", "gate.md", "gate.xml"):
        assert words in (tmp_path / "out" / name).read_text(), name
    assert words in html.unescape((tmp_path / "out" / "report.html").read_text())


def test_a_model_that_is_yet_to_come_is_not_called_unserved(tmp_path: Path) -> None:
    """The list of a service that is starting holds what it knows so far."""
    words = "the service is starting, and model 'late' may be yet to come"

    def not_yet(request: Any, context: grpc.ServicerContext) -> Any:
        assert request.model == "late"
        context.abort(grpc.StatusCode.UNAVAILABLE, words)

    with scripted(ListModels=listing(card("early", 8)), GetModel=not_yet) as address:
        asked = ("--models", "early,late", "--timeout", "1", "--out", tmp_path)
        done = rdserve("compare", "--server", address, *asked)
    assert done.returncode == Code.UNAVAILABLE
    assert words in done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--models", "tiny-mmm,nope"), "not served: nope; there are: tiny-mmm, tiny-mpv, tiny-ppp"),
        (("--data", "nope"), "no data set 'nope'"),
        (("--split", "dev"), "no split 'dev'"),
        (("--models", ","), "no model to compare on digits"),
        (("--by", "recipe", "--sequential"), "--by recipe needs a number of images that is fixed beforehand"),
        (("--by", "recipe", "--equivalence-margin", "1"), "--equivalence-margin tells of models"),
    ],
)
def test_a_mistake_is_one_line(in_process_service: str, arguments: tuple[str, ...], line: str) -> None:
    done = rdserve("compare", "--server", in_process_service, *arguments)
    assert done.returncode == Code.USAGE
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_images_of_ones_own_with_their_classes(in_process_service: str, tmp_path: Path) -> None:
    digits = load("digits", split="test")
    np.savez(tmp_path / "own.npz", images=digits.images[:12], labels=digits.labels[:12])
    (tmp_path / "by.csv").write_text("page,writer\n" + "".join(f"{i},{'abc'[i % 3]}\n" for i in range(12)))
    wanted = ("compare", "--server", in_process_service, "--models", "tiny-ppp,tiny-mmm", "--limit", "10")
    own = ("--images", tmp_path / "own.npz", "--labels", tmp_path / "own.npz", "--out", tmp_path / "report")
    own += ("--groups", tmp_path / "by.csv", "--group-column", "writer")
    done = rdserve(*wanted, *own)
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "report" / "comparison.json").read_text())
    assert document["data"]["name"] == "images"
    assert document["examples"]["labels"] == digits.labels[:10].tolist()
    assert document["examples"]["group_ids"] == [0, 1, 2] * 3 + [0]
    assert "10 images in 3 groups" in done.stdout
    assert "only 10 images" in " ".join(done.stdout.split())
    with Client(in_process_service) as client:
        score = client.score("tiny-mmm", digits.images[:10])
    (rate,) = (model["rate_nats"] for model in document["models"] if model["name"] == "tiny-mmm")
    assert rate == pytest.approx(score.rate_nats.mean(), rel=1e-6)
    again = ("verify", tmp_path / "report" / "report.html", "--images", tmp_path / "own.npz")
    assert "other images" in rdserve(*again, "--server", in_process_service).stderr  # there are 12


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--images", "x.npy", "--data", "digits"), "give --images FILE, or --data NAME"),
        (("--labels", "y.npy"), "--labels are of images of your own; give --images FILE too"),
        (("--images", "x.npy", "--labels", "y.npy"), "y.npy holds 2 labels for 3 images"),
        (
            ("--images", "x.npy", "--labels", "x.npy"),
            "x.npy: labels are whole numbers (N,), got bool (3, 8, 8)",
        ),
    ],
)
def test_images_and_labels_belong_together(
    in_process_service: str, tmp_path: Path, arguments: tuple[str, ...], line: str
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 8, 8), bool))
    np.save(tmp_path / "y.npy", np.zeros(2, int))
    done = rdserve("compare", "--server", in_process_service, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (Code.USAGE, f"rdserve: {line}\n")


def test_a_model_alone_has_nothing_to_be_compared_with(in_process_service: str, tmp_path: Path) -> None:
    wanted = ("--models", "tiny-mmm", "--limit", "3", "--out", tmp_path)
    done = rdserve("compare", "--server", in_process_service, *wanted)
    assert done.returncode == 0
    assert done.stderr == "tiny-mmm alone: there is nothing to compare it with\n"


def test_a_file_that_cannot_be_written_is_named(in_process_service: str, tmp_path: Path) -> None:
    def no_large_files() -> None:  # as a disk that is full
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    out = tmp_path / "report"
    command = [*RDSERVE, "compare", "--server", in_process_service, "--models", "tiny-mmm,tiny-ppp"]
    done = subprocess.run(
        [*command, "--limit", "3", "--out", str(out)],
        capture_output=True,
        text=True,
        preexec_fn=no_large_files,
    )
    assert done.returncode == Code.IO, done.stderr
    assert done.stderr == f"rdserve: {out}: File too large\n"


def card(name: str, side: int) -> vae_pb2.Model:
    facts = {"family": "---", "beta": 1.0, "latent_dim": 4, "likelihood": "bernoulli"}
    return vae_pb2.Model(name=name, state=2, image_shape=[side, side], **facts)


def listing(*models: vae_pb2.Model) -> Any:
    return lambda *_: vae_pb2.ListModelsResponse(models=models)


def test_models_of_another_size_are_refused_by_name() -> None:
    with scripted(ListModels=listing(card("large", 28))) as address:
        named = rdserve("compare", "--server", address, "--models", "large")
        everything = rdserve("compare", "--server", address)
    assert named.returncode == everything.returncode == Code.USAGE
    assert "model 'large' takes 28x28 images, the data has 8x8" in named.stderr
    assert "left out: model 'large' takes 28x28 images, the data has 8x8" in everything.stderr


def test_a_failure_names_the_model(tmp_path: Path) -> None:
    def refuse(request: Any, context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.INTERNAL, "the model made NaN")

    with scripted(ListModels=listing(card("poor", 8)), Compare=refuse) as address:
        done = rdserve("compare", "--server", address, "--limit", "3", "--out", tmp_path)
    assert done.returncode == Code.UNAVAILABLE
    assert done.stderr.strip() == f"rdserve: {address}: model 'poor': the model made NaN"


@pytest.mark.slow
def test_ctrl_c_cancels_what_is_in_flight(tmp_path: Path) -> None:
    called, ended = Event(), Event()

    def hang(_: Any, context: grpc.ServicerContext) -> Any:
        context.add_callback(ended.set)
        called.set()
        ended.wait()
        yield from ()

    with scripted(ListModels=listing(card("slow", 8)), Compare=hang) as address:
        command = [*RDSERVE, "compare", "--server", address, "--out", str(tmp_path / "report")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            called.wait()
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate()
        ended.wait()
    assert process.returncode == 130
    assert stderr.strip() == "rdserve: interrupted; calls in flight were cancelled"
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["rows"]


def test_rows_of_another_run_are_refused_until_started_over(in_process_service: str, tmp_path: Path) -> None:
    images = load("digits", split="test").images[:3]
    run.run(Scripted(), [MODEL], images, seed=1, folder=tmp_path / "rows")
    wanted = ("compare", "--server", in_process_service, "--models", "tiny-mmm", "--limit", "3")
    wanted = (*wanted, "--n-samples", "1", "--out")
    refused = rdserve(*wanted, tmp_path)
    assert refused.returncode == Code.USAGE
    assert "holds rows of another run: seed is 1 there, 0 now" in refused.stderr
    anew = rdserve(*wanted, tmp_path, "--restart")
    assert anew.returncode == 0, anew.stderr
