"""Run by a Python of its own, which has tritonclient: asks a service everything, and prints what it got.

    python triton_calls.py grpc|http ADDRESS MODEL

It imports nothing of rdserve: its protobuf is another.
"""

import importlib
import json
import sys

import numpy as np

kind, address, model = sys.argv[1:]
triton = importlib.import_module(f"tritonclient.{kind}")
from tritonclient.utils import InferenceServerException  # noqa: E402

IMAGES = np.random.default_rng(1).random((5, 8, 8)) < 0.3
IDS = np.array([7, 1, 2**63, 3, 4], np.uint64)


def tensor(name, array, datatype):
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def plain(array):
    return array.tolist()


def refused(call):
    try:
        call()
    except InferenceServerException as error:
        return [str(error.status()), error.message()]
    return []


client = triton.InferenceServerClient(address)
images, ids = tensor("images", IMAGES.astype(np.uint8), "UINT8"), tensor("example_ids", IDS, "UINT64")
bools = tensor("images", IMAGES, "BOOL")
seed = tensor("seed", np.array([2**64 - 1], np.uint64), "UINT64")
scored = client.infer(model, [images, ids], parameters={"seed": 3, "n_samples": 2}, request_id="mine")
encoded = client.infer(f"{model}:encode", [bools, ids, seed])
latents = encoded.as_numpy("latents")[:, 0]
decoded = client.infer(model, [tensor("latents", latents, "FP32")], parameters={"operation": "decode"})
asked = [triton.InferRequestedOutput("images")]
reconstructed = client.infer(f"{model}:reconstruct", [images], model_version="1.0", outputs=asked)
sampled = client.infer(f"{model}:sample", [], parameters={"n_latents": 9})
text = triton.InferInput("images", [1], "BYTES")
text.set_data_from_numpy(np.array(["x"], object))
options = {"as_json": True} if kind == "grpc" else {}
print(
    json.dumps(
        {
            "live": client.is_server_live(),
            "ready": [client.is_server_ready(), client.is_model_ready(model)],
            "server": client.get_server_metadata(**options)["name"],
            "metadata": client.get_model_metadata(model, **options),
            "config": client.get_model_config(model, **options),
            "index": client.get_model_repository_index(**options),
            "statistics": client.get_inference_statistics(model, **options),
            "rate": plain(scored.as_numpy("rate_nats")),
            "distortion": plain(scored.as_numpy("distortion_nats")),
            "latents": plain(latents),
            "decoded": plain(decoded.as_numpy("images")),
            "reconstructed": plain(reconstructed.as_numpy("images")),
            "sampled": plain(sampled.as_numpy("images")),
            "errors": [
                refused(lambda: client.infer("nope", [images])),
                refused(lambda: client.infer(model, [text])),
                refused(lambda: client.infer(model, [tensor("images", IMAGES[:, :4], "BOOL")])),
            ],
        }
    )
)
client.close()
