"""Requests as batches of rows: counting, naming, merging and splitting, cutting and joining them.

Both are closed: merged requests, and the parts of one, are requests of the same type, so

    split(op(merge([a, b])), sizes) == [op(a), op(b)]
    join(op(part) for part in cut(request, n)) == op(request)

hold for every op whose rows are independent. The front merges callers with it, the worker
merges what TorchServe batched.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from rdserve.v1.vae_pb2 import (
    DecodeRequest,
    DecodeResponse,
    EncodeRequest,
    EncodeResponse,
    NoiseKeys,
    ReconstructRequest,
    ReconstructResponse,
    SampleRequest,
    SampleResponse,
    ScoreRequest,
    ScoreResponse,
    Tensor,
)
from rdserve.wire import tensors

Request = EncodeRequest | DecodeRequest | ReconstructRequest | SampleRequest | ScoreRequest
Response = EncodeResponse | DecodeResponse | ReconstructResponse | SampleResponse | ScoreResponse
R = TypeVar("R", bound=Request)
S = TypeVar("S", bound=Response)

# The field that holds the rows; a SampleRequest has none, only a count.
_INPUT: dict[type[Request], str] = {
    EncodeRequest: "images",
    DecodeRequest: "latents",
    ReconstructRequest: "images",
    ScoreRequest: "images",
}
_OP: dict[type, str] = {
    EncodeRequest: "encode",
    DecodeRequest: "decode",
    ReconstructRequest: "reconstruct",
    SampleRequest: "sample",
    ScoreRequest: "score",
}
# Samples that whoever draws them sees first. At the paper's size 16 at a time cost no more each than 64.
FIRST_SAMPLES = 16


def input_of(request: Request) -> Tensor | None:
    """The tensor whose first axis is the rows; None for Sample."""
    return None if isinstance(request, SampleRequest) else _input(request)


def _input(request: Request) -> Tensor:
    """The same, of what is no SampleRequest."""
    found: Tensor = getattr(request, _INPUT[type(request)])
    return found


def input_row_bytes(request: Request) -> int:
    """Bytes that one row takes on the way in."""
    tensor = input_of(request)
    return 0 if tensor is None else tensors.byte_count(tensor.dtype, [1, *tensor.shape[1:]])


def n_rows(request: Request) -> int:
    """How many rows the request asks for."""
    if isinstance(request, SampleRequest):
        return request.n_latents
    shape = _input(request).shape
    return shape[0] if shape else 0


def op_of(request: Request) -> str:
    """The op's name: the field of the envelope that holds the request."""
    return _OP[type(request)]


def n_samples(request: Request) -> int:
    """Samples per row, K."""
    return request.n_samples or 1


def row_keys(noise: NoiseKeys, n: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Seed and example id of each of n rows, both (n,) uint64.

    Raises:
        ValueError: a list of ids or seeds whose length is not n.
    """
    return (
        _per_row(noise.row_seeds, n, np.full(n, noise.seed, np.uint64), "row_seeds"),
        _per_row(noise.example_ids, n, np.arange(n, dtype=np.uint64), "example_ids"),
    )


def _per_row(given: Sequence[int], n: int, default: NDArray[np.uint64], name: str) -> NDArray[np.uint64]:
    _check_count(given, n, name)
    return np.array(given, np.uint64) if given else default


def _check_count(given: Sequence[int], n: int, name: str) -> None:
    if given and len(given) != n:
        raise ValueError(f"noise.{name} has {len(given)} entries for {n} rows")


def check_keys(noise: NoiseKeys, n: int) -> None:
    """Raises ValueError where a list of ids or seeds has not n entries."""
    _check_count(noise.row_seeds, n, "row_seeds")
    _check_count(noise.example_ids, n, "example_ids")


def merge_key(request: Request) -> tuple[object, ...]:
    """Requests with equal keys can be merged."""
    tensor = input_of(request)
    layout = () if tensor is None else (tensor.dtype, tuple(tensor.shape[1:]))
    return (type(request), request.model, n_samples(request), *layout)


def merge(requests: Sequence[R]) -> R:
    """One request holding the rows of all, each row keeping its own noise key.

    Raises:
        ValueError: a request without rows, or whose shape, byte count and noise keys disagree;
            merged unseen, its rows could end up in another caller's reply.
    """
    first = requests[0]
    if len(requests) == 1:
        return first
    sizes = [n_rows(request) for request in requests]
    if not all(sizes):
        raise ValueError("a request without rows")
    merged = type(first)(model=first.model, n_samples=first.n_samples)
    for request, n in zip(requests, sizes, strict=True):
        _append_keys(request.noise, n, merged.noise)
    if isinstance(merged, SampleRequest):
        merged.n_latents = sum(sizes)
    else:
        parts = [_input(request) for request in requests]
        _concatenate(parts, sum(sizes), _input(merged))
    return merged


def _append_keys(noise: NoiseKeys, n: int, into: NoiseKeys) -> None:
    """As `row_keys`, without arrays: for a few rows they cost more than they save."""
    check_keys(noise, n)
    into.row_seeds.extend(noise.row_seeds or [noise.seed] * n)
    into.example_ids.extend(noise.example_ids or range(n))


def _concatenate(parts: Sequence[Tensor], rows: int, into: Tensor) -> None:
    into.dtype = parts[0].dtype
    into.shape.extend([rows, *parts[0].shape[1:]])
    into.data = b"".join([tensors.checked_data(part) for part in parts])


def split(response: S, sizes: Sequence[int]) -> list[S]:
    """Hand each caller its rows back; sizes in the order they were merged."""
    if len(sizes) == 1:
        return [response]
    stops = list(accumulate(sizes))
    parts = [type(response)() for _ in sizes]
    for field, value in response.ListFields():
        into = [(part, stop - size, stop) for part, size, stop in zip(parts, sizes, stops, strict=True)]
        if isinstance(value, Tensor):
            _share_tensor(value, [(getattr(part, field.name), *at) for part, *at in into])
        elif isinstance(value, bool):
            for part in parts:
                setattr(part, field.name, value)
        else:
            for part, start, stop in into:
                getattr(part, field.name).extend(value[start:stop])
    return parts


def _share_tensor(tensor: Tensor, into: Sequence[tuple[Tensor, int, int]]) -> None:
    """Copy rows (start, stop) of a tensor into each."""
    dtype, tail, data = tensor.dtype, tuple(tensor.shape[1:]), tensor.data
    row = tensors.byte_count(dtype, (1, *tail))
    for part, start, stop in into:
        part.dtype = dtype
        part.shape.extend((stop - start, *tail))
        part.data = data[start * row : stop * row]


def slices(n: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` that cover 0 .. n once."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def cut(request: Request, rows: int) -> Iterator[Request]:
    """The request in parts of at most `rows` rows; each row keeps its noise key.

    Samples are streamed, so their first part is small and each next one twice as large.
    """
    total = n_rows(request)
    start, step = 0, first_rows(request, rows)
    if total <= step:
        yield request
        return
    while start < total:
        yield _part(request, start, min(start + step, total))
        start, step = start + step, min(2 * step, rows)


def first_rows(request: Request, rows: int) -> int:
    """Rows of the first part."""
    if isinstance(request, SampleRequest):
        return max(1, min(rows, FIRST_SAMPLES // n_samples(request)))
    return rows


def _part(request: Request, start: int, stop: int) -> Request:
    _, ids = row_keys(request.noise, n_rows(request))
    noise = NoiseKeys(
        seed=request.noise.seed,
        example_ids=ids[start:stop],
        row_seeds=request.noise.row_seeds[start:stop],
    )
    part = type(request)(model=request.model, noise=noise, n_samples=request.n_samples)
    if isinstance(part, SampleRequest):
        part.n_latents = stop - start
        return part
    _share_tensor(_input(request), [(_input(part), start, stop)])
    return part


def join(parts: Sequence[Response]) -> Response:
    """One response holding the rows of all, in order."""
    if len(parts) == 1:
        return parts[0]
    whole = type(parts[0])()
    for field, value in parts[0].ListFields():
        values = [getattr(part, field.name) for part in parts]
        if isinstance(value, Tensor):
            rows = sum(part.shape[0] for part in values)
            _concatenate(values, rows, getattr(whole, field.name))
        elif isinstance(value, bool):
            setattr(whole, field.name, all(values))
        else:
            for entries in values:
                getattr(whole, field.name).extend(entries)
    return whole
