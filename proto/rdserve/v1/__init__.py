"""Generated messages and services of package rdserve.v1, and the codecs both ends share."""
