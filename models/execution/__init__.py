"""Where and how networks run: devices, precision, compiled code, CUDA graphs."""
