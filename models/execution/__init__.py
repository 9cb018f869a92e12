"""Where and how networks run: devices, precision, compiled code, CUDA graphs."""

from typing import Literal

# Here, so that settings know them without torch.
Precision = Literal["float32", "tf32", "bfloat16"]
Execution = Literal["eager", "compile", "graphs"]
