"""The models of a service, for who compares some of them by name."""

from collections.abc import Iterable

from rdserve.client.client import Client
from rdserve.client.errors import InputError, NotFound
from rdserve.client.results import ModelInfo, unserved


def served(client: Client, names: Iterable[str]) -> dict[str, ModelInfo]:
    """All models by name, these among them.

    Raises:
        InputError: it has none of a name.
        Unavailable: it is starting, and a model of that name may be yet to come.
    """
    wanted, there = list(names), _by_name(client)
    if missing := [name for name in wanted if name not in there]:
        for name in missing:  # the list of a service that is starting may not hold all
            _ask(client, name)
        there = _by_name(client)
    if unknown := unserved(wanted, there):
        raise InputError(unknown)
    return there


def _ask(client: Client, name: str) -> None:
    try:
        client.model(name)
    except NotFound:
        return


def _by_name(client: Client) -> dict[str, ModelInfo]:
    return {model.name: model for model in client.models()}
