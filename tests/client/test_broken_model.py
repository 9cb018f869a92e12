"""A store of a good model and a broken one, as users of the good one meet it."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from front import Front
from rdserve.client import Client, FailedPrecondition, InputError
from rdserve.compare.api import compare
from rdserve.data import load
from shell import rdserve

pytestmark = pytest.mark.service

ROOT = Path(__file__).parents[2]
IMAGES = load("digits", split="test").images[:5]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, make_checkpoint: Callable[..., Path]) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("models")
    make_checkpoint(folder, name="good")
    with (make_checkpoint(folder, name="broken") / "model.safetensors").open("ab") as weights:
        weights.write(b"more")
    front = Front(folder)
    yield front.address
    front.stop()


def test_the_client_lists_it_with_its_reason_and_refuses_it_by_name(address: str) -> None:
    with Client(address) as client:
        broken, good = client.models()
        assert (broken.name, broken.state, broken.image_shape) == ("broken", "FAILED", None)
        assert "model.safetensors" in broken.state_reason
        assert client.model("broken") == broken
        assert good.fault == ""
        with pytest.raises(FailedPrecondition, match="model 'broken' has failed: ") as caught:
            client.score("broken", IMAGES)
        assert (caught.value.reason, caught.value.retry_after_s) == ("MODEL_FAILED", None)
        with pytest.raises(InputError, match="model 'broken' is FAILED: "):
            compare(client, ["good", "broken"], IMAGES)
        comparison = compare(client, None, IMAGES)
    assert comparison.names == ("good",)
    assert comparison.warnings[0].startswith("broken is left out: it is FAILED: ")


def test_commands_work_on_the_good_one(address: str, tmp_path: Path) -> None:
    listed = rdserve("models", "--server", address)
    assert listed.returncode == 0, listed.stderr
    assert "failed: " in listed.stdout
    wanted = ("compare", "--server", address, "--limit", "5", "--out", tmp_path)
    everything = rdserve(*wanted)
    assert everything.returncode == 0, everything.stderr
    assert "left out: model 'broken' is FAILED: " in everything.stderr
    named = rdserve(*wanted, "--models", "broken")
    assert named.returncode != 0
    assert "model 'broken' is FAILED: " in named.stderr
    assert len(named.stderr.splitlines()) == 1


def test_the_readme_s_example_goes_on_without_it(address: str) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    code = block.replace("localhost:50051", address)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["good"]
