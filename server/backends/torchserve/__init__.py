"""TorchServe as a child process, and calls to it."""
