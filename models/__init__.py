"""The science: VAEs, their rate and distortion, their noise. Imports torch, never grpc, ts or prometheus."""
