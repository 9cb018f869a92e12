"""What is wrong with a data set."""


class DataError(ValueError):
    """A data set that is unknown, missing, or not what it should be."""
