"""`kustomize build` over deploy/kubernetes: resources, images and strategic merge patches, no more."""

from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
KNOWN = {"apiVersion", "kind", "resources", "images", "patches"}


def read(path: Path) -> list[Object]:
    """The objects of a YAML file."""
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def build(folder: Path) -> list[Object]:
    """The objects of a folder with a kustomization.yaml; it may use what KNOWN names."""
    (plan,) = read(folder / "kustomization.yaml")
    assert set(plan) <= KNOWN
    objects: list[Object] = []
    for name in plan["resources"]:
        path = folder / name
        objects += build(path) if path.is_dir() else read(path)
    for patch in plan.get("patches", []):
        (change,) = read(folder / patch["path"])
        (target,) = (each for each in objects if _id(each) == _id(change))
        _merge(target, change)
    for image in plan.get("images", []):
        for container in containers(objects):
            if container["image"] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
    return objects


def containers(objects: list[Object]) -> list[Object]:
    """The containers of every pod template."""
    templates = [each["spec"]["template"] for each in objects if "template" in each.get("spec", {})]
    return [container for template in templates for container in template["spec"]["containers"]]


def _id(each: Object) -> tuple[str, str, str]:
    return each["apiVersion"], each["kind"], each["metadata"]["name"]


def _merge(into: Object, change: Object) -> None:
    for key, value in change.items():
        if isinstance(value, dict) and key in into:
            _merge(into[key], value)
        elif key == "containers":
            for container in value:
                (target,) = (each for each in into[key] if each["name"] == container["name"])
                _merge(target, container)
        else:
            assert key not in into or not isinstance(value, list), f"no rule to merge the list {key}"
            into[key] = value
