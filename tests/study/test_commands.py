"""The study's commands end to end, as a user's shell runs them."""

import json
from pathlib import Path

import jsonschema
import pytest
import typer
from rdserve.cli import connection
from rdserve.cli.commands.figures import chosen_names
from rdserve.cli.commands.results import chosen_splits
from rdserve.cli.exits import Code
from rdserve.client import Client
from shell import rdserve

pytestmark = pytest.mark.slow

ZOO = Path(__file__).parents[2] / "zoo"
MODELS = ("digits-mmm-b1.0", "digits-mpv-b0.1-annealed")  # by rate


def test_figures_of_a_small_zoo(in_process_service: str, tmp_path: Path) -> None:
    few = ("--limit", "30", "--images", "6", "--work", tmp_path / "work", "--toy", ZOO / "toy")
    done = rdserve("figures", "--server", in_process_service, "--out", tmp_path / "out", *few)
    assert done.returncode == 0, done.stderr
    drawn = {path.stem for path in (tmp_path / "out").iterdir()}
    assert {"figure-2", "figure-3a", "figure-3a-parts", "figure-3b", "figure-5", "figure-6"} <= drawn
    assert "figure-5: not in the zoo: --v at beta 1\n" in done.stderr
    # tiny-mpv is at beta 1, and was not annealed.
    assert "figure-4a" not in drawn
    assert "figure-4a: not drawn, none of its models is in the zoo\n" in done.stderr
    assert all((tmp_path / "out" / f"{name}.svg").exists() for name in drawn)
    svg = (tmp_path / "out" / "figure-3a.svg").read_text()
    assert "digits (test, 30 of 400 images)" in svg


def test_figures_have_names() -> None:
    assert chosen_names("3a, 6") == ["3a", "6"]
    with pytest.raises(typer.BadParameter, match="no figure 7; there are 2, 3a, 3b, 4a, 4b, 4c, 4d, 5, 6"):
        chosen_names("3a,7")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two trained models, served without TorchServe, on which the numbers are the same."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "zoo").mkdir()
    for name in MODELS:
        (folder / "zoo" / name).symlink_to(ZOO / "digits" / name)
    few = ("--images", "20", "--n-bounds", "50", "--n-generated", "20", "--splits", "test,valid")
    where = ("--models", "zoo", "--data", "digits", "--out", "docs", "--work", "work")
    start = connection.private_service
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "private_service", lambda *given: start(*given, "--backend", "in-process"))
        done = rdserve("results", *where, *few, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "loading 2 models on in-process" in done.stderr
    assert "targets: 19 not comparable" in done.stdout
    return folder / "docs"


def test_every_number_has_its_split_its_seed_and_its_count(made: Path) -> None:
    document = json.loads((made / "results.json").read_text())
    jsonschema.validate(document, json.loads((ZOO.parent / "study/results.schema.json").read_text()))
    assert document["all_images"] is True
    assert [model["name"] for model in document["models"]] == list(MODELS)
    for model in document["models"]:
        for split, n in (("test", 400), ("valid", 200)):
            place = model["scores"][split]
            assert (place["split"], place["n"], place["seed"], place["n_samples"]) == (split, n, 0, 16)
        assert model["card"]["reproduced"] is True
        assert (model["category"]["by"], model["category"]["n"]) == ("measured", 20)
        assert (model["bounds"]["encoded"]["n"], model["bounds"]["generated"]["n"]) == (50, 20)
        assert model["architecture"]["width"] < 1
    assert document["classifier"]["accuracy"] == pytest.approx(0.9625)
    assert document["models"][1]["category"]["name"] == "syntactic encoder"


def test_the_page_says_the_same_and_what_makes_it(made: Path) -> None:
    page = (made / "results.md").read_text()
    document = json.loads((made / "results.json").read_text())
    assert f"    {document['command']}\n" in page
    assert document["data"]["binarisation"] == "grey level >= 8 of 16"
    assert "Binary images: grey level" in page
    assert "--models zoo --data digits --splits test,valid --images 20" in page
    for model in document["models"]:
        (line,) = (
            line
            for line in page.splitlines()
            if line.startswith(f"| `{model['name']}` | `{model['family']}`")
        )
        assert f"| {model['scores']['test']['distortion_nats']:.2f} |" in line
    assert "--v at beta 1: R 24 to 29 | R 25.4 | – | **not comparable**" in page
    assert "syntactic encoder" in page
    assert "50 images tell no I above log 50 = 3.91" in page


def test_a_part_of_the_images_is_said(in_process_service: str, tmp_path: Path) -> None:
    few = ("--splits", "test", "--limit", "25", "--images", "5", "--data", "digits")
    where = ("--out", tmp_path, "--work", tmp_path / "work")
    done = rdserve("results", "--server", in_process_service, *few, *where)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "results.md").read_text()
    assert "**Of a part of the images only: 25 of 400 (test), drawn at random.**" in page
    assert page.count("test split, 25 of 400 images") == 2
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["all_images"] is False
    assert all(model["card"]["reproduced"] is None for model in document["models"])
    assert all(model["bounds"] is None for model in document["models"])  # their weights are the service's
    with Client(in_process_service) as client:
        assert {model["name"] for model in document["models"]} == {model.name for model in client.models()}


def test_the_test_split_comes_first_and_is_never_left_out() -> None:
    assert chosen_splits("train, valid,test") == ["test", "valid", "train"]
    for wrong in ("train", "test,dev"):
        with pytest.raises(typer.BadParameter, match=f"test among them; got {wrong}"):
            chosen_splits(wrong)


def test_bounds_of_checkpoints(tmp_path: Path) -> None:
    few = ("--limit", "40", "--n-generated", "10", "--k", "4", "--out", tmp_path / "bounds.json")
    done = rdserve("bounds", *(ZOO / "digits" / name for name in MODELS), *few)
    assert done.returncode == 0, done.stderr
    assert "log 40 = 3.69" in done.stdout
    deconv, sharp = json.loads((tmp_path / "bounds.json").read_text())
    assert (deconv["model"], deconv["split"], deconv["seed"], deconv["encoded"]["n"]) == (
        MODELS[0],
        "test",
        0,
        40,
    )
    assert sharp["saturated"] is True
    wrong = rdserve("bounds", ZOO / "toy" / "toy-elbo")
    assert wrong.returncode == Code.USAGE
    assert "takes (1, 30) images, digits has others" in wrong.stderr
