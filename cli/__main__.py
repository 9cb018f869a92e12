"""`python -m rdserve.cli`: the same as `rdserve`."""

from rdserve.cli import main

main()
