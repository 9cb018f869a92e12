"""Which models are dominated beyond doubt: some other one has both a lower rate and a lower distortion."""

import numpy as np
from rdserve.compare.analysis.pairs import Pairs


def dominated(pairs: Pairs) -> dict[str, str]:
    """Per model that another one surely beats in both R and D, the one that does so most surely.

    Read off the regions of all pairs, so right together with all else that is.
    """
    of = pairs.contrasts
    sure = (pairs.signs[0] == pairs.signs[1]) & (pairs.signs[0] != 0)
    how_sure = np.abs(of.statistic[:2]).min(0)
    most: dict[str, tuple[float, str]] = {}
    for at in np.flatnonzero(sure).tolist():
        winner, loser = pairs.names(at)[:: -int(pairs.signs[0, at])]
        candidate = (float(how_sure[at]), winner)
        if loser not in most or candidate[0] > most[loser][0]:
            most[loser] = candidate
    return {loser: most[loser][1] for loser in pairs.scored.names if loser in most}
