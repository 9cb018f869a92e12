"""Which models are runs of one recipe: all that decided their training is the same, but for the seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from rdserve.client.errors import InputError
from rdserve.client.results import ModelInfo

# What names of a recipe's runs end in, before their seeds.
_JOINTS = "-_.+ "
_SEED_WORDS = ("seed", "run", "s", "r")


@dataclass(frozen=True)
class Recipe:
    """Runs of one recipe, by their models' names. facts: in what it differs from the comparison's others."""

    name: str
    models: tuple[str, ...]
    seeds: tuple[int | None, ...]
    facts: tuple[tuple[str, str], ...]

    @property
    def runs(self) -> int:
        return len(self.models)


def group(models: Sequence[ModelInfo]) -> tuple[Recipe, ...]:
    """The recipes of the models, in the order of their first ones. One that no card tells is by itself."""
    found: dict[object, list[ModelInfo]] = {}
    for info in models:
        found.setdefault(tuple(sorted(info.recipe.items())) or info.name, []).append(info)
    runs = list(found.values())
    names = _names(runs)
    differing = _differing(runs)
    return tuple(
        Recipe(
            name=name,
            models=tuple(info.name for info in of),
            seeds=tuple(info.training_seed for info in of),
            facts=tuple((fact, of[0].recipe.get(fact, "–")) for fact in differing),
        )
        for name, of in zip(names, runs, strict=True)
    )


def check_runs(models: Sequence[ModelInfo]) -> None:
    """Raises InputError where two models are one run: of one recipe and seed, or with the same weights."""
    named = {info.name: info for info in models}
    for recipe in group(models):
        seen: dict[object, str] = {}
        for name in recipe.models:
            info = named[name]
            for key, what in (
                (info.training_seed, f"seed {info.training_seed}"),
                (info.weights_sha256, f"weights {info.weights_sha256[:12]}"),
            ):
                if key is not None and key in seen:
                    raise InputError(
                        f"{seen[key]} and {name} are one run, of one recipe and {what}: "
                        "compared as recipes each run counts once, so leave one of them out"
                    )
                seen[key] = name


def _names(runs: Sequence[Sequence[ModelInfo]]) -> list[str]:
    """What the runs' names have in common; where that is not theirs alone, the first one's."""
    first = [of[0].name for of in runs]
    stems = [_stem([info.name for info in of]) for of in runs]
    names = [
        stem if stem and stems.count(stem) == 1 else name for stem, name in zip(stems, first, strict=True)
    ]
    return names if len(set(names)) == len(names) else first


def _stem(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    columns = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    stem = "".join(letters[0] for letters in columns)
    if all(name[len(stem) :][:1].isdigit() for name in names):
        stem = stem.rstrip("0123456789")  # 10 and 11 have a digit in common
    stem = stem.rstrip(_JOINTS)
    for word in _SEED_WORDS:
        rest = stem.removesuffix(word)
        if rest != stem and rest and rest[-1] in _JOINTS:
            return rest.rstrip(_JOINTS)
    return stem


def _differing(runs: Sequence[Sequence[ModelInfo]]) -> list[str]:
    recipes = [of[0].recipe for of in runs]
    facts = sorted({fact for recipe in recipes for fact in recipe})
    return [fact for fact in facts if len({recipe.get(fact) for recipe in recipes}) > 1]
