from pathlib import Path

import pytest
from rdserve.server.settings import Settings, SettingsError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_is_served(host: str) -> None:
    assert Settings(models=Path(), host=host).host == host


PEM = {"tls_cert": Path("cert.pem"), "tls_key": Path("key.pem")}
TOKENS = {"token_file": Path("tokens")}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org", ""])
@pytest.mark.parametrize(
    ("given", "missing"),
    [({}, "--tls-cert and --tls-key and --token-file"), (PEM, "--token-file"), (TOKENS, "--tls-cert")],
)
def test_beyond_loopback_both_tls_and_tokens_are_asked_for(
    host: str, given: dict[str, Path], missing: str
) -> None:
    with pytest.raises(SettingsError, match=f"not a loopback address.*give {missing}"):
        Settings(models=Path(), host=host, **given)  # type: ignore[arg-type]
    assert Settings(models=Path(), host=host, **PEM, **TOKENS).host == host


@pytest.mark.parametrize(
    "given", [{"tls_cert": Path("a")}, {"tls_key": Path("a")}, {"tls_client_ca": Path("a")}]
)
def test_half_of_tls_is_refused(given: dict[str, Path]) -> None:
    with pytest.raises(SettingsError, match=r"certificate"):
        Settings(models=Path(), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [("workers", 0), ("threads", -1), ("port", 65536), ("max_batch_rows", 0), ("backend", "onnx")],
)
def test_a_refusal_quotes_setting_and_value(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"{name}.*{value}"):
        Settings(models=Path(), **{name: value})  # type: ignore[arg-type]


def test_an_execution_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="'fast' is none of eager, compile, graphs"):
        Settings(models=Path(), execution="fast")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="there are 0 gpus; give --gpus"):
        Settings(models=Path(), execution="graphs")
    assert Settings(models=Path(), execution="graphs", gpus=1).execution == "graphs"
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(SettingsError, match="found no no-such-compiler"):
        Settings(models=Path(), execution="compile")
