"""Score the digits test images under one model. Start a service first: make serve."""

import sys

from rdserve.client import Client
from rdserve.data import load

address = sys.argv[1] if len(sys.argv) > 1 else "localhost:50051"
images = load("digits", split="test").images  # (400, 8, 8) bool

with Client(address) as client:
    model = next(model.name for model in client.models() if not model.fault)
    score = client.score(model, images, seed=0)  # one rate and distortion per image, nats
    print(f"{model}: R = {score.rate_nats.mean():.2f}, D = {score.distortion_nats.mean():.2f} nats per image")
