"""What a model must reproduce before it serves."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from front import Front
from rdserve.models.card import CARD_FILE, Card, read_card
from rdserve.models.card_parts import WEIGHTS_FILE
from rdserve.server.repository.archive import open_archive
from rdserve.server.repository.packaging import PackagingError, package
from rdserve.server.repository.selftest import SELFTEST_FILE, parse_selftest, questions
from rdserve.v1.vae_pb2 import MODEL_STATE_FAILED, ListModelsRequest, ScoreResponse
from rdserve.v1.vae_pb2_grpc import VaeServiceStub

ZOO = Path(__file__).parents[3] / "zoo" / "digits"
TRAINED = ZOO / "digits-mmm-b1.0"


@pytest.fixture(scope="module")
def trained() -> Card:
    return read_card(TRAINED)


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(TRAINED, tmp_path_factory.mktemp("packaged"))


def restated(card: Card, **reference: float) -> Card:
    return card.model_copy(update={"reference": card.reference.model_copy(update=reference)})


def test_a_trained_model_is_asked_about_images_of_its_card_s_split(packaged: Path, trained: Card) -> None:
    found = open_archive(packaged).selftest
    assert found.of_reference
    assert (found.seed, found.n_samples) == (trained.reference.seed, trained.reference.n_samples)
    assert len(found.rows) == len(found.distortion_nats) == 48
    assert max(found.example_ids) < trained.reference.n_examples


@pytest.mark.parametrize("name", ["rate_nats", "distortion_nats"])
def test_a_card_that_states_other_numbers_is_refused_with_both(
    trained: Card, tmp_path: Path, name: str
) -> None:
    stated = round(getattr(trained.reference, name) + 8, 2)
    checkpoint = tmp_path / TRAINED.name
    checkpoint.mkdir()
    (checkpoint / CARD_FILE).write_text(restated(trained, **{name: stated}).model_dump_json())
    (checkpoint / WEIGHTS_FILE).symlink_to(TRAINED / WEIGHTS_FILE)
    with pytest.raises(PackagingError, match=rf"mean {name[:-5]} of \d.*states {stated:.4g}"):
        package(checkpoint, tmp_path / "store")


def test_numbers_within_sampling_error_pass(packaged: Path, trained: Card) -> None:
    found, reference = open_archive(packaged).selftest, trained.reference
    answer = ScoreResponse(rate_nats=found.rate_nats, distortion_nats=found.distortion_nats)
    close = reference.distortion_nats + 2 * reference.distortion_standard_error_nats
    found.check(restated(trained, distortion_nats=close), answer)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b'{"seed": 0, "n_samples": 1, "rows": ["00"], "example_ids": [0]}', b'{"seed": -1}']
)
def test_what_is_no_self_test_is_refused(trained: Card, text: bytes) -> None:
    with pytest.raises(ValueError, match=r"Field|JSON|answers|greater"):
        parse_selftest(text, trained)


def test_images_of_another_size_are_refused(trained: Card, card: Card) -> None:
    other = card.model_copy(update={"input": card.input.model_copy(update={"shape": (28, 28)})})
    answers = {"rate_nats": [1.0] * 8, "distortion_nats": [1.0] * 8}
    text = questions(other, TRAINED).model_copy(update=answers).model_dump_json().encode()
    assert parse_selftest(text, other)
    with pytest.raises(ValueError, match="not those of"):
        parse_selftest(text, trained)


def test_a_model_that_is_not_the_one_packaged_does_not_serve(
    packaged: Path, tmp_path: Path, front: Callable[..., Front]
) -> None:
    """Sound weights, of another model of the same shape: only its answers give it away."""
    models = tmp_path / "models"
    models.mkdir()
    package(TRAINED, models)
    swap_weights(packaged, models / "swapped.mar", ZOO / "digits-mmv-b1.0", name="swapped")
    with grpc.insecure_channel(front(models).address) as channel:
        listed = VaeServiceStub(channel).ListModels(ListModelsRequest()).models
    reasons = {model.name: model.state_reason for model in listed if model.state == MODEL_STATE_FAILED}
    assert set(reasons) == {"swapped"}
    assert "when it was packaged" in reasons["swapped"] or "its card states" in reasons["swapped"]


def swap_weights(archive: Path, target: Path, checkpoint: Path, *, name: str) -> None:
    """The archive under another name, with another checkpoint's weights and a card and manifest that fit."""
    card = open_archive(archive).card
    weights = (checkpoint / WEIGHTS_FILE).read_bytes()
    found = card.weights.model_copy(update={"sha256": hashlib.sha256(weights).hexdigest()})
    architecture = read_card(checkpoint).architecture
    changed = card.model_copy(update={"name": name, "weights": found, "architecture": architecture})
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        for member in (entry for entry in old.namelist() if not entry.endswith("/")):
            data = old.read(member)
            if member == WEIGHTS_FILE:
                data = weights
            elif member == CARD_FILE:
                data = changed.model_dump_json().encode()
            elif member != SELFTEST_FILE:
                data = data.replace(card.name.encode(), name.encode())
            new.writestr(member, data)
