"""The Open Inference Protocol as a client that nobody here wrote sees it: tritonclient 2.73, as it comes.

It asks for a protobuf below 7, so it lives in an environment of its own, made once under build/.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from front import Front
from rdserve.client import Client

pytestmark = [pytest.mark.service, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
HOME = ROOT / "build" / "tritonclient"
WANTED = "tritonclient[grpc,http]==2.73.*"
MODEL = "tiny-mpv"
IMAGES = np.random.default_rng(1).random((5, 8, 8)) < 0.3
IDS = np.array([7, 1, 2**63, 3, 4], np.uint64)


@pytest.fixture(scope="module")
def python() -> Path:
    """A Python that has tritonclient."""
    found = HOME / "bin" / "python"
    if (HOME / "made").exists():
        return found
    shutil.rmtree(HOME, ignore_errors=True)
    make = ["venv", "--without-pip", str(HOME)]
    install = ["pip", "--python", str(found), "install", "--quiet", "--disable-pip-version-check", WANTED]
    for arguments in (make, install):
        done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            pytest.skip(f"no environment with {WANTED} can be made here: {last}")
    (HOME / "made").touch()
    return found


@pytest.fixture(scope="module")
def both(store: Path) -> Iterator[Front]:
    front = Front(store, http=0)
    yield front
    front.stop()


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_tritonclient_is_served(both: Front, python: Path, kind: str) -> None:
    address = both.address if kind == "grpc" else both.http.removeprefix("http://")
    script = ROOT / "tests/support/triton_calls.py"
    done = subprocess.run([python, script, kind, address, MODEL], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["live"]
    assert found["ready"] == [True, True]
    assert found["server"] == "rdserve"
    assert [each["name"] for each in found["metadata"]["inputs"]] == ["images", "seed", "example_ids"]
    config = found["config"].get("config", found["config"])
    assert config["input"][0]["data_type"] == "TYPE_UINT8"
    index = found["index"]["models"] if kind == "grpc" else found["index"]
    assert [each["name"] for each in index] == ["tiny-mmm", "tiny-mpv", "tiny-ppp"]
    assert int(found["statistics"]["model_stats"][0]["inference_count"]) >= 5
    with Client(both.address) as client:
        scored = client.score(MODEL, IMAGES, seed=3, example_ids=IDS, n_samples=2)
        np.testing.assert_allclose(found["rate"], scored.rate_nats, rtol=1e-5)
        np.testing.assert_allclose(found["distortion"], scored.distortion_nats, rtol=1e-5)
        encoded = client.encode(MODEL, IMAGES, seed=2**64 - 1, example_ids=IDS)
        np.testing.assert_allclose(found["latents"], encoded.latents[:, 0], rtol=1e-4, atol=1e-5)
        assert np.shape(found["decoded"]) == (5, 1, 8, 8)
        assert np.array_equal(found["reconstructed"], client.reconstruct(MODEL, IMAGES).images)
        assert np.array_equal(found["sampled"], client.sample(MODEL, 9).images)
    codes = ("404", "400", "400") if kind == "http" else ("NOT_FOUND", "INVALID_ARGUMENT", "INVALID_ARGUMENT")
    words = ("no model 'nope' here", "got 'BYTES'", "takes images of shape (N, 8, 8), got (5, 4, 8)")
    for (code, message), expected, part in zip(found["errors"], codes, words, strict=True):
        assert expected in code
        assert part in message
