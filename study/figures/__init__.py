"""The paper's figures, of a served zoo."""
