"""What is said of the models of a comparison."""
