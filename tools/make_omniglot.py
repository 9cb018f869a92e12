"""Make Omniglot at 28 x 28 from Lake's drawings, as rdserve.data reads it.

    python -m tools.make_omniglot images_background.zip images_evaluation.zip FOLDER

The two archives are those of github.com/brendenlake/omniglot, folder python. Needs pillow.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rdserve.data.omniglot import FILE


def drawings(archive: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Alphabet and (28, 28) grey levels, ink 255, of each drawing, in the order of their paths."""
    with ZipFile(archive) as pictures:
        for path in sorted(name for name in pictures.namelist() if name.endswith(".png")):
            with pictures.open(path) as file:
                grey = ImageOps.invert(Image.open(file).convert("L"))
            yield Path(path).parts[-3], np.asarray(grey.resize((28, 28), Image.Resampling.BOX))


def main(background: str, evaluation: str, folder: str) -> None:
    found = [each for archive in (background, evaluation) for each in drawings(Path(archive))]
    names, alphabet = np.unique([name for name, _ in found], return_inverse=True)
    Path(folder).mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        Path(folder) / FILE,
        images=np.stack([grey for _, grey in found]),
        alphabet=alphabet.astype(np.uint8),
        alphabet_names=names,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
