"""Where a zoo stands, as JSON: every number with its split, its seed and how many images it is a mean of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rdserve.client import ModelInfo
from rdserve.study import published, targets
from rdserve.study.categories import Categorised
from rdserve.study.classifier import Classifier
from rdserve.study.figure_selection import find, stand_in
from rdserve.study.subset import Examples
from rdserve.study.targets import Target, Zoo
from rdserve.study.zoo_scores import ScoredModel, ScoredZoo

SCHEMA = "rdserve-results/1"
SPLITS = ("train", "valid", "test")
JUDGED_ON = "test"
# Nats between a card's own numbers and the service's: what rounding costs.
REPRODUCED = 1e-2


@dataclass(frozen=True)
class Study:
    """All that was measured. scored: by split, the test split among them.

    filed, bounds: by model; bounds as JSON holds them. architectures, training: by model, as on its card,
    where that is at hand.
    """

    scored: Mapping[str, ScoredZoo]
    categorised: Mapping[str, Categorised]
    of: Examples
    classifier: Classifier | None
    bounds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    architectures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def judged(self) -> ScoredZoo:
        """On the split by which targets are judged."""
        return self.scored[JUDGED_ON]

    @property
    def is_whole(self) -> bool:
        """Whether every split was scored on all of its images."""
        return all(zoo.examples.is_whole for zoo in self.scored.values())

    @property
    def targets(self) -> list[Target]:
        """Met, missed, or not trained."""
        sizes = {name: _is_paper_size(one) for name, one in self.architectures.items()}
        zoo = Zoo(self.judged.all, sizes, self.starts)
        return targets.evaluate(zoo, comparable=self.judged.examples.dataset.name == published.DATA)

    @property
    def starts(self) -> dict[str, str]:
        """By model, the checkpoint whose weights it began from; "" for random ones."""
        return {name: str(one["start"]) for name, one in self.training.items() if "start" in one}

    def model(self, name: str, split: str) -> ScoredModel | None:
        """A model on a split."""
        there = self.scored[split].all if split in self.scored else ()
        return next((model for model in there if model.name == name), None)


def document(study: Study, command: str) -> dict[str, Any]:
    """What `rdserve.compare.render.json_stream.text` writes down. command: what makes these results again."""
    dataset = study.judged.examples.dataset
    best = min(study.judged.all, key=lambda model: model.cost)
    return {
        "schema": SCHEMA,
        "units": "nats per image, summed over pixels and latents; errors are standard errors over images",
        "command": command,
        "data": {"name": dataset.name, "sha256": dataset.sha256, "binarisation": dataset.binarisation},
        "splits": {split: _extent(zoo.examples) for split, zoo in study.scored.items()},
        "all_images": study.is_whole,
        "best": {"model": best.name, **_place(best, study.judged.examples)},
        "targets": [asdict(target) | _extent(study.judged.examples) for target in study.targets],
        "published": [_beside(one, study) for one in published.PUBLISHED] if _is_the_papers(study) else [],
        "classifier": _classifier(study.classifier),
        "models": [_model(model, study) for model in study.judged.all],
        "failures": {split: dict(zoo.failures) for split, zoo in study.scored.items()},
    }


def _is_the_papers(study: Study) -> bool:
    return study.judged.examples.dataset.name == published.DATA


def _is_paper_size(architecture: Mapping[str, Any]) -> bool:
    return architecture.get("width") == 1.0 and architecture.get("latent_dim") == 64


def _extent(examples: Examples) -> dict[str, Any]:
    return {"split": examples.dataset.split, "n": examples.n, "of": len(examples.dataset.images)}


def _model(model: ScoredModel, study: Study) -> dict[str, Any]:
    places = {split: study.model(model.name, split) for split in study.scored}
    return {
        "name": model.name,
        "family": model.family,
        "beta": model.beta,
        "annealed": model.annealed,
        **{
            name: getattr(model.info, name) for name in ("objective", "weights_sha256", "dtype", "latent_dim")
        },
        "architecture": dict(study.architectures.get(model.name, {})),
        "training": dict(study.training.get(model.name, {})),
        "scores": {
            split: _place(place, study.scored[split].examples) for split, place in places.items() if place
        },
        "card": _card(
            model.info, places.get(model.info.reference.split) if model.info.reference else None, study
        ),
        "category": _category(study.categorised[model.name], study.of)
        if model.name in study.categorised
        else None,
        "bounds": dict(study.bounds[model.name]) if model.name in study.bounds else None,
    }


def _place(model: ScoredModel, of: Examples) -> dict[str, Any]:
    row = model.row
    return _extent(of) | {
        "seed": model.seed,
        "n_samples": row.n_samples,
        "rate_nats": row.rate_nats,
        "rate_standard_error_nats": row.rate_standard_error_nats,
        "rate_is_exact": row.rate_is_exact,
        "distortion_nats": row.distortion_nats,
        "distortion_standard_error_nats": row.distortion_standard_error_nats,
        "elbo_nats": row.elbo_nats,
        "elbo_standard_error_nats": row.elbo_standard_error_nats,
        "importance_bound_nats": row.importance_bound_nats,
        "on_frontier": row.on_frontier,
    }


def _card(info: ModelInfo, model: ScoredModel | None, study: Study) -> dict[str, Any] | None:
    """The card's own numbers, and how far the service's are from them; null unless on the same images."""
    said = info.reference
    if said is None:
        return None
    differ = None
    if model is not None and model.row.n == said.n_examples and study.scored[said.split].examples.is_whole:
        differ = max(
            abs(model.row.rate_nats - said.rate_nats), abs(model.row.distortion_nats - said.distortion_nats)
        )
    names = ("split", "n_examples", "seed", "n_samples", "rate_nats", "distortion_nats")
    stated = {name: getattr(said, name) for name in names}
    reproduced = None if differ is None else differ <= REPRODUCED
    return stated | {"difference_nats": differ, "reproduced": reproduced}


def _category(categorised: Categorised, of: Examples) -> dict[str, Any]:
    about = {
        "name": str(categorised.category),
        "by": categorised.by,
        "support": categorised.support,
    } | _extent(of)
    return about | asdict(categorised.fidelity) | {"kept": categorised.fidelity.kept}


def _classifier(classifier: Classifier | None) -> dict[str, Any] | None:
    if classifier is None:
        return None
    names = ("accuracy", "n_trained", "tested_on", "n_tested")
    return {name: getattr(classifier, name) for name in names}


def _beside(one: published.Published, study: Study) -> dict[str, Any]:
    """A published run, and the zoo's of the same training, or what stands in for it."""
    model = find(study.judged.all, one.family, one.beta, annealed=bool(one.annealed))
    how = stand_in(model, study.starts.get(model.name), annealed=one.annealed) if model else ""
    return {
        "paper": one._asdict(),
        "model": model.name if model else None,
        "stand_in": how or None,
        "scores": _place(model, study.judged.examples) if model else None,
    }


def counts(outcomes: Sequence[str]) -> str:
    """ "3 met, 2 missed, 4 not trained"."""
    return ", ".join(f"{outcomes.count(one)} {one}" for one in targets.TargetOutcome if one in outcomes)
