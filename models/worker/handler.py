"""What TorchServe loads: one class, no science. Packaging copies this file into every archive."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

import torch
from rdserve.models.execution.config import ExecutionConfig, chosen_execution, chosen_precision
from rdserve.models.worker.memory import bound_memory_for
from rdserve.models.worker.worker import Worker
from rdserve.wire import tracing

LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"


class RDHandler:
    """Serves one checkpoint: rows of serialized WorkRequest in, serialized WorkReply out."""

    def initialize(self, context: Any) -> None:
        # TorchServe keeps what a worker writes to stderr, and only that.
        logging.basicConfig(force=True, stream=sys.stderr, level=logging.WARNING, format=LOG_FORMAT)
        tracing.set_up("rdserve-worker")
        torch.set_num_threads(int(os.environ.get("RDSERVE_TORCH_THREADS", "1")))
        properties = context.system_properties
        gpu = properties.get("gpu_id")
        device = f"cuda:{gpu}" if torch.cuda.is_available() and gpu is not None else "cpu"
        config = ExecutionConfig(torch.device(device), chosen_precision(), execution=chosen_execution())
        folder = Path(properties["model_dir"])
        bound_memory_for(folder)
        self.worker = Worker.load(folder, config)

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[bytes]:
        return self.worker.work([row.get("body") or row.get("data") or b"" for row in data])
