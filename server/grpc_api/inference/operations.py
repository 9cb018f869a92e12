"""What a model does, as the protocol describes it: operations, and the tensors that each takes and gives.

A model is one operation to this protocol, ours have five. "model:encode" names one, as does the parameter
`operation`; "model" alone is scored.
"""

from typing import NamedTuple

from rdserve.server.errors import InvalidRequest
from rdserve.v1 import vae_pb2 as v1

SCORES = ("rate_nats", "distortion_nats", "importance_bound_nats", "importance_ess")
DEFAULT = "score"


class TensorSpec(NamedTuple):
    """A tensor by name; -1 in the shape is an axis of any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False


class ServedOperation(NamedTuple):
    """One operation. method: of VaeService; request: its message; rows: the field that holds them, or ""."""

    name: str
    method: str
    request: type
    rows: str

    def inputs(self, model: v1.Model) -> list[TensorSpec]:
        """What it takes, with the noise's names, which may be left out."""
        image, latent = (-1, *model.input_shape), (-1, *model.latent_shape)
        rows = {
            "images": [TensorSpec("images", _datatype(model), image)],
            "latents": [TensorSpec("latents", "FP32", latent)],
            "": [],
        }
        noise = [TensorSpec(name, "UINT64", (-1,), optional=True) for name in ("seed", "example_ids")]
        return [*rows[self.rows], *noise]

    def outputs(self, model: v1.Model) -> list[TensorSpec]:
        """What it gives; the second axis of samples is K."""
        z = model.latent_shape
        images = TensorSpec("images", _datatype(model), (-1, -1, *model.input_shape))
        latents = TensorSpec("latents", "FP32", (-1, *z))
        given = {
            "encode": [
                TensorSpec("posterior_mode", "FP32", (-1, *z)),
                TensorSpec("posterior_scale", "FP32", (-1, *z)),
                TensorSpec("latents", "FP32", (-1, -1, *z)),
            ],
            "decode": [images],
            "reconstruct": [latents, images],
            "sample": [latents, images],
            "score": [TensorSpec(name, "FP64", (-1,)) for name in SCORES],
        }
        return given[self.name]


def _datatype(model: v1.Model) -> str:
    """Of x, as the service sends it."""
    kinds = {v1.INPUT_KIND_COUNTS: "INT32", v1.INPUT_KIND_REAL: "FP32"}
    if model.input_kind == v1.INPUT_KIND_LEVELS and model.levels > 2**8:
        return "UINT16"
    return kinds.get(model.input_kind, "UINT8")


OPERATIONS = {
    each.name: each
    for each in (
        ServedOperation("encode", "Encode", v1.EncodeRequest, "images"),
        ServedOperation("decode", "Decode", v1.DecodeRequest, "latents"),
        ServedOperation("reconstruct", "Reconstruct", v1.ReconstructRequest, "images"),
        ServedOperation("sample", "Sample", v1.SampleRequest, ""),
        ServedOperation("score", "Score", v1.ScoreRequest, "images"),
    )
}


def split_name(name: str, version: str, default: str = DEFAULT) -> tuple[str, ServedOperation]:
    """VaeService's name of a model that is asked for by "name" or "name:operation", and the operation.

    Raises InvalidRequest: there is no such operation.
    """
    model, _, operation = name.partition(":")
    operation = operation or default
    if operation not in OPERATIONS:
        raise InvalidRequest(
            f"no operation {operation[:128]!r}; there are {', '.join(OPERATIONS)}", field="model_name"
        )
    return f"{model}@{version}" if version else model, OPERATIONS[operation]
