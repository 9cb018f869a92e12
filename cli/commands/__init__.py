"""The commands of `rdserve`, a module each; the four of single use are in query."""
