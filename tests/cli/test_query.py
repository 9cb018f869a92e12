from pathlib import Path

import numpy as np
import pytest
from rdserve.cli.exits import Code
from rdserve.client import Client
from rdserve.data import load
from shell import rdserve

IMAGES = load("digits", split="test").images[:6]
DIGITS = ("--data", "digits", "--limit", "6")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images as .npy, and in .npz files of one and of two arrays."""
    folder = tmp_path_factory.mktemp("images")
    np.save(folder / "x.npy", IMAGES)
    np.savez(folder / "one.npz", anything=IMAGES)
    np.savez(folder / "two.npz", images=IMAGES, labels=np.arange(6))
    np.savez(folder / "which.npz", a=IMAGES, b=IMAGES)
    np.save(folder / "objects.npy", np.array([{}], object))
    (folder / "text.npy").write_text("not an array")
    return folder


def test_models(in_process_service: str) -> None:
    done = rdserve("models", "--server", in_process_service)
    assert done.returncode == 0
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:4]] == [
        ["tiny-mmm", "---"],
        ["tiny-mpv", "-+v"],
        ["tiny-ppp", "+++"],
    ]


@pytest.mark.parametrize("source", ["x.npy", "one.npz", "two.npz"])
def test_a_file_is_scored_as_the_array_in_it(
    in_process_service: str, saved: Path, source: str, tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    done = rdserve(
        "score", "tiny-mpv", "--images", saved / source, "--server", in_process_service, "--out", out
    )
    assert done.returncode == 0, done.stderr
    with Client(in_process_service) as client:
        expected = client.score("tiny-mpv", IMAGES)
    assert f"R  {expected.rate_nats.mean():.2f}" in done.stdout
    table = np.genfromtxt(out, delimiter=",", names=True)
    np.testing.assert_allclose(table["rate_nats"], expected.rate_nats, rtol=1e-5)
    np.testing.assert_allclose(table["elbo_nats"], expected.elbo_nats, rtol=1e-5)


def test_encode_writes_what_the_client_returns(in_process_service: str, tmp_path: Path) -> None:
    with Client(in_process_service) as client:
        expected = client.encode("tiny-mmm", IMAGES, n_samples=2, seed=3)
    options = ("--server", in_process_service, "--n-samples", "2", "--seed", "3")
    for name in ("z.npz", "z.npy"):
        done = rdserve("encode", "tiny-mmm", *DIGITS, *options, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert "6 images to 4 latents, 2 samples each" in done.stdout
    np.testing.assert_allclose(np.load(tmp_path / "z.npy"), expected.posterior_mode, rtol=1e-5)
    with np.load(tmp_path / "z.npz") as written:
        assert set(written) == {"posterior_mode", "posterior_scale", "latents"}
        np.testing.assert_allclose(written["latents"], expected.latents, rtol=1e-5)


@pytest.mark.parametrize("command", [("reconstruct", *DIGITS), ("sample", "--n", "6")])
def test_images_go_to_arrays_and_pictures(
    in_process_service: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    verb, *options = command
    for name in ("x.npz", "x.npy", "x.png"):
        done = rdserve(verb, "tiny-mmm", *options, "--server", in_process_service, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert "█" in done.stdout
    assert np.load(tmp_path / "x.npy").shape == (6, 5, 8, 8)
    with np.load(tmp_path / "x.npz") as written:
        assert set(written) == {"latents", "images"}
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("score", "nope", *DIGITS), "no model 'nope' here; there are: tiny-mmm"),
        (("score", "tiny-mmm"), "give --images FILE, or --data NAME"),
        (("score", "tiny-mmm", "--images", "gone.npy"), "cannot read gone.npy: No such file or directory"),
        (("score", "tiny-mmm", "--images", "text.npy"), "text.npy is no .npy or .npz file; numpy.save"),
        (("score", "tiny-mmm", "--images", "objects.npy"), "(it holds Python objects, not numbers)"),
        (("score", "tiny-mmm", "--images", "which.npz"), "which.npz holds a, b; name one of them images"),
        (("score", "tiny-mmm", *DIGITS, "--out", "s.png"), "s.png: write to a file that ends in .npz, .csv"),
        (("encode", "tiny-mmm", *DIGITS, "--n-samples", "9999"), "n_samples must be a whole number in 1 .. "),
    ],
)
def test_a_mistake_is_one_line(
    in_process_service: str, saved: Path, arguments: tuple[str, ...], line: str
) -> None:
    done = rdserve(*arguments, "--server", in_process_service, cwd=saved)
    assert done.returncode == Code.USAGE
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_address_is_said_to_be_none() -> None:
    done = rdserve("models", "--server", "https://localhost:1")
    assert done.returncode == Code.USAGE
    assert done.stderr == (
        "rdserve: 'https://localhost:1' is no address of a service; write localhost:1 without https://\n"
    )


def test_no_service_says_how_to_start_one() -> None:
    done = rdserve("models", "--server", "localhost:1")
    assert done.returncode == Code.UNAVAILABLE
    line = (
        "rdserve: localhost:1: nothing answers there (Connection refused). "
        "Is it running? `rdserve serve --models DIR` starts one"
    )
    assert done.stderr.strip() == line
