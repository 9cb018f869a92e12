"""The paper's exact toy (section 3): its laws, and models of it."""
