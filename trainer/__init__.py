"""Training: D + beta R down, a checkpoint out. Needs torch, numpy, safetensors, pydantic, rich.

`train(configure("-+v", "digits", beta=0.4), Path("runs/mine"), name="mine")` trains, or goes on
where it stopped. See docs/training.md.
"""

try:
    from rdserve.trainer.config import Config, ConfigError, configure
    from rdserve.trainer.train import Diverged, Stopped, TrainingError, train
except ModuleNotFoundError as error:
    raise ImportError(f"rdserve.trainer needs {error.name}; pip install 'rdserve[train]'") from error

__all__ = ["Config", "ConfigError", "Diverged", "Stopped", "TrainingError", "configure", "train"]
