"""Trained checkpoints. Three small ones of digits and the paper's toy come with the package."""

from pathlib import Path

DIGITS = Path(__file__).parent / "digits"
TOY = Path(__file__).parent / "toy"
