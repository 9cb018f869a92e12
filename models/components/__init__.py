"""Encoders, decoders and marginals: what a family is put together from."""
