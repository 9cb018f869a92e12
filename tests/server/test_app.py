"""Start and end: nothing stays behind, neighbours do not matter, bad archives stay their own problem."""

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
from front import Front
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from rdserve.cli.exits import Code
from rdserve.server.backends.torchserve.config import find_java
from rdserve.server.observability import logs
from rdserve.v1.vae_pb2 import MODEL_STATE_FAILED, GetModelRequest, NoiseKeys, ScoreRequest
from rdserve.v1.vae_pb2_grpc import VaeServiceStub
from rdserve.wire import tensors
from running import Running, until_line, until_serving
from shared import Shared
from shell import rdserve

Launch = Callable[..., Running]

ONE = np.zeros((1, 8, 8), bool)


def score(address: str, model: str = "tiny-mmm", *, samples: int = 1) -> float:
    with grpc.insecure_channel(address) as channel:
        request = ScoreRequest(
            model=model, images=tensors.to_message(ONE), noise=NoiseKeys(seed=1), n_samples=samples
        )
        return VaeServiceStub(channel).Score(request).rate_nats[0]


@pytest.fixture(scope="module")
def one(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of one archive."""
    folder = tmp_path_factory.mktemp("one")
    shutil.copy(store / "tiny-mmm.mar", folder)
    return folder


def survivors(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, alive = psutil.wait_procs(processes, timeout=40)
    return alive


def java_folder(processes: list[psutil.Process]) -> Path:
    (folder,) = {Path(p.cwd()) for p in processes if "org.pytorch.serve.ModelServer" in p.cmdline()}
    return folder


def test_a_killed_front_takes_everything_with_it_and_the_next_removes_what_it_left(
    launch: Launch, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = Path(tempfile.mkdtemp())  # short enough for sockets
    monkeypatch.setenv("TMPDIR", str(temporary))
    foreign = temporary / "rdserve-of-a-user"
    foreign.mkdir()
    service, living = launch(one), launch(one, "--backend", "in-process")
    until_serving(service)
    until_serving(living)
    processes = service.processes()
    left = set(temporary.iterdir())
    service.stop(signal.SIGKILL)
    assert not survivors(processes)
    next_one = until_serving(launch(one, "--backend", "in-process"))
    kept = left & set(temporary.iterdir())
    assert foreign in kept
    assert len(left - kept) == 2  # TorchServe's, and the front's own
    assert sum("which a service that was killed had left" in line for line in next_one.lines) == 2
    assert living.stop() == next_one.stop() == 0
    assert list(temporary.iterdir()) == [foreign]
    shutil.rmtree(temporary)


def test_a_signal_while_loading_ends_everything(launch: Launch, checkpoints: Path) -> None:
    service = launch(checkpoints)
    until_line(service, "loading ")
    processes = service.processes()
    assert service.stop(signal.SIGINT) == 0
    assert not survivors(processes)


def test_work_in_flight_is_finished(front: Callable[..., Front], one: Path) -> None:
    service = front(one)
    request = ScoreRequest(
        model="tiny-mmm", images=tensors.to_message(ONE), noise=NoiseKeys(seed=1), n_samples=5000
    )
    with grpc.insecure_channel(service.address) as channel:
        futures = [VaeServiceStub(channel).Score.future(request) for _ in range(8)]
        futures[0].result()
        service.stop()
        assert len({future.result().rate_nats[0] for future in futures}) == 1


def test_bad_models_beside_a_good_one(
    front: Callable[..., Front], one: Path, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(one, models)
    data = (one / "tiny-mmm.mar").read_bytes()
    (models / "truncated.mar").write_bytes(data[: len(data) // 2])
    (models / "random.mar").write_bytes(np.random.default_rng(0).bytes(5000))
    spoilt = make_checkpoint(models, name="spoilt")
    (spoilt / "model.safetensors").write_bytes(b"")
    service = front(models)
    assert f"serving 1 of 4 models on {service.address}" in service.lines
    assert np.isfinite(score(service.address))
    with grpc.insecure_channel(service.address) as channel:
        for name in ("truncated", "random", "spoilt"):
            model = VaeServiceStub(channel).GetModel(GetModelRequest(model=name)).model
            assert model.state == MODEL_STATE_FAILED
            assert name in model.state_reason
            health = HealthStub(channel).Check(HealthCheckRequest(service=name))
            assert health.status == HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.RpcError) as caught:
            score(service.address, "random")
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--models", "/nowhere"], "no folder /nowhere"),
        (["--models", "{empty}"], "holds no .mar archive"),
        (["--models", "{one}", "--host", "0.0.0.0"], "not a loopback address"),
        (["--models", "{one}", "--backend", "onnx"], "'onnx' is neither"),
        (
            ["--models", "{one}", "--port", "{taken}"],
            "cannot listen on 127.0.0.1:{taken}: Address already in use",
        ),
        (
            ["--models", "{one}", "--tls-cert", "x.pem"],
            "--tls-cert x.pem is a certificate without its key; give --tls-key",
        ),
    ],
)
def test_a_service_that_cannot_start_says_why(
    one: Path, tmp_path: Path, arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "set_up", lambda **_: None)  # the log is the process's, and this is the tests'
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        values = {"empty": tmp_path, "one": one, "taken": other.getsockname()[1]}
        done = rdserve("serve", *(argument.format(**values) for argument in arguments))
    assert done.returncode in (Code.USAGE, Code.UNAVAILABLE)
    (line,) = done.stderr.splitlines()
    assert line.startswith("rdserve serve: ")
    assert says.format(**values) in line
    assert not done.stdout  # nothing is announced that is not up


@pytest.fixture
def another_torchserve(one: Path, tmp_path: Path) -> Iterator[int]:
    """The port of a TorchServe that somebody else started, its temporary folder the machine's."""
    with socket.socket() as a, socket.socket() as b:
        a.bind(("127.0.0.1", 0))
        b.bind(("127.0.0.1", 0))
        inference, management = a.getsockname()[1], b.getsockname()[1]
    spec = find_spec("ts")  # importing it leaves a file open
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    config = tmp_path / "config.properties"
    config.write_text(
        f"inference_address=http://127.0.0.1:{inference}\nmanagement_address=http://127.0.0.1:{management}\n"
        "metrics_address=http://127.0.0.1:0\ngrpc_inference_port=0\ngrpc_management_port=0\n"
        "disable_token_authorization=true\n"
    )
    process = subprocess.Popen(
        [
            *(
                str(find_java()),
                f"-Dmodel_server_home={package.parent}",
                "-cp",
                str(package / "frontend" / "*"),
            ),
            *("org.pytorch.serve.ModelServer", "--python", sys.executable, "-f", str(config), "-ncs"),
            *("-s", str(one), "-m", "tiny-mmm.mar"),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "State change WORKER_STARTED -> WORKER_MODEL_LOADED" in line:
            break
    yield inference
    process.terminate()
    process.stdout.close()
    process.wait()


def test_ctrl_c_ends_everything_of_ours_and_nothing_of_others(
    launch: Launch, another_torchserve: int, one: Path, service: str
) -> None:
    """SIGTERM does the same: see test_drain."""
    ours = until_serving(launch(one))
    assert score(ours.address) == score(service)
    processes = ours.processes()
    assert len(processes) >= 3  # front, Java, worker
    folder = java_folder(processes)
    assert ours.stop(signal.SIGINT) == 0
    assert not survivors(processes)
    assert ours.lines[-1] == "stopped"
    assert not folder.exists()
    assert score(service) == score(service)
    with urllib.request.urlopen(f"http://127.0.0.1:{another_torchserve}/ping", timeout=30) as answer:
        assert b"Healthy" in answer.read()


def test_no_tcp_port_but_the_front_s_answers_strangers(torchserve_service: Shared) -> None:
    """TorchServe's HTTP is on Unix sockets in a private folder; what TCP it has is gRPC on loopback."""
    addresses = {
        connection.laddr.ip
        for process in torchserve_service.processes()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}
    folder = java_folder(torchserve_service.processes())
    assert folder.stat().st_mode & 0o077 == 0
