from pathlib import Path

import pytest
from rdserve.server.settings import Settings, SettingsError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_is_served(host: str) -> None:
    assert Settings(models=Path(), host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org", ""])
def test_other_hosts_are_refused(host: str) -> None:
    with pytest.raises(SettingsError, match="not a loopback address"):
        Settings(models=Path(), host=host)


@pytest.mark.parametrize(
    ("name", "value"),
    [("workers", 0), ("threads", -1), ("port", 65536), ("max_batch_rows", 0), ("backend", "onnx")],
)
def test_a_refusal_quotes_setting_and_value(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"{name}.*{value}"):
        Settings(models=Path(), **{name: value})  # type: ignore[arg-type]
