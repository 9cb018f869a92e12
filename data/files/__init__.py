"""Data of one's own: what a file or a folder holds, by its form."""

from rdserve.data.files.read import FORMS, is_file, read

__all__ = ["FORMS", "is_file", "read"]
