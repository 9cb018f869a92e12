"""Laws by name: what a graph computes, or a file holds, as torch Distributions.

Tensors of likelihoods and posteriors have one batch axis, the first, as every graph's do. Each law computes
in its tensors' dtype. `law_table` says what each takes.
"""

from collections.abc import Mapping

import rdserve.models.distributions.divergences  # noqa: F401 - registers what torch lacks
from rdserve.models.distributions import laws_of_x, laws_of_z
from rdserve.models.distributions.law_inputs import LawInputs
from rdserve.models.distributions.law_table import LIKELIHOODS, MARGINALS, POSTERIORS, LawEntry, LawError
from torch import Tensor
from torch.distributions import Distribution

Shape = tuple[int, ...]


def likelihood(
    law: str,
    tensors: Mapping[str, Tensor],
    arguments: Mapping[str, object],
    event_shape: Shape,
    batch_shape: Shape | None = None,
) -> Distribution:
    """d(x|z): batch batch_shape, event event_shape.

    tensors: (N, ...) each, by the law's names. batch_shape: what N stands for, such as (K, B); (N,) if None.
    x is given to it in the dtype of the tensors.

    Raises:
        LawError: no such law; a tensor or argument is missing, unknown or wrong, quoting what was needed.
    """
    entry = _entry("likelihood", LIKELIHOODS, law)
    batch = _batch(tensors) if batch_shape is None else batch_shape
    return laws_of_x.BUILDERS[law](LawInputs("likelihood", entry, tensors, arguments, event_shape, batch))


def posterior(
    law: str,
    tensors: Mapping[str, Tensor],
    arguments: Mapping[str, object],
    latent_shape: Shape,
    batch_shape: Shape | None = None,
) -> Distribution:
    """e(z|x): batch batch_shape, event latent_shape. Of law "graph", see `Reparameterised`.

    Raises:
        LawError: as `likelihood`.
    """
    entry = _entry("posterior", POSTERIORS, law)
    batch = _batch(tensors) if batch_shape is None else batch_shape
    return laws_of_z.POSTERIOR_BUILDERS[law](
        LawInputs("posterior", entry, tensors, arguments, latent_shape, batch)
    )


def marginal(
    law: str, tensors: Mapping[str, Tensor], arguments: Mapping[str, object], latent_shape: Shape
) -> Distribution:
    """m(z): batch (), event latent_shape; tensors without a batch axis, of a mixture one for its members.

    Of law "graph", see `ReparameterisedMarginal`.

    Raises:
        LawError: as `likelihood`.
    """
    entry = _entry("marginal", MARGINALS, law)
    batch = _batch(tensors) if law == "normal_mixture" else None
    return laws_of_z.MARGINAL_BUILDERS[law](
        LawInputs("marginal", entry, tensors, arguments, latent_shape, batch)
    )


def _entry(role: str, table: Mapping[str, LawEntry], law: str) -> LawEntry:
    if law not in table:
        raise LawError(f"no {role} {law!r}; there are {', '.join(table)}")
    if table[law].from_functions:
        raise LawError(f"{role} {law!r} is made of the model's own functions, not of tensors")
    return table[law]


def _batch(tensors: Mapping[str, Tensor]) -> Shape:
    return next((tuple(each.shape[:1]) for each in tensors.values()), ())
