"""The examples run, and say what the client says."""

import asyncio
import subprocess
import sys
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
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


def test_score_with_asyncio(in_process_service: str) -> None:
    first, *rest = run("score_with_asyncio.py", in_process_service).splitlines()
    with Client(in_process_service) as client:
        score = client.score("tiny-mmm", load("digits", split="test").images)
    assert f"R = {score.rate_nats.mean():.2f}, D = {score.distortion_nats.mean():.2f}" in first
    said = [float(line.split("R = ")[1].split(",")[0]) for line in rest]
    np.testing.assert_allclose(said, score.rate_nats[:8], atol=0.006)


async def test_score_in_fastapi(in_process_service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("fastapi")
    monkeypatch.setenv("RDSERVE_AT", in_process_service)
    app = run_path(str(EXAMPLES / "score_in_fastapi.py"))["app"]
    images = load("digits", split="test").images[:20]
    with Client(in_process_service) as client:
        expected = client.score("tiny-mpv", images)
    server = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=server, base_url="http://a") as web,
    ):

        async def ask(number: int) -> Any:
            image = {"pixels": images[number].astype(int).tolist(), "id": number}
            return await web.post("/models/tiny-mpv/score", json=image)

        replies = await asyncio.gather(*map(ask, range(20)))
        wrong = [
            await web.post(f"/models/{model}/score", json={"pixels": pixels})
            for model, pixels in (("nope", [[0, 1]]), ("tiny-mpv", [[0, 2]]), ("tiny-mpv", [[0, 1]]))
        ]
    rates, distortions = zip(
        *((each.json()["rate"], each.json()["distortion"]) for each in replies), strict=True
    )
    np.testing.assert_allclose(rates, expected.rate_nats, rtol=1e-4)
    np.testing.assert_allclose(distortions, expected.distortion_nats, rtol=1e-4)
    assert [each.status_code for each in wrong] == [404, 422, 422]
    assert "did you mean" in wrong[0].text or "there are" in wrong[0].text
