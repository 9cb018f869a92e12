import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import numpy as np
import pytest
from engines import Scripted, all_models, failing, rate_of, score_of
from points import MODEL
from polling import LONG_SECONDS
from rdserve.client import Client, InputError, errors
from rdserve.compare.api import compare
from rdserve.compare.scoring import executor, ray_engine
from rdserve.compare.scoring import run as runner
from rdserve.compare.scoring.engines import Chunk, Scored
from rdserve.compare.scoring.row_store import COLUMNS
from rdserve.data import load
from rdserve.v1.vae_pb2 import CompareRequest, CompareResponse, ScoreResponse
from rdserve.v1.vae_pb2_grpc import VaeServiceStub
from running import Running, until_serving
from scripted import scripted

IMAGES = load("digits", split="train").images
NAMES = ["tiny-mmm", "tiny-mpv", "tiny-ppp"]
SUPPORT = Path(__file__).parents[2] / "support"


def models(*names: str) -> list[Any]:
    return [replace(MODEL, name=name) for name in names]


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that failed are tried again at once."""
    monkeypatch.setattr(executor, "AGAIN_SECONDS", 1e-3)


@pytest.mark.parametrize("n_samples", [1, 3])
def test_rows_are_those_of_score(service: str, n_samples: int) -> None:
    ids = np.arange(len(IMAGES))[::-1]
    options: dict[str, Any] = {"n_samples": n_samples, "seed": 3}
    with Client(service) as client:
        served = client.models()
        outcome = runner.run(client, served, IMAGES, ids=ids, **options)
        again = runner.run(client, served[1:2], IMAGES, ids=ids, **options)
        for name in NAMES:
            alone = client.score(name, IMAGES, example_ids=ids, **options)
            for column in COLUMNS:
                values = getattr(outcome.scores[name], column)
                np.testing.assert_allclose(values, getattr(alone, column), rtol=1e-5, atol=1e-5)
            assert outcome.scores[name].rate_is_exact == alone.rate_is_exact
    assert not outcome.failures
    for column in COLUMNS:  # to the last digit, whoever else is scored
        np.testing.assert_array_equal(
            getattr(again.scores["tiny-mpv"], column), getattr(outcome.scores["tiny-mpv"], column)
        )


def test_one_upload_per_chunk_and_every_row_in_its_place() -> None:
    engine, seen = Scripted(), Counter[str]()
    ids = np.random.default_rng(0).permutation(3 * len(IMAGES))[: len(IMAGES)]

    def count(model: str, rows: int) -> None:
        seen[model] += rows

    outcome = runner.run(engine, models("a", "b"), IMAGES, ids=ids, n_samples=3, on_progress=count)
    assert sorted(len(call.ids) for call in engine.calls) == [7, *[85] * 14]
    assert all(call.models == ["a", "b"] for call in engine.calls)
    assert seen == {"a": len(IMAGES), "b": len(IMAGES)}
    for score in outcome.scores.values():
        np.testing.assert_array_equal(score.rate_nats, rate_of(ids))


def test_a_model_that_fails_is_named_and_the_others_finish() -> None:
    broken = failing("b", errors.Internal("NaN in row 3", reason="NUMERIC_FAILURE"))
    outcome = runner.run(Scripted(broken), models("a", "b", "c"), IMAGES)
    assert list(outcome.scores) == ["a", "c"]
    assert outcome.failures == {"b": "NUMERIC_FAILURE: NaN in row 3"}


def test_where_all_fail_the_first_is_raised_by_name() -> None:
    def refuse(chunk: Chunk) -> Iterator[Scored]:
        raise errors.Unauthenticated("no token")

    with pytest.raises(errors.Unauthenticated, match="no token") as caught:
        runner.run(Scripted(refuse), models("a"), IMAGES)
    assert caught.value.__notes__ == ["model 'a'"]


@pytest.mark.usefixtures("no_waiting")
def test_what_may_pass_is_tried_again() -> None:
    failed: set[tuple[str, int]] = set()

    def flaky(chunk: Chunk) -> Iterator[Scored]:
        for model, score in all_models(chunk):
            if (model, int(chunk.ids[0])) not in failed:
                failed.add((model, int(chunk.ids[0])))
                yield model, errors.Unavailable("restarting")
            else:
                yield model, score

    outcome = runner.run(Scripted(flaky), models("a"), IMAGES)
    np.testing.assert_array_equal(outcome.scores["a"].rate_nats, rate_of(np.arange(len(IMAGES))))


@pytest.mark.usefixtures("no_waiting")
def test_a_call_that_breaks_off_keeps_what_it_gave() -> None:
    def breaks_off(chunk: Chunk) -> Iterator[Scored]:
        yield "a", score_of(chunk)
        raise errors.DeadlineExceeded("after 300 s")

    outcome = runner.run(Scripted(breaks_off), models("a", "b"), IMAGES)
    assert list(outcome.scores) == ["a"]
    assert outcome.failures == {"b": "DeadlineExceeded: after 300 s"}


@pytest.mark.usefixtures("no_waiting")
def test_at_the_deadline_what_came_is_kept_and_who_is_silent_is_given_up() -> None:
    def half_silent(request: CompareRequest, context: grpc.ServicerContext) -> Any:
        ended = Event()
        context.add_callback(ended.set)
        n = request.images.shape[0]
        columns = {name: np.zeros(n) for name in COLUMNS}
        if "quick" in request.models:
            yield CompareResponse(model="quick", scores=ScoreResponse(**columns))
        if "silent" in request.models:
            ended.wait()

    with scripted(Compare=half_silent) as address, Client(address, timeout=1.0) as client:
        outcome = runner.run(client, models("quick", "silent"), IMAGES[:300])
    assert list(outcome.scores) == ["quick"]
    assert outcome.failures["silent"].startswith("DeadlineExceeded: ")


def test_calls_that_never_end_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(executor, "AGAIN_SECONDS", 1e-3)
    released = Event()

    def silent(chunk: Chunk) -> Iterator[Scored]:
        yield "a", score_of(chunk)
        if "b" in chunk.models:
            released.wait()

    outcome = runner.run(Scripted(silent, timeout=0.05), models("a", "b"), IMAGES[:300])
    released.set()
    assert list(outcome.scores) == ["a"]
    assert outcome.failures["b"].startswith("DeadlineExceeded: nothing came for 0.05 s")


def test_a_run_goes_on_by_itself_when_its_killed_service_is_back(
    launch: Callable[..., Running], checkpoints: Path, tmp_path: Path
) -> None:
    options = ("--backend", "in-process")
    first = until_serving(launch(checkpoints, *options))
    command = [sys.executable, SUPPORT / "killed_run.py", tmp_path / "rows", first.address]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        first.stop(signal.SIGKILL)
        until_serving(launch(checkpoints, *options, "--port", first.address.rsplit(":", 1)[1]))
        try:
            rest, errors = process.communicate(timeout=LONG_SECONDS)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    assert len(errors.splitlines()) == 1
    assert "the run goes on once it is back" in errors
    done = Counter[str]()
    for line in [*lines, *rest.splitlines()]:
        done[line.split()[0]] += int(line.split()[1])
    assert done == dict.fromkeys(NAMES, len(IMAGES))
    with Client(first.address) as client:
        again = runner.run(client, client.models(), IMAGES, folder=tmp_path / "rows")
        whole = runner.run(client, client.models(), IMAGES)
    for name in NAMES:
        for column in COLUMNS:
            np.testing.assert_array_equal(
                getattr(again.scores[name], column), getattr(whole.scores[name], column)
            )


def test_a_model_that_does_not_answer_holds_nobody_back(tmp_path: Path) -> None:
    released = Event()

    def half_stuck(chunk: Chunk) -> Iterator[Scored]:
        yield "quick", score_of(chunk)
        if "stuck" in chunk.models:
            released.wait()
            yield "stuck", score_of(chunk)

    done = Counter[str]()

    def count(model: str, rows: int) -> None:
        done[model] += rows
        if done["quick"] == len(IMAGES):
            assert model == "stuck" or not done["stuck"]
            released.set()

    outcome = runner.run(
        Scripted(half_stuck), models("quick", "stuck"), IMAGES, n_samples=16, on_progress=count
    )
    assert done["stuck"] == len(IMAGES)
    np.testing.assert_array_equal(outcome.scores["stuck"].rate_nats, rate_of(np.arange(len(IMAGES))))


def test_goes_on_from_where_it_was_and_adds_models(tmp_path: Path) -> None:
    first = Scripted()
    with runner.ScoringRun(first, models("a"), IMAGES, folder=tmp_path) as run:
        outcome = run.until(300)
        assert len(outcome.scores["a"].rate_nats) == 300
        assert sum(len(call.ids) for call in first.calls) == 512
    second = Scripted()
    runner.run(second, models("a", "b"), IMAGES, folder=tmp_path)
    asked = Counter((model, row) for call in second.calls for model in call.models for row in call.ids)
    assert set(asked.values()) == {1}
    assert {row for model, row in asked if model == "a"} == set(range(512, len(IMAGES)))
    third = Scripted()
    again = runner.run(third, models("a", "b"), IMAGES, folder=tmp_path)
    assert not third.calls
    np.testing.assert_array_equal(again.scores["b"].rate_nats, rate_of(np.arange(len(IMAGES))))


def test_another_run_is_refused_until_started_over(tmp_path: Path) -> None:
    runner.run(Scripted(), models("a"), IMAGES[:9], folder=tmp_path)
    for change in ({"seed": 1}, {"n_samples": 2}, {"ids": np.arange(1, 10)}):
        name = next(iter(change)).replace("ids", "ids_sha256")
        with pytest.raises(InputError, match=f"another run: .*{name} is "):
            runner.run(Scripted(), models("a"), IMAGES[:9], folder=tmp_path, **change)
    with pytest.raises(InputError, match="images_sha256 is "):
        runner.run(Scripted(), models("a"), IMAGES[1:10], folder=tmp_path)
    runner.run(Scripted(), models("a"), IMAGES[1:10], folder=tmp_path, restart=True)


def test_nothing_to_score_is_said() -> None:
    with pytest.raises(InputError, match="1 models and 0 images"):
        runner.run(Scripted(), models("a"), IMAGES[:0])


def test_killed_it_goes_on_and_no_row_is_scored_twice(in_process_service: str, tmp_path: Path) -> None:
    scored: Counter[tuple[str, int]] = Counter()
    first_calls: list[CompareRequest] = []

    with grpc.insecure_channel(in_process_service) as channel:
        real = VaeServiceStub(channel)

        def forward(request: CompareRequest, _: grpc.ServicerContext) -> Any:
            scored.update((model, row) for model in request.models for row in request.noise.example_ids)
            yield from real.Compare(request)

        def forward_two(request: CompareRequest, context: grpc.ServicerContext) -> Any:
            ended = Event()
            first_calls.append(request)
            if len(first_calls) > 2:
                context.add_callback(ended.set)
                ended.wait()
            else:
                yield from forward(request, context)

        def listing(request: Any, _: grpc.ServicerContext) -> Any:
            return real.ListModels(request)

        command = [sys.executable, SUPPORT / "killed_run.py", tmp_path / "rows"]
        with (
            scripted(Compare=forward_two, ListModels=listing) as address,
            subprocess.Popen([*command, address], stdout=subprocess.PIPE, text=True) as process,
        ):
            assert process.stdout is not None
            for _ in range(2 * len(NAMES)):  # the two calls that are answered, on disk
                assert process.stdout.readline().split()[1] == "256"
            process.send_signal(signal.SIGKILL)
        with scripted(Compare=forward, ListModels=listing) as address:
            done = subprocess.run([*command, address], capture_output=True, text=True, check=True)
    assert process.returncode == -signal.SIGKILL
    assert done.stdout.splitlines()[: len(NAMES)] == [f"{name} 512" for name in NAMES]
    assert scored == {(name, row): 1 for name in NAMES for row in range(len(IMAGES))}
    with Client(in_process_service) as client:
        again = runner.run(client, client.models(), IMAGES, folder=tmp_path / "rows")
        whole = runner.run(client, client.models(), IMAGES)
    for name in NAMES:
        np.testing.assert_array_equal(again.scores[name].distortion_nats, whole.scores[name].distortion_nats)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (
            {"dtype": "bfloat16"},
            "weights 111111111111 float32 on cpu there, 111111111111 bfloat16 on cpu now",
        ),
        (
            {"device": "cuda NVIDIA H200"},
            "float32 on cpu there, 111111111111 float32 on cuda NVIDIA H200 now",
        ),
    ],
)
def test_rows_of_another_precision_or_device_are_not_mixed_in(
    now: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (model,) = (replace(one, device="cpu AVX512") for one in models("a"))
    first = runner.run(Scripted(), [model], IMAGES[:300], folder=tmp_path / "rows")
    with pytest.raises(InputError, match=words):
        runner.run(Scripted(), [replace(model, **now)], IMAGES[:300], folder=tmp_path / "rows")
    replica = runner.run(
        Scripted(), [replace(model, device="cpu AVX2")], IMAGES[:300], folder=tmp_path / "rows"
    )
    np.testing.assert_array_equal(replica.scores["a"].rate_nats, first.scores["a"].rate_nats)


@pytest.mark.slow
def test_half_a_million_rows_take_no_more_memory_than_their_ids(tmp_path: Path) -> None:
    command = [sys.executable, SUPPORT / "lean_run.py", tmp_path, "500000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    scoring, statistics = map(float, done.stdout.split())
    # Four models' rows are 64 MB, of which none stay; ids are 4 MB, and are hashed; a column is 4 MB.
    assert scoring < 24
    assert statistics < 48


def test_compare_leaves_out_what_failed_and_says_so(in_process_service: str) -> None:
    broken = failing("tiny-mpv", errors.Internal("NaN in row 3", reason="NUMERIC_FAILURE"))
    with Client(in_process_service) as client:
        comparison = compare(client, NAMES, IMAGES[:20], engine=Scripted(broken))
    assert comparison.names == ("tiny-mmm", "tiny-ppp")
    assert comparison.failures == {"tiny-mpv": "NUMERIC_FAILURE: NaN in row 3"}
    assert "tiny-mpv is left out, it failed: NUMERIC_FAILURE: NaN in row 3" in comparison.warnings


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'rdserve\[ray\]'"):
        ray_engine.RayEngine("localhost:1")
