"""Where the real data sets are, if they are: shared/data in the repository or beside it."""

from pathlib import Path

import pytest
from rdserve.data import omniglot, static_mnist

ROOT = Path(__file__).parents[2]
_FOLDERS = [folder / "shared" / "data" for folder in (ROOT, ROOT.parent)]
SHARED = next((folder for folder in _FOLDERS if (folder / static_mnist.PACKED).is_file()), None)
needs_mnist = pytest.mark.skipif(SHARED is None, reason=f"no {static_mnist.PACKED} in shared/data")
needs_omniglot = pytest.mark.skipif(
    SHARED is None or not (SHARED / omniglot.FILE).is_file(), reason=f"no {omniglot.FILE} in shared/data"
)
