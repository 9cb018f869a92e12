"""What `import rdserve` offers, and that nothing is loaded before it is asked for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import rdserve
import rdserve.client
import rdserve.compare
import rdserve.data


def test_names_are_those_of_their_packages() -> None:
    assert rdserve.Client is rdserve.client.Client
    assert rdserve.Comparison is rdserve.compare.Comparison
    assert rdserve.load is rdserve.data.load
    with pytest.raises(AttributeError, match="module 'rdserve' has no attribute 'Clinet'"):
        _ = rdserve.Clinet


def test_a_type_checker_sees_what_is_loaded() -> None:
    """It reads the imports that no process makes; mypy holds them to be true."""
    tree = ast.parse(Path(rdserve.__file__).read_text())
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    froms = [it for it in checked.body if isinstance(it, ast.ImportFrom)]
    seen = {alias.name: it.module for it in froms for alias in it.names}
    assert seen == rdserve._HOMES
    assert {*seen, "__version__"} == set(rdserve.__all__)
    assert Path(rdserve.__file__).with_name("py.typed").is_file()


def test_the_data_is_loaded_without_the_client() -> None:
    code = "import rdserve, sys; rdserve.load('digits', split='test'); print('grpc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
