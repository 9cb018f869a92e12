"""docs/results.md: the results as a person reads them."""

from collections.abc import Iterator, Sequence
from typing import Any

from rdserve.compare.render.markup import markdown
from rdserve.study.results import JUDGED_ON, counts

Document = dict[str, Any]
BOUNDS = ("I low", "I most", "KL least", "KL high", "E", "I_d low", "G")
BOUNDS_WORDS = """\
H - D <= I <= R, where H is taken as the least R + D above, in expectation not below it: H - D is no sure
bound. On average I low is at most I, and I most at least: the least of R, of the leave-one-out estimate,
and of one by a density fitted to the codes of other images. KL = R - I is that of the aggregate posterior
from m(z); its least is R - I most. E <= I_d low <= I_d <= G on average. `models/information.py` has the
sources."""


def render(document: Document) -> str:
    """The page of what `rdserve.study.results.document` wrote."""
    parts = [
        _head(document),
        _targets(document),
        _published(document),
        _scores(document),
        _categories(document),
        _bounds(document),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(document: Document) -> list[str]:
    data = document["data"]
    lines = [
        f"# Results on {data['name']}",
        "",
        "Made by",
        "",
        f"    {document['command']}",
        "",
        "from the served zoo, over gRPC, each model with the seed and the samples per image of its card. "
        f"Nats per image. Data sha256 `{data['sha256'][:12]}`. Everything in these tables, with standard "
        "errors and weights' hashes, is in [results.json](results.json).",
    ]
    if "binarisation" in data:
        lines += ["", f"Binary images: {markdown(data['binarisation'])}."]
    if not document["all_images"]:
        lines += ["", f"**Of a part of the images only: {_extents(document)}, drawn at random.**"]
    failures = {name: why for of in document["failures"].values() for name, why in of.items()}
    lines += [f"\nLeft out: {markdown(name)}: {markdown(why)}" for name, why in failures.items()]
    return lines


def _extents(document: Document) -> str:
    return ", ".join(f"{one['n']} of {one['of']} ({split})" for split, one in document["splits"].items())


def _on(document: Document, split: str = JUDGED_ON) -> str:
    one = document["splits"][split]
    return f"{split} split, {one['n']} of {one['of']} images" if one["n"] < one["of"] else f"{split} split"


def _targets(document: Document) -> list[str]:
    rows = [
        [target["wanted"], target["paper"], target["measured"] or "–", f"**{target['outcome']}**"]
        for target in document["targets"]
    ]
    return [
        "## Targets",
        "",
        f"On the {_on(document)}: {counts([target['outcome'] for target in document['targets']])}. The paper "
        "does not say on which split its numbers are. A stand-in was trained otherwise than the paper's run: "
        "how is said.",
        "",
        *_table(["target", "the paper's", "here", "outcome"], rows),
    ]


def _published(document: Document) -> list[str]:
    if not document["published"]:
        return []
    rows = []
    for one in document["published"]:
        said, ours = one["paper"], one["scores"]
        how = {True: ", annealed", False: "", None: ""}[said["annealed"]]
        rows.append(
            [
                f"`{said['family']}` β {said['beta']:g}{how}",
                said["where"],
                f"({said['rate_nats']:g}, {said['distortion_nats']:g})",
                f"{said['cost']:.1f}",
                f"({ours['rate_nats']:.1f}, {ours['distortion_nats']:.1f})" if ours else "not trained",
                f"{-ours['elbo_nats']:.1f}" if ours else "",
                f"`{one['model']}`" if ours else "",
                one["stand_in"] or "" if ours else "",
            ]
        )
    heads = ["the paper's run", "in", "(R, D)", "R + D", "here (R, D)", "R + D", "model", "a stand-in"]
    return ["## The paper's runs", "", f"On the {_on(document)}.", "", *_table(heads, rows)]


def _scores(document: Document) -> list[str]:
    splits = list(document["splits"])
    rows = []
    for model in document["models"]:
        cells = [f"`{model['name']}`", f"`{model['family']}`", f"{model['beta']:g}", *_training(model)]
        for split in splits:
            place = model["scores"].get(split)
            cells += _cells(place) if place else ["", "", ""]
        rows.append([*cells, _reproduced(model["card"])])
    heads = ["model", "tuple", "β", "start", "epochs", "annealed over", "width"]
    heads += [f"{name} {split}" for split in splits for name in ("R", "D", "R + D")]
    best = document["best"]
    return [
        "## Every model",
        "",
        f"By rate on the {_on(document)}. The least R + D is that of `{best['model']}`, "
        f"{-best['elbo_nats']:.2f} nats. Start: random weights, or those of another model; epochs are those "
        "from there on. Width 1 is the paper's. Card: the largest difference between its own numbers and the "
        "service's on the same images.",
        "",
        *_table([*heads, "card"], rows),
    ]


def _training(model: Document) -> list[str]:
    """Start, epochs, epochs of annealing and width, as the card has them; dashes where it does not say."""
    training, width = model["training"], model["architecture"].get("width")
    start = training.get("start")
    return [
        "–" if start is None else f"`{start}`" if start else "random",
        str(training.get("epochs", "–")),
        str(training.get("annealing_epochs", "some" if model["annealed"] else "0")),
        "–" if width is None else f"{width:g}",
    ]


def _cells(place: Document) -> list[str]:
    return [f"{place[name]:.2f}" for name in ("rate_nats", "distortion_nats")] + [
        f"{-place['elbo_nats']:.2f}"
    ]


def _reproduced(card: Document | None) -> str:
    if card is None or card["difference_nats"] is None:
        return "not checked"
    return f"{card['difference_nats']:.1e}{'' if card['reproduced'] else ', **not reproduced**'}"


def _categories(document: Document) -> list[str]:
    categorised = [model for model in document["models"] if model["category"]]
    if not categorised:
        return []
    first, classifier = categorised[0]["category"], document["classifier"]
    rows = [
        [
            f"`{model['name']}`",
            one["name"],
            *(
                "–" if one[name] is None else f"{one[name]:.2f}"
                for name in ("support", "agreement", "kept", "error", "same_z", "fresh_z")
            ),
        ]
        for model in categorised
        for one in [model["category"]]
    ]
    about = (
        f"by a classifier right on {classifier['accuracy']:.1%} of {classifier['n_tested']} "
        f"{classifier['tested_on']} images"
        if classifier
        else "by R and D alone, for no labels are known"
    )
    heads = ["model", "category", "support", "agreement", "kept", "error", "same z", "fresh z"]
    return [
        "## Categories",
        "",
        f"From {first['n']} of {first['of']} images ({first['split']}), {about}; "
        "see [categories.md](categories.md). Support: the share of resamples of these images that say the "
        "same.",
        "",
        *_table(heads, rows),
    ]


def _bounds(document: Document) -> list[str]:
    bounded = [model for model in document["models"] if model["bounds"]]
    if not bounded:
        return []
    first = bounded[0]["bounds"]
    n, log_n = first["encoded"]["n"], first["log_n"]
    rows = []
    for model in bounded:
        one = model["bounds"]
        inner, outer = one["encoded"], one["generated"]
        mark = "\\*" if one["saturated"] else ""
        cells = [f"{inner[name]['value']:.2f}" for name in ("rate", "distortion")]
        cells.append(f"{-document['best']['elbo_nats'] - inner['distortion']['value']:.2f}")
        most = one["most"]["value"]
        least = inner["rate"]["value"] - most
        cells += [
            _short(nats) + mark
            for nats in (inner["low"]["value"], most, least, inner["mismatch_high"]["value"])
        ]
        rows.append(
            [f"`{model['name']}`", *cells, *(_short(outer[name]["value"]) for name in ("e", "low", "high"))]
        )
    return [
        "## What the code tells",
        "",
        f"On {n} images ({first['split']}), one z each, a density fitted to the codes of "
        f"{first['encoded']['n_fitted']} others ({first['fitted_on']}), and {first['generated']['n']} pairs "
        f"(x, z) of each model's own, K = {first['generated']['k']}, seed {first['seed']}.",
        BOUNDS_WORDS,
        "",
        *_table(["model", "R", "D", "H - D", *BOUNDS], rows),
        "",
        f"\\* {n} images tell no I above log {n} = {log_n:.2f}: I low is a floor.",
    ]


def _short(nats: float) -> str:
    return f"{nats:.0e}" if abs(nats) >= 1e4 else f"{nats:z.2f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
