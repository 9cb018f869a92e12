"""The examples run, and say what the client says."""

import subprocess
import sys
from pathlib import Path

import pytest
from rdserve.client import Client
from rdserve.data import load

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, EXAMPLES / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_score_images(in_process_service: str) -> None:
    with Client(in_process_service) as client:
        score = client.score("tiny-mmm", load("digits", split="test").images)
    expected = f"R = {score.rate_nats.mean():.2f}, D = {score.distortion_nats.mean():.2f}"
    assert expected in run("score_images.py", in_process_service)


def test_compare_two_vaes_pairs_the_examples(in_process_service: str) -> None:
    printed = run("compare_two_vaes.py", "tiny-mmm", "tiny-mpv", in_process_service)
    with Client(in_process_service) as client:
        images = load("digits", split="test").images
        a, b = (client.score(name, images) for name in ("tiny-mmm", "tiny-mpv"))
    difference = b.distortion_nats - a.distortion_nats
    line = next(line for line in printed.splitlines() if line.split()[0] == "D")
    assert float(line.split()[-3]) == pytest.approx(difference.mean(), abs=0.006)
    gains = b.elbo_nats - a.elbo_nats
    favourites = printed.split("favour of tiny-mpv are images [")[1].split("]")[0].split(",")
    assert gains[int(favourites[0])] == pytest.approx(gains.max(), rel=1e-4)
