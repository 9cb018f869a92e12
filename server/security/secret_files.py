"""Files that hold secrets."""

from pathlib import Path

from rdserve.server.settings import SettingsError

MAX_BYTES = 2**20
_OTHERS = 0o007


def read_private(path: Path, what: str) -> bytes:
    """The bytes of a secret that only its owner and group can reach.

    Raises:
        SettingsError: unreadable, larger than MAX_BYTES, or open to everyone on the machine.
    """
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"cannot read {what} {path}: {error.strerror}") from None
    if mode & _OTHERS:
        raise SettingsError(f"{what} {path} has mode {mode & 0o777:04o}, open to everyone; chmod 600 {path}")
    if len(data) > MAX_BYTES:
        raise SettingsError(f"{what} {path} has more than {MAX_BYTES} bytes; is it the right file?")
    return data
