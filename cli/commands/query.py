"""`rdserve models`, `encode`, `reconstruct`, `sample` and `score`: one call each."""

from pathlib import Path
from typing import Annotated

import typer
from rdserve.cli.connection import Trust, connection
from rdserve.cli.image_files import IMAGES_SHOWN, Array, as_text, check_suffix, model_images, write_arrays
from rdserve.cli.options import (
    ADDRESS,
    Data,
    DataRoot,
    Limit,
    NSamples,
    Preprocess,
    Seed,
    Server,
    Split,
    Timeout,
)
from rdserve.client import Client, Reconstruction, Sample, Timing, timings

Model = Annotated[str, typer.Argument(help="Name of the model; `rdserve models` lists them.")]
Images = Annotated[Path | None, typer.Option(help=".npy or .npz with binary images (N, H, W).")]


def models(trust: Trust, server: Server = ADDRESS, timeout: Timeout = 30.0) -> None:
    """List the models of a service."""
    with connection(server, trust, timeout=timeout) as client:
        from rdserve.cli.console import console
        from rdserve.compare.render.terminal import models_table

        found = client.models()
        console().print(models_table(found) if found else "the service holds no models")


def encode(
    model: Model,
    trust: Trust,
    images: Images = None,
    data: Data = None,
    split: Split = "test",
    limit: Limit = None,
    data_root: DataRoot = None,
    preprocess: Preprocess = None,
    n_samples: NSamples = 1,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help=".npz, or .npy for the posterior modes.")] = None,
    server: Server = ADDRESS,
    timeout: Timeout = 300.0,
) -> None:
    """Images to latents: mode, scale and samples of e(z|x)."""
    with connection(server, trust, timeout=timeout) as client:
        check_suffix(out, (".npz", ".npy"))
        x = model_images(
            client, model, images, data, split=split, limit=limit, root=data_root, preprocess=preprocess
        )
        encoding = client.encode(model, x, n_samples=n_samples, seed=seed)
        n, k, z = encoding.latents.shape
        typer.echo(f"{n} images to {z} latents, {k} sample{'s' if k > 1 else ''} each")
        typer.echo(f"posterior scale from {encoding.posterior_scale.min():.3g} ", nl=False)
        typer.echo(f"to {encoding.posterior_scale.max():.3g}")
        if out:
            write_arrays(out, vars(encoding), main="posterior_mode")
            typer.echo(f"wrote {out}")


def reconstruct(
    model: Model,
    trust: Trust,
    images: Images = None,
    data: Data = None,
    split: Split = "test",
    limit: Limit = None,
    data_root: DataRoot = None,
    preprocess: Preprocess = None,
    n_samples: NSamples = 5,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help=".npz, .npy for the images, or .png.")] = None,
    server: Server = ADDRESS,
    timeout: Timeout = 300.0,
) -> None:
    """Images to one z each, and n-samples images back from it."""
    with connection(server, trust, timeout=timeout) as client:
        check_suffix(out, (".npz", ".npy", ".png"))
        x = model_images(
            client, model, images, data, split=split, limit=limit, root=data_root, preprocess=preprocess
        )
        result = client.reconstruct(model, x, n_samples=n_samples, seed=seed)
        typer.echo(f"{model}: above the images, below one reconstruction of each")
        typer.echo(as_text(x))
        typer.echo(as_text(result.images[:, 0]))
        if out:
            _write(out, client, model, result, x)


def sample(
    model: Model,
    trust: Trust,
    n: Annotated[int, typer.Option(min=1, help="How many z to draw.")] = 8,
    n_samples: NSamples = 5,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help=".npz, .npy for the images, or .png.")] = None,
    server: Server = ADDRESS,
    timeout: Timeout = 300.0,
) -> None:
    """n latents from m(z), and n-samples images from each."""
    with connection(server, trust, timeout=timeout) as client:
        check_suffix(out, (".npz", ".npy", ".png"))
        result = client.sample(model, n, n_samples=n_samples, seed=seed)
        typer.echo(as_text(result.images[:, 0]))
        if out:
            _write(out, client, model, result)


def _write(
    out: Path, client: Client, model: str, drawn: Reconstruction | Sample, x: Array | None = None
) -> None:
    """Latents and images to a file; as a picture a few of the images, beside those that they are of."""
    if out.suffix == ".png":
        from rdserve.compare.render.figures import plane, sheet

        of = client.model(model)
        header = {model: f"{of.family} β{of.beta:g}\ntrained on\n{of.data_name}"}
        latents, images = drawn.latents[:IMAGES_SHOWN], drawn.images[:IMAGES_SHOWN]
        if x is None:
            figure = sheet.sample_sheet({model: Sample(latents, images)}, header, title=model)
        else:
            shown = {model: Reconstruction(latents, images)}
            figure = sheet.reconstruction_sheet(x[:IMAGES_SHOWN], shown, header, title=model)
        plane.save(figure, out)
    else:
        write_arrays(out, vars(drawn), main="images")
    typer.echo(f"wrote {out}")


def score(
    model: Model,
    trust: Trust,
    images: Images = None,
    data: Data = None,
    split: Split = "test",
    limit: Limit = None,
    data_root: DataRoot = None,
    preprocess: Preprocess = None,
    n_samples: NSamples = 1,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help=".npz or .csv with a row per image.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Where the time went.")] = False,
    server: Server = ADDRESS,
    timeout: Timeout = 300.0,
) -> None:
    """Rate and distortion of images under a model, in nats per image."""
    with connection(server, trust, timeout=timeout) as client:
        from rdserve.compare.render.formatting import with_error
        from rdserve.compare.statistics.summaries import mean

        check_suffix(out, (".npz", ".csv"))
        x = model_images(
            client, model, images, data, split=split, limit=limit, root=data_root, preprocess=preprocess
        )
        with timings() as calls:
            result = client.score(model, x, n_samples=n_samples, seed=seed)
        columns = {
            "rate_nats": result.rate_nats,
            "distortion_nats": result.distortion_nats,
            "elbo_nats": result.elbo_nats,
            "importance_bound_nats": result.importance_bound_nats,
            "importance_ess": result.importance_ess,
        }
        typer.echo(f"{model}, {len(x)} images, mean ± standard error in nats")
        for name, values in (
            ("R", result.rate_nats),
            ("D", result.distortion_nats),
            ("-ELBO", -result.elbo_nats),
        ):
            typer.echo(f"{name:>6}  {with_error(*mean(values))}")
        if verbose:
            typer.echo("\n".join(map(_times, calls)))
        if out:
            write_arrays(out, columns, main="rate_nats")
            typer.echo(f"wrote {out}")


def _times(call: Timing) -> str:
    return (
        f"call {call.request_id}: {1000 * call.queue_seconds:.1f} ms in the queue, "
        f"{1000 * call.compute_seconds:.1f} ms in model version {call.model_version}, "
        f"batches of up to {call.batch_rows} rows"
    )
