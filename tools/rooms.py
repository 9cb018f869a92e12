"""Which folder is for what, and which may import which: the rules that tests/test_architecture.py holds.

    python tools/rooms.py    # write the table of docs/layout.md again

Each folder at the top is one package. Where a package has folders of its own, they stand on floors: a folder
imports only those below it. Modules beside such folders stand wherever no circle comes of it.
"""

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "layout.md"
BEGIN, END = "<!-- from tools/rooms.py -->", "<!-- to here -->"


class Package(NamedTuple):
    """One folder at the top.

    uses: the packages of ours that it may import; never: third-party ones that nothing in it may.
    floors: its own folders, from the top floor to the ground; each with what it is for.
    """

    module: str
    holds: str
    uses: frozenset[str]
    never: frozenset[str]
    floors: dict[str, str]


def _package(
    module: str, holds: str, *, uses: str = "", never: str = "", floors: dict[str, str] | None = None
) -> Package:
    return Package(module, holds, frozenset(uses.split()), frozenset(never.split()), floors or {})


PACKAGES: dict[str, Package] = {
    "api": _package(
        "rdserve",
        "what `import rdserve` offers: the version, and names that load on use",
        uses="client compare data models",
    ),
    "proto": _package("rdserve.v1", "the wire schema and its generated code", never="torch ts"),
    "wire": _package(
        "rdserve.wire",
        "the codec by hand: tensors, batches of rows, limits, trace headers",
        uses="proto",
        never="torch ts",
    ),
    "data": _package(
        "rdserve.data",
        "data sets and their hashes",
        never="torch grpc ts sklearn scipy",
        floors={
            "files": "data of one's own: npz, npy, idx, PNG, csv, parquet",
            "preprocessing": "from what a file holds to the x of a model; keyed where it is random",
        },
    ),
    "models": _package(
        "rdserve.models",
        "VAEs, rate and distortion, checkpoints, the worker behind the wire",
        uses="proto wire data",
        never="grpc ts prometheus_client",
        floors={
            "worker": "the process in which TorchServe runs a model",
            "export": "torch modules of anybody's to a folder of graphs and a card",
            "onnx": "the engine for graphs that others made, and what is checked of them",
            "execution": "devices, precision, compiled code, CUDA graphs",
            "toy": "the paper's exact toy",
            "components": "encoders, decoders and marginals",
            "distributions": "laws, keyed noise, and draws from them",
            "networks": "tensors in, tensors out; no probability",
        },
    ),
    "trainer": _package(
        "rdserve.trainer",
        "objectives, optimiser, resumable training, zoos from recipes",
        uses="models data",
        never="grpc ts prometheus_client google",
    ),
    "server": _package(
        "rdserve.server",
        "the gRPC front, TorchServe's supervisor, packaging",
        uses="proto wire data models",
        floors={
            "http": "the same methods over HTTP, the Open Inference Protocol's REST, pages",
            "grpc_api": "the servicer, validation, health, reflection",
            "grpc_api/inference": "the Open Inference Protocol over the same servicer",
            "grpc_api/interceptors": "around every call: errors, tokens, admission, telemetry",
            "lifecycle": "each model from loading to failed",
            "backends/torchserve": "TorchServe as a child, and calls to it",
            "backends": "where models run: the seam, and models in the front's process",
            "batching": "queues, batches, and when they are sent",
            "observability": "metrics, logs, quality of what is answered",
            "repository": "checkpoints on disk: found, checked, packaged",
            "security": "TLS, tokens, files that only their owner may read",
        },
    ),
    "client": _package(
        "rdserve.client",
        "the client, nothing else",
        uses="proto wire data",
        never="torch ts scipy matplotlib rich",
    ),
    "compare": _package(
        "rdserve.compare",
        "models side by side",
        uses="client data wire",
        never="torch ts grpc",
        floors={
            "render/html": "the report, one self-contained page",
            "render/figures": "the plane and the sheets of images",
            "render": "verdict, tables, terminal, JSON",
            "analysis": "what is said of the models of a comparison",
            "scoring": "scores of every image by every model, through the service",
            "statistics": "statistics over arrays; numpy and scipy alone",
        },
    ),
    "study": _package(
        "rdserve.study",
        "the paper's categories and targets, of a served zoo",
        uses="client compare data models",
        never="torch ts grpc",
        floors={"figures": "the paper's figures"},
    ),
    "loadtest": _package(
        "rdserve.loadtest",
        "load on a running service, and what it costs",
        uses="proto wire client",
        never="torch ts",
    ),
    "zoo": _package(
        "rdserve.zoo",
        "trained checkpoints with their cards; three of digits and the toy ship",
        never="torch grpc numpy",
    ),
    "cli": _package(
        "rdserve.cli",
        "the `rdserve` command, each subcommand loaded on use",
        uses="api proto wire data models trainer server client compare study loadtest zoo",
        never="torch ts",
        floors={"commands": "a module each; what they share lies beside this folder"},
    ),
    "benchmarks": _package(
        "benchmarks",
        "yardsticks beside TorchServe alone and the bare model; in the repository only",
        uses="proto wire models trainer server client compare loadtest cli",
        never="ts",
    ),
}
# The handler alone runs inside TorchServe's worker.
EXEMPT = {"models/worker/handler.py"}


def table() -> str:
    """The table of docs/layout.md."""
    rows = ["| folder | imports as | holds | may import of ours |", "|---|---|---|---|"]
    for folder, package in PACKAGES.items():
        uses = ", ".join(f"`{other}`" for other in PACKAGES if other in package.uses)
        rows.append(f"| `{folder}/` | `{package.module}` | {package.holds} | {uses} |")
        rows += [f"| &emsp;`{each}/` | | {holds} | those below |" for each, holds in package.floors.items()]
    return "\n".join(rows)


def page() -> str:
    """docs/layout.md with the table as it should be."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page())
