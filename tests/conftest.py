"""Fixtures that more than one folder of tests uses: tiny checkpoints, and real services over them."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
import torch
from front import Front
from hypothesis import HealthCheck, settings
from rdserve.models.card_parts import Architecture
from rdserve.models.checkpoint import save
from rdserve.models.families import build, slug
from rdserve.v1.vae_pb2_grpc import VaeServiceStub
from running import Running, start_service
from shared import Shared, folder_of_the_run, shared
from tiny import tiny_card

# One thread in each process: tests run side by side, and sums are the same in this process as in a child.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

# Under nohup or a daemon SIGINT is ignored, here and in every child; some tests are of Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# The simplest, the paper's favourite, and every part complex.
SERVED_FAMILIES = ("---", "-+v", "+++")

MakeCheckpoint = Callable[..., Path]
Launch = Callable[..., Running]
StartFront = Callable[..., Front]


# What a test needs, by the fixtures it uses; files that start services of their own say so themselves.
TORCHSERVE = {"torchserve_service", "watched"}
SERVICE = {"launch", "front", "in_process_service"}
COSTS = ("unit", "service", "slow", "torchserve")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with what it needs, `unit` where that is nothing; what waits most comes first."""
    needs: dict[Path, int] = {}
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        for mark, fixtures in (("torchserve", TORCHSERVE), ("service", SERVICE)):
            if used & fixtures:
                item.add_marker(mark)
        marked = {mark.name for mark in item.iter_markers()} & set(COSTS)
        if not marked:
            item.add_marker("unit")
        cost = max(map(COSTS.index, marked), default=0)
        needs[item.path] = max(cost, needs.get(item.path, 0))
    items.sort(key=lambda item: -needs[item.path])


@pytest.fixture(scope="session")
def make_checkpoint() -> MakeCheckpoint:
    """make_checkpoint(folder, family, **changes to the card) -> folder / name, 8x8 with random weights.

    weights_seed: of the weights, 0 unless told.
    """

    def make(folder: Path, family: str = "---", **changes: object) -> Path:
        architecture = Architecture(family=family, image_size=8, latent_dim=4, width=0.125, n_pseudo_inputs=8)
        name = str(changes.pop("name", f"tiny-{slug(family)}"))
        torch.manual_seed(int(str(changes.pop("weights_seed", 0))))
        card = tiny_card(name, architecture, **changes)
        save(build(architecture), card, folder / card.name)
        return folder / card.name

    return make


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, make_checkpoint: MakeCheckpoint) -> Path:
    """A folder of tiny checkpoints: tiny-mmm, tiny-mpv, tiny-ppp."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for family in SERVED_FAMILIES:
        make_checkpoint(folder, family)
    return folder


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, checkpoints: Path) -> Path:
    """The same models as archives."""
    from rdserve.server.repository.packaging import package

    folder = tmp_path_factory.mktemp("store")
    for checkpoint in sorted(checkpoints.iterdir()):
        package(checkpoint, folder)
    return folder


@pytest.fixture
def launch() -> Iterator[Launch]:
    """launch(models, *arguments) -> a starting service of the test's own, stopped after it."""
    started: list[Running] = []

    def start(models: Path, *arguments: str) -> Running:
        started.append(start_service(models, *arguments))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture(scope="session")
def torchserve_service(tmp_path_factory: pytest.TempPathFactory, checkpoints: Path) -> Iterator[Shared]:
    """A running service on TorchServe over `checkpoints`, one for all the processes of a run."""
    with shared(folder_of_the_run(tmp_path_factory), checkpoints) as service:
        yield service


@pytest.fixture(scope="session")
def service(torchserve_service: Shared) -> str:
    """The address of a running service on TorchServe."""
    return torchserve_service.address


@pytest.fixture
def front() -> Iterator[StartFront]:
    """front(models, **settings) -> a service of the test's own inside this process, stopped after it."""
    started: list[Front] = []

    def start(models: Path, **settings: object) -> Front:
        started.append(Front(models, **settings))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture(scope="session")
def in_process_service(store: Path) -> Iterator[str]:
    """The address of a running service without TorchServe, inside this process."""
    front = Front(store)
    yield front.address
    front.stop()


@pytest.fixture
def channel(service: str) -> Iterator[grpc.Channel]:
    """A channel to the service on TorchServe."""
    with grpc.insecure_channel(service) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.Channel) -> VaeServiceStub:
    """Raw RPCs of the service on TorchServe."""
    return VaeServiceStub(channel)
