import json
import signal
import subprocess
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest
from rdserve.client import Client
from rdserve.compare import rows
from rdserve.data import load
from rdserve.v1 import vae_pb2
from scripted import scripted
from shell import RDSERVE, rdserve


def test_a_comparison_end_to_end(service: str, tmp_path: Path) -> None:
    done = rdserve(
        "compare", "--server", service, "--limit", "30", "--seed", "2", "--n-samples", "3", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    report = tmp_path / "report"
    names = {"comparison.json", "comparison.csv", "rd-plane.png", "reconstructions.png"}
    assert {path.name for path in report.iterdir()} == names
    assert all(f"report/{name}" in done.stdout for name in names)
    document = json.loads((report / "comparison.json").read_text())
    assert document["data"]["sha256"] == load("digits", split="test").sha256
    images = load("digits", split="test").images[:30]
    with Client(service) as client:
        for model in document["models"]:
            score = client.score(model["name"], images, seed=2, n_samples=3)
            assert model["rate_nats"] == pytest.approx(score.rate_nats.mean(), rel=1e-6)
            elbo = rows.mean(score.elbo_nats)
            assert model["elbo_nats"] == pytest.approx(elbo.value, rel=1e-6)
            assert model["elbo_standard_error_nats"] == pytest.approx(elbo.standard_error, rel=1e-5)
            assert model["n"] == 30


def test_named_models_only(in_process_service: str, tmp_path: Path) -> None:
    wanted = ("--models", "tiny-ppp, tiny-mmm", "--limit", "5", "--out", tmp_path)
    done = rdserve("compare", "--server", in_process_service, *wanted)
    assert done.returncode == 0, done.stderr
    models = json.loads((tmp_path / "comparison.json").read_text())["models"]
    assert {model["name"] for model in models} == {"tiny-ppp", "tiny-mmm"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--models", "tiny-mmm,nope"), "not served: nope; there are tiny-mmm, tiny-mpv, tiny-ppp"),
        (("--data", "nope"), "no data set 'nope'"),
        (("--split", "dev"), "no split 'dev'"),
        (("--models", ","), "no model to compare on digits"),
    ],
)
def test_a_mistake_is_one_line(in_process_service: str, arguments: tuple[str, ...], line: str) -> None:
    done = rdserve("compare", "--server", in_process_service, *arguments)
    assert done.returncode == 1
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1


def card(name: str, side: int) -> vae_pb2.Model:
    facts = {"family": "---", "beta": 1.0, "latent_dim": 4, "likelihood": "bernoulli"}
    return vae_pb2.Model(name=name, state=2, image_shape=[side, side], **facts)


def listing(*models: vae_pb2.Model) -> Any:
    return lambda *_: vae_pb2.ListModelsResponse(models=models)


def test_models_of_another_size_are_refused_by_name() -> None:
    with scripted(ListModels=listing(card("large", 28))) as address:
        named = rdserve("compare", "--server", address, "--models", "large")
        everything = rdserve("compare", "--server", address)
    assert named.returncode == everything.returncode == 1
    assert "model 'large' takes 28x28 images, the data has 8x8" in named.stderr
    assert "left out: model 'large' takes 28x28 images, the data has 8x8" in everything.stderr


def test_a_failure_names_the_model() -> None:
    def score(request: Any, context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.INTERNAL, "the model made NaN")

    with scripted(ListModels=listing(card("poor", 8)), Score=score) as address:
        done = rdserve("compare", "--server", address, "--limit", "3")
    assert done.returncode == 1
    assert done.stderr.strip() == f"rdserve: {address}: model 'poor': the model made NaN"


def test_ctrl_c_cancels_what_is_in_flight(tmp_path: Path) -> None:
    called, ended = Event(), Event()

    def hang(_: Any, context: grpc.ServicerContext) -> None:
        context.add_callback(ended.set)
        called.set()
        ended.wait()

    with scripted(ListModels=listing(card("slow", 8)), Score=hang) as address:
        command = [*RDSERVE, "compare", "--server", address, "--out", str(tmp_path / "report")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            called.wait()
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate()
        ended.wait()
    assert process.returncode == 130
    assert stderr.strip() == "rdserve: interrupted; calls in flight were cancelled"
    assert not (tmp_path / "report").exists()
