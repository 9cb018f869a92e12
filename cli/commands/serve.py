"""`rdserve serve`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rdserve.server.settings import Settings, SettingsError
from rdserve.zoo import DIGITS

# torch.compile takes minutes at the start.
COMPILE_SECONDS = 900


@dataclass(frozen=True)
class ServeOptions:
    """Settings of `rdserve.server.settings.Settings`, by its names."""

    models: Annotated[
        Path | None,
        typer.Option(
            help="Folder of .mar archives or checkpoint folders; else three that come with rdserve."
        ),
    ] = None
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback with TLS and tokens.")] = (
        Settings.host
    )
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = Settings.port
    backend: Annotated[str, typer.Option(help="torchserve, or in-process (no Java).")] = Settings.backend
    workers: Annotated[
        int | None, typer.Option(help="Worker processes per model; without it one, or one per GPU.")
    ] = None
    threads: Annotated[int, typer.Option(help="Torch threads per worker.")] = Settings.threads
    gpus: Annotated[int, typer.Option(help="GPUs to spread the workers over; 0 for the CPU.")] = Settings.gpus
    precision: Annotated[str, typer.Option(help="float32, or tf32 or bfloat16 for the networks.")] = (
        Settings.precision
    )
    execution: Annotated[
        str, typer.Option(help="eager, or compile or graphs (CUDA graphs) for the networks.")
    ] = Settings.execution
    max_batch_rows: Annotated[int, typer.Option(help="Samples that one call to a worker may hold.")] = (
        Settings.max_batch_rows
    )
    metrics_host: Annotated[
        str, typer.Option(help="Address for Prometheus, plain HTTP; whoever reaches it may read.")
    ] = Settings.metrics_host
    metrics_port: Annotated[int, typer.Option(help="Its port; 0 takes a free one.")] = Settings.metrics_port
    tls_cert: Annotated[Path | None, typer.Option(help="PEM file: the server's certificate chain.")] = None
    tls_key: Annotated[Path | None, typer.Option(help="PEM file: its key.")] = None
    tls_client_ca: Annotated[
        Path | None, typer.Option(help="PEM file: who signs the certificates that clients must show.")
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(envvar="RDSERVE_TOKENS_FILE", help="A token per line; callers must send one of them."),
    ] = None
    http: Annotated[
        int | None,
        typer.Option(help="Port for HTTP: JSON, the Open Inference Protocol, /docs."),
    ] = None
    http_hosts: Annotated[
        str, typer.Option(help="Names that HTTP answers to, with commas; localhost and addresses always.")
    ] = ""

    def settings(self) -> Settings:
        """Raises SettingsError as `Settings`."""
        given: dict[str, Any] = vars(self) | {"models": self.models or DIGITS}
        given["http_hosts"] = tuple(filter(None, map(str.strip, self.http_hosts.split(","))))
        if self.workers is None:
            given["workers"] = max(1, self.gpus)
        if self.execution == "compile":
            given["load_timeout_seconds"] = COMPILE_SECONDS
        return Settings(**given)


def serve(
    options: ServeOptions,
    request_log: Annotated[bool, typer.Option(help="Lines of JSON about requests, on stderr.")] = True,
    request_log_rate: Annotated[
        int, typer.Option(min=1, help="Lines a minute of each method and status; the first ones whole.")
    ] = 60,
    ready_file: Annotated[Path | None, typer.Option(help="Write the address here once serving.")] = None,
) -> None:
    """Serve models over gRPC until Ctrl-C or SIGTERM."""
    import asyncio

    from rdserve.cli.exits import Code
    from rdserve.server.app import StartError
    from rdserve.server.app import serve as run
    from rdserve.server.observability import logs
    from rdserve.wire import tracing

    _allow_more_files()
    logs.set_up(requests=request_log, per_minute=request_log_rate)
    tracing.set_up("rdserve")
    if options.models is None:
        typer.echo("no --models given: these are the models of digits that come with rdserve", err=True)
    try:
        asyncio.run(run(options.settings(), typer.echo, ready_file))
    except (SettingsError, StartError) as error:
        typer.echo(f"rdserve serve: {error}", err=True)
        raise typer.Exit(Code.USAGE if isinstance(error, SettingsError) else Code.UNAVAILABLE) from None
    except Exception as error:
        logs.crashed(error)
        raise typer.Exit(Code.BUG) from None


def _allow_more_files() -> None:
    """Each connection takes a file, and a shell's usual 1,024 are gone in a small flood."""
    import contextlib
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS says "unlimited" and does not mean it
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
