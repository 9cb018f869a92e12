"""Everything that can be set about a running service. Read once, at the composition root."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from rdserve.models.execution import Execution, Precision
from rdserve.wire.limits import MIB
from rdserve.wire.service import is_loopback

BackendName = Literal["torchserve", "in-process"]

COUNTS = ("workers", "threads", "max_batch_rows", "max_queued_requests", "max_uploads", "load_concurrency")


class SettingsError(ValueError):
    """A setting that the service cannot start with."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How one service runs.

    models: folder of .mar archives, checkpoint folders, or both; or one checkpoint folder.
    port: 0 takes any free port, and the service says which.
    workers: processes per model; 2 or more make the death of one invisible.
    threads: torch threads per worker.
    gpus: how many GPUs the workers of a model are spread over, in turn; 0 computes on the CPU.
    precision: of the networks: float32, tf32 or bfloat16; laws and results are float32 whatever it is.
    execution: of the networks: eager, compile (torch.compile) or graphs (CUDA graphs).
    max_batch_rows: samples (rows times samples per row) that one call to a worker may hold.
    max_queued_requests: requests a model may have waiting or running before more are refused.
    max_queued_bytes: the same, in bytes of requests, over all models.
    max_uploads: messages on their way at once; what the front holds of them is so many times the largest.
    load_concurrency: models loaded at once; each load keeps one core busy.
    probe_seconds: a model that was silent for so long is asked a question; it has probe_timeout_seconds.
    hang_seconds: a call that takes longer, and ten times longer than its like, has a worker that hangs.
    steady_seconds: a model that served for so long does not fall for the reason it fell before; one that
        falls sooner is brought back later each time.
    grace_seconds: what SIGTERM leaves for work in flight.
    tls_cert, tls_key: PEM files of the server's chain and key; TLS is on with them.
    tls_client_ca: PEM file of the authority whose certificates clients must show (mutual TLS).
    metrics_host, metrics_port: where Prometheus scrapes, over HTTP; 0 takes a free port.
    token_file: one bearer token per line; callers must send one of them.
    http: port of the HTTP API on the same host; 0 takes a free one, None has none.
    http_hosts: names by which browsers and others may call it, beside localhost and addresses in numbers.

    Beyond loopback both TLS and tokens are required.
    """

    models: Path
    host: str = "127.0.0.1"
    port: int = 50051
    backend: BackendName = "torchserve"
    workers: int = 1
    threads: int = 1
    gpus: int = 0
    precision: Precision = "float32"
    execution: Execution = "eager"
    max_batch_rows: int = 256
    max_queued_requests: int = 1024
    max_queued_bytes: int = 256 * MIB
    max_uploads: int = 16
    load_concurrency: int = os.cpu_count() or 1
    start_timeout_seconds: int = 60
    load_timeout_seconds: int = 120
    response_timeout_seconds: int = 120
    probe_seconds: float = 15.0
    probe_timeout_seconds: float = 10.0
    hang_seconds: float = 30.0
    steady_seconds: float = 60.0
    grace_seconds: float = 20.0
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    token_file: Path | None = None
    http: int | None = None
    http_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises SettingsError: quotes the setting and says what to do."""
        self._check_security()
        if self.backend not in ("torchserve", "in-process"):
            raise SettingsError(f"backend {self.backend!r} is neither 'torchserve' nor 'in-process'")
        if self.precision not in get_args(Precision):
            raise SettingsError(f"precision {self.precision!r} is none of {', '.join(get_args(Precision))}")
        self._check_execution()
        if self.gpus < 0:
            raise SettingsError(f"gpus must be 0 or more, got {self.gpus}")
        for name in COUNTS:
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("port", "metrics_port", "http"):
            if not 0 <= (getattr(self, name) or 0) < 2**16:
                raise SettingsError(f"{name} must be 0 to 65535, got {getattr(self, name)}")

    def _check_execution(self) -> None:
        if self.execution not in get_args(Execution):
            raise SettingsError(f"execution {self.execution!r} is none of {', '.join(get_args(Execution))}")
        if self.execution == "graphs" and not self.gpus:
            raise SettingsError("execution 'graphs' records CUDA graphs, and there are 0 gpus; give --gpus")
        if self.execution == "compile" and not shutil.which(compiler := os.environ.get("CXX", "g++")):
            raise SettingsError(f"execution 'compile' needs a C++ compiler; found no {compiler}, set CXX")

    def _check_security(self) -> None:
        if self.tls_cert and not self.tls_key:
            raise SettingsError(
                f"--tls-cert {self.tls_cert} is a certificate without its key; give --tls-key too"
            )
        if self.tls_key and not self.tls_cert:
            raise SettingsError(
                f"--tls-key {self.tls_key} is a key without its certificate; give --tls-cert too"
            )
        if self.tls_client_ca and not self.tls_cert:
            raise SettingsError("clients show certificates over TLS only; give tls_cert and tls_key too")
        needed = {"--tls-cert and --tls-key": self.tls_cert, "--token-file": self.token_file}
        missing = [options for options, given in needed.items() if given is None]
        if missing and not is_loopback(self.host):
            raise SettingsError(
                f"host {self.host!r} is not a loopback address, and beyond loopback the service asks for TLS "
                f"and tokens; give {' and '.join(missing)}, or bind 127.0.0.1"
            )

    @property
    def slots(self) -> int:
        """Calls in flight per model: one per worker, and one waiting so that none of them idles."""
        return self.workers + 1
