"""`rdserve serve`."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    models: Annotated[Path, typer.Option(help="Folder of .mar archives or checkpoint folders.")],
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond loopback with TLS and tokens.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 50051,
    backend: Annotated[str, typer.Option(help="torchserve, or in-process (no Java).")] = "torchserve",
    workers: Annotated[
        int | None, typer.Option(help="Worker processes per model; without it one, or one per GPU.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Torch threads per worker.")] = 1,
    gpus: Annotated[int, typer.Option(help="GPUs to spread the workers over; 0 for the CPU.")] = 0,
    precision: Annotated[
        str, typer.Option(help="float32, or tf32 or bfloat16 for the networks.")
    ] = "float32",
    execution: Annotated[
        str, typer.Option(help="eager, or compile or graphs (CUDA graphs) for the networks.")
    ] = "eager",
    max_batch_rows: Annotated[int, typer.Option(help="Samples that one call to a worker may hold.")] = 256,
    metrics_host: Annotated[
        str, typer.Option(help="Address for Prometheus, plain HTTP; whoever reaches it may read.")
    ] = "127.0.0.1",
    metrics_port: Annotated[int, typer.Option(help="Its port; 0 takes a free one.")] = 0,
    request_log: Annotated[bool, typer.Option(help="Lines of JSON about requests, on stderr.")] = True,
    request_log_rate: Annotated[
        int, typer.Option(min=1, help="Lines a minute of each method and status; the first ones whole.")
    ] = 60,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM file: the server's certificate chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file: its key.")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(help="PEM file: who signs the certificates that clients must show.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(envvar="RDSERVE_TOKENS_FILE", help="A token per line; callers must send one of them."),
    ] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Write the address here once serving.")] = None,
) -> None:
    """Serve models over gRPC until Ctrl-C or SIGTERM."""
    import asyncio

    from rdserve.cli.exits import Code
    from rdserve.server.app import StartError
    from rdserve.server.app import serve as run
    from rdserve.server.observability import logs
    from rdserve.server.settings import Settings, SettingsError
    from rdserve.wire import tracing

    _allow_more_files()
    logs.set_up(requests=request_log, per_minute=request_log_rate)
    tracing.set_up("rdserve")
    try:
        settings = Settings(
            models=models,
            host=host,
            port=port,
            backend=backend,  # type: ignore[arg-type]  # Settings refuses what is no backend
            workers=max(1, gpus) if workers is None else workers,
            threads=threads,
            gpus=gpus,
            precision=precision,  # type: ignore[arg-type]  # as above
            execution=execution,  # type: ignore[arg-type]  # as above
            load_timeout_seconds=900 if execution == "compile" else Settings.load_timeout_seconds,
            max_batch_rows=max_batch_rows,
            metrics_host=metrics_host,
            metrics_port=metrics_port,
            tls_cert=tls_cert,
            tls_key=tls_key,
            tls_client_ca=tls_client_ca,
            token_file=token_file,
        )
        asyncio.run(run(settings, typer.echo, ready_file))
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
