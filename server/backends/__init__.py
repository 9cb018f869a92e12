"""Where models run: TorchServe, or this process."""
