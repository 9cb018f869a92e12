"""Statistics over arrays of per-example values; numpy and scipy, nothing of ours."""
