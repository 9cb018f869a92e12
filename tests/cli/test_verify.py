"""`rdserve verify` against the service that made the numbers."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from rdserve.cli.commands.package import package
from rdserve.cli.commands.verify_card import verify_card
from rdserve.cli.exits import Code
from rdserve.client import Client, InputError
from rdserve.compare import export
from rdserve.compare.api import compare
from rdserve.compare.comparison import Comparison
from rdserve.compare.rebuilt_page import altered
from rdserve.compare.scores import ScoredData
from rdserve.compare.verify import Replay, read, replay, sample, seen
from rdserve.data import load
from rdserve.models.card import read_card, sha256_of, write_card
from rdserve.models.card_parts import WEIGHTS_FILE
from rdserve.v1 import vae_pb2
from safetensors.torch import load_file, save_file
from scripted import scripted
from shell import rdserve

MODELS = ["tiny-mmm", "tiny-mpv"]


@pytest.fixture(scope="module")
def comparison(in_process_service: str) -> Comparison:
    digits = load("digits", split="test")
    data = ScoredData(digits.name, digits.split, digits.sha256)
    with Client(in_process_service) as client:
        return compare(client, MODELS, digits.images[:40], data=data, seed=5, n_samples=2)


@pytest.fixture(scope="module")
def folder(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("verify")
    export.write_all(comparison.analysis, None, out, comparison.images)
    return out


@pytest.mark.parametrize("name", ["comparison.json", "report.html"])
def test_numbers_are_reproduced(in_process_service: str, folder: Path, name: str) -> None:
    done = rdserve("verify", folder / name, "--server", in_process_service, "--rows", "10")
    assert done.returncode == 0, done.stdout + done.stderr
    for model in MODELS:
        assert f"{model}: reproduced" in done.stdout
    assert "over 10 rows" in done.stdout
    assert "10 of 40 images were scored again, 5 of them drawn anew" in done.stdout
    assert done.stdout.splitlines()[-1] == "2 of 2 models reproduced within 0.001 nats"


def test_another_device_is_named(in_process_service: str, comparison: Comparison) -> None:
    models = tuple(replace(info, device="cuda NVIDIA H200") for info in comparison.models)
    elsewhere = replace(comparison, models=models)
    with Client(in_process_service) as client:
        (one, _) = replay(client, elsewhere, load("digits", split="test").images, np.arange(5))
    assert one.reproduced(1e-3)
    assert "; served in float32 on cpu " in one.sentence(1e-3)
    assert one.sentence(1e-3).endswith(", the file says float32 on cuda NVIDIA H200")


IMAGES = load("digits", split="test").images


def again(service: str, comparison: Comparison, chosen: NDArray[np.int64]) -> list[Replay]:
    with Client(service) as client:
        return replay(client, comparison, IMAGES, chosen)


def with_rows(comparison: Comparison, **changes: NDArray[np.float64]) -> Comparison:
    """The second model's rows altered."""
    first, second = comparison.scores
    return replace(comparison, scores=(first, replace(second, **changes)))


def test_rows_that_nobody_used_to_look_at_are_scored_too(
    in_process_service: str, comparison: Comparison
) -> None:
    """One model a nat better wherever a forger knows that no fixed row lies."""
    rng = np.random.default_rng(2)
    known = set.intersection(*(set(sample(comparison, 10, rng).tolist()) for _ in range(20)))
    assert len(known) == 5
    better = comparison.scores[1].distortion_nats - 1
    better[list(known)] += 1
    forged = with_rows(comparison, distortion_nats=better)
    sound, caught = again(in_process_service, forged, sample(forged, 10, rng))
    assert sound.reproduced(1e-3)
    assert not caught.reproduced(1e-3)
    assert "max |dD| 1 nats" in caught.sentence(1e-3)


def test_bounds_and_effective_samples_are_computed_again(
    in_process_service: str, comparison: Comparison
) -> None:
    true = comparison.scores[1]
    for change in (
        {"importance_bound_nats": true.importance_bound_nats + 0.5},
        {"importance_ess": true.importance_ess * 0.9},
        {"importance_ess": np.full(comparison.n, np.nan)},
    ):
        _, caught = again(in_process_service, with_rows(comparison, **change), np.arange(5))
        assert caught.sentence(1e-3).startswith("tiny-mpv: DIFFERS, max |dR| 0, max |dD| 0 nats over 5 rows")


def test_two_rows_that_changed_places_are_seen_when_all_are_scored(
    in_process_service: str, comparison: Comparison
) -> None:
    swapped = comparison.scores[1].distortion_nats.copy()
    swapped[[7, 8]] = swapped[[8, 7]]
    forged = with_rows(comparison, distortion_nats=swapped)
    every = sample(forged, forged.n, np.random.default_rng())
    assert every.tolist() == list(range(40))
    assert not again(in_process_service, forged, every)[1].reproduced(1e-3)
    assert seen(forged, 40) == "every image was scored again"
    assert "had 2 of the others been altered, this would have met one with probability" in seen(forged, 10)


def test_a_closed_form_that_is_none_is_denied(in_process_service: str, comparison: Comparison) -> None:
    first, second = comparison.scores
    forged = replace(comparison, scores=(first, replace(second, rate_is_exact=True)))
    _, caught = again(in_process_service, forged, np.arange(3))
    assert "its rates are estimates, the file denies it" in caught.sentence(1e-3)


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
        ("mean", "models[tiny-mpv].rate_nats is given as"),
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
        comparison = compare(client, MODELS, images)
        export.write_all(comparison.analysis, None, tmp_path, comparison.images)
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


def test_a_report_with_the_models_pictures_is_what_its_data_give(
    in_process_service: str, tmp_path: Path
) -> None:
    """Pictures, active latents and the images on which models differ are left out, and nothing else."""
    with Client(in_process_service) as client:
        drawn = compare(client, MODELS, IMAGES[:20], labels=np.arange(20) % 2, n_samples=2)
        drawn.report(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "Where they differ" in html
    assert " active" in html
    assert altered(html, drawn, drawn.images) == []
    assert altered(html.replace("</dl>", "<dt>note</dt><dd>better</dd></dl>", 1), drawn, drawn.images)


def test_a_report_whose_verdict_was_forged_fails(
    in_process_service: str, folder: Path, tmp_path: Path
) -> None:
    html = (folder / "report.html").read_text()
    name = next(model for model in MODELS if f'class="verdict">{model} ' in html)
    other = next(model for model in MODELS if model != name)
    start = f'class="verdict">{name} '
    (tmp_path / "report.html").write_text(html.replace(start, start.replace(name, other)))
    done = rdserve("verify", tmp_path / "report.html", "--server", in_process_service, "--rows", "4")
    assert done.returncode == 1
    assert f"the page says '{other} " in done.stdout


ZOO = Path(__file__).parents[2] / "zoo/digits"


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose decoder's logits are half of what they were, its card's hash made to fit."""
    to = tmp_path_factory.mktemp("halved") / "digits-mmm-b1.0"
    shutil.copytree(ZOO / to.name, to)
    weights = load_file(to / WEIGHTS_FILE)
    for name in ("decoder.body.6.weight", "decoder.body.6.bias"):
        weights[name] *= 0.5
    save_file(weights, to / WEIGHTS_FILE)
    card = read_card(to)
    found = card.weights.model_copy(update={"sha256": sha256_of(to / WEIGHTS_FILE)})
    write_card(card.model_copy(update={"weights": found}), to)
    return to


def test_a_card_that_its_weights_do_not_measure_is_found_out(halved: Path) -> None:
    """48 images cannot tell: packaging's own test lets it pass."""
    done = rdserve("verify", halved)
    assert done.returncode == 1
    assert "the card states reference.distortion_nats 13.2" in done.stdout
    assert ", measured here it is 14.89" in done.stdout
    assert "reference.rate_nats" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("digits-mmm-b1.0: DIFFERS from its card, over 400 images")


def test_packaging_measures_the_card_again_where_asked(
    halved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package([halved], store=tmp_path)
    with pytest.raises(typer.Exit):
        package([halved], store=tmp_path / "other", remeasure=True)
    said = capsys.readouterr()
    assert "its card is not what its weights measure" in said.err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["digits/digits-mmm-b1.0", "toy/toy-elbo"])
def test_a_sound_card_is_reproduced(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify_card(ZOO.parent / name, None, 1e-3)
    assert "its card's numbers are reproduced within 0.001 nats, over" in capsys.readouterr().out


def test_no_checkpoint_is_said_in_one_line(tmp_path: Path) -> None:
    done = rdserve("verify", tmp_path)
    assert done.returncode == Code.USAGE
    assert "no model.json here" in done.stderr
    assert len(done.stderr.splitlines()) == 1
