"""Each model from loading to failed, and who watches over it."""
