"""Answers that show whose they are, for tests of what merges requests."""

import asyncio
from typing import Any

import numpy as np
from rdserve.v1 import vae_pb2
from rdserve.wire import batches, tensors

# A seed whose row fails the request that it is in.
POISON = 666
RESPONSES: dict[type[batches.Request], Any] = {
    vae_pb2.EncodeRequest: vae_pb2.EncodeResponse,
    vae_pb2.DecodeRequest: vae_pb2.DecodeResponse,
    vae_pb2.ReconstructRequest: vae_pb2.ReconstructResponse,
    vae_pb2.SampleRequest: vae_pb2.SampleResponse,
    vae_pb2.ScoreRequest: vae_pb2.ScoreResponse,
}


def echo(request: batches.Request) -> batches.Response:
    """Each row's answer names its noise key and sums up its input."""
    n, k = batches.n_rows(request), batches.n_samples(request)
    seeds, ids = batches.row_keys(request.noise, n)
    tensor = batches.input_of(request)
    sums = tensors.to_array(tensor).reshape(n, -1).sum(1) if tensor else np.zeros(n)
    facts = np.stack([seeds % 2**20, ids % 2**20, sums], axis=1).astype(np.float64)
    own = {field.name for field in RESPONSES[type(request)].DESCRIPTOR.fields}
    pair = tensors.to_message(facts)
    many = tensors.to_message(np.repeat(facts[:, None], k, axis=1))
    values = {
        "posterior_mode": pair,
        "posterior_scale": pair,
        "latents": many if "posterior_mode" in own else pair,
        "images": tensors.to_message(np.repeat(facts[:, None, :, None], k, axis=1)),
        "rate_nats": facts[:, 0],
        "distortion_nats": facts[:, 1],
        "importance_bound_nats": facts[:, 2],
        "importance_ess": np.full(n, float(k)),
        "rate_is_exact": True,
    }
    return RESPONSES[type(request)](**{name: values[name] for name in own})


def is_poisoned(request: batches.Request) -> bool:
    """Whether one of its rows fails it."""
    seeds, _ = batches.row_keys(request.noise, batches.n_rows(request))
    return POISON in seeds


async def turns(count: int) -> None:
    """So many turns of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)
