"""What was looked at, in words."""

from rdserve.compare.scores import ScoreSet


def sample(scored: ScoreSet) -> str:
    """ "400 images", or "400 images in 43 groups"."""
    n, groups = scored.n, scored.n_groups
    images = f"{n:,} image{'s' if n > 1 else ''}".replace(",", " ")
    return images if groups is None else f"{images} in {groups} group{'s' if groups > 1 else ''}"
