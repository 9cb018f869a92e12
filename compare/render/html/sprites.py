"""Many small images in one PNG: a page embeds it once and shows its cells wherever it needs them."""

import base64
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rdserve.client.results import Reconstruction, Sample

UInt8 = NDArray[np.uint8]

# Rows of a model's sprite.
RECONSTRUCTED, RECONSTRUCTED_MEAN, GENERATED, GENERATED_MEAN = range(4)
ROWS = 4


def model_sprite(reconstruction: Reconstruction, sample: Sample) -> UInt8:
    """(4 H, C W) grey levels: below one another one reconstruction, their mean, one sample, their mean.

    Columns are images of the data in the first two rows, z ~ m(z) in the last two; C is the larger number.
    """
    made, drawn = reconstruction.images, sample.images
    columns = max(len(made), len(drawn))
    cells = [made[:, 0], made.mean(1), drawn[:, 0], drawn.mean(1)]
    return np.concatenate([sheet_row(images, columns) for images in cells])


def sheet_row(images: NDArray[np.generic], columns: int) -> UInt8:
    """Ink (N, H, W) or (N, H, W, 3) side by side in `columns` >= N cells, on white: (H, columns W) levels."""
    n, height, width, *colours = images.shape
    row = np.full((columns, height, width, *colours), 255, np.uint8)
    row[:n] = np.round(255 * (1 - images.astype(np.float64))).astype(np.uint8)
    return np.asarray(row.swapaxes(0, 1).reshape(height, columns * width, *colours), np.uint8)


def data_uri(pixels: UInt8) -> str:
    """Levels (H, W) or (H, W, 3) as a PNG inside a URI."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
