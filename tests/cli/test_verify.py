"""`rdserve verify` against the service that made the numbers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rdserve.cli.exits import Code
from rdserve.client import Client, InputError
from rdserve.compare import files
from rdserve.compare.api import compare
from rdserve.compare.comparison import Comparison, Data
from rdserve.compare.verify import read, replay
from rdserve.data import load
from rdserve.v1 import vae_pb2
from scripted import scripted
from shell import rdserve

MODELS = ["tiny-mmm", "tiny-mpv"]


@pytest.fixture(scope="module")
def comparison(in_process_service: str) -> Comparison:
    digits = load("digits", split="test")
    data = Data(digits.name, digits.split, digits.sha256)
    with Client(in_process_service) as client:
        return compare(client, MODELS, digits.images[:40], data=data, seed=5, n_samples=2)


@pytest.fixture(scope="module")
def folder(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("verify")
    files.write_all(comparison.findings, None, out)
    return out


@pytest.mark.parametrize("name", ["comparison.json", "report.html"])
def test_numbers_are_reproduced(in_process_service: str, folder: Path, name: str) -> None:
    done = rdserve("verify", folder / name, "--server", in_process_service, "--rows", "10")
    assert done.returncode == 0, done.stdout + done.stderr
    for model in MODELS:
        assert f"{model}: reproduced" in done.stdout
    assert "over 10 rows" in done.stdout
    assert done.stdout.splitlines()[-1] == "2 of 2 models reproduced within 0.001 nats"


def test_another_device_is_named(in_process_service: str, comparison: Comparison) -> None:
    models = tuple(replace(info, device="cuda NVIDIA H200") for info in comparison.models)
    elsewhere = replace(comparison, models=models)
    with Client(in_process_service) as client:
        (one, _) = replay(client, elsewhere, load("digits", split="test").images, np.arange(5))
    assert one.reproduced(1e-3)
    assert "; served in float32 on cpu " in one.sentence(1e-3)
    assert one.sentence(1e-3).endswith(", the file says float32 on cuda NVIDIA H200")


def changed(folder: Path, tmp_path: Path, change: str) -> Path:
    """The same document with one thing altered."""
    document = json.loads((folder / "comparison.json").read_text())
    model = document["examples"]["models"][1]
    if change == "examples":
        model["distortion_nats"] = [value - 0.5 for value in model["distortion_nats"]]
    if change == "mean":
        document["models"][0]["rate_nats"] -= 0.1
    if change == "weights":
        model["info"]["weights_sha256"] = "f" * 64
    if change == "name":
        model["info"]["name"] = "gone"
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("examples", "tiny-mpv: DIFFERS, max |dR| 0, max |dD| 0.5 nats"),
        ("mean", "rate_nats is given as"),
        ("weights", "the file has ffffffffffff"),
        ("name", "gone: not scored, the service does not have it"),
    ],
)
def test_what_was_altered_is_named(
    in_process_service: str, folder: Path, tmp_path: Path, change: str, line: str
) -> None:
    done = rdserve("verify", changed(folder, tmp_path, change), "--server", in_process_service)
    assert done.returncode == 1
    assert line in done.stdout
    assert "tiny-mmm: reproduced" in done.stdout


def test_a_model_that_does_not_serve_says_nothing_of_its_numbers(folder: Path) -> None:
    infos = [
        model["info"] for model in json.loads((folder / "comparison.json").read_text())["examples"]["models"]
    ]
    loading = [vae_pb2.Model(name=info["name"], state=1, image_shape=[8, 8]) for info in infos]
    with scripted(ListModels=lambda *_: vae_pb2.ListModelsResponse(models=loading)) as address:
        done = rdserve("verify", folder / "report.html", "--server", address)
    assert done.returncode == Code.UNAVAILABLE
    assert done.stdout.count("not scored, it is LOADING") == 2


def test_images_of_ones_own_must_be_the_same(in_process_service: str, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 2, (12, 8, 8)).astype(bool)
    with Client(in_process_service) as client:
        files.write_all(compare(client, MODELS, images).findings, None, tmp_path)
    report = tmp_path / "report.html"
    for name, pixels in (("same", images), ("other", ~images)):
        np.save(tmp_path / f"{name}.npy", pixels)
    without = rdserve("verify", report, "--server", in_process_service)
    assert "give --images FILE" in without.stderr
    same = rdserve("verify", report, "--server", in_process_service, "--images", tmp_path / "same.npy")
    assert same.returncode == 0, same.stdout + same.stderr
    other = rdserve("verify", report, "--server", in_process_service, "--images", tmp_path / "other.npy")
    assert other.returncode == Code.USAGE
    assert "other images: sha256" in other.stderr


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.json", "{", "is no JSON"),
        ("b.json", '{"schema": "rdserve-comparison/1"}', "expected schema 'rdserve-comparison/2'"),
        ("c.json", "[]", "expected schema"),
        ("table.md", "| model |", "give the comparison.json or the report.html of a comparison"),
        ("d.html", "<p>hello<script>1</script>", "is no report of rdserve"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, text: str, line: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=line):
        read(tmp_path / name)


def test_a_refusal_is_one_line(in_process_service: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    done = rdserve("verify", tmp_path / "a.json", "--server", in_process_service)
    assert done.returncode == Code.USAGE
    assert "is no JSON" in done.stderr
    assert len(done.stderr.splitlines()) == 1
