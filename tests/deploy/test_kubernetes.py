"""deploy/kubernetes against Kubernetes' own schemas, and against the service that it runs."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from kustomize import Object, build, containers, read
from rdserve.cli.command_table import load
from rdserve.cli.environment import variables
from rdserve.server.observability.metrics import METRICS
from rdserve.server.settings import Settings
from typer.main import get_command

KUBERNETES = Path(__file__).parents[2] / "deploy/kubernetes"
VERSIONS = ("1.30", "1.37")
JAVA_SECONDS = 10


@pytest.fixture(params=["cpu", "gpu"])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return build(KUBERNETES / "overlays" / request.param)


@pytest.fixture
def runtime() -> Object:
    (found,) = read(KUBERNETES / "kserve/serving-runtime.yaml")
    return found


def test_an_inference_service_speaks_what_its_runtime_does(runtime: Object) -> None:
    """Its kind is not among Kubernetes' schemas; what it names must be there."""
    (service,) = read(KUBERNETES / "kserve/inference-service.yaml")
    model, spec = service["spec"]["predictor"]["model"], runtime["spec"]
    assert (model["runtime"], model["protocolVersion"]) == (runtime["metadata"]["name"], "v2")
    assert model["protocolVersion"] in spec["protocolVersions"]
    (format_,) = spec["supportedModelFormats"]
    assert model["modelFormat"] == {key: format_[key] for key in ("name", "version")}
    (container,) = spec["containers"]
    given = {each["name"]: each["value"] for each in (*container["env"], *model["env"])}
    known = {
        name for names in variables("serve", get_command(load("serve")).params).values() for name in names
    }
    assert set(given) <= known
    (port,) = model["ports"]
    assert str(port["containerPort"]) == given["RDSERVE_SERVE_HTTP"]
    assert all(name.startswith("digits-predictor") for name in given["RDSERVE_SERVE_HTTP_HOSTS"].split(","))


def of_kind(objects: list[Object], kind: str) -> Object:
    (found,) = (each for each in objects if each["kind"] == kind)
    return found


def pod(objects: list[Object]) -> Any:
    return of_kind(objects, "Deployment")["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_own_kinds_follow_their_schemas(objects: list[Object], version: str) -> None:
    own = [each for each in objects if "coreos" not in each["apiVersion"]]
    assert len(own) == 5
    for each in own:
        kubernetes_validate.validate(each, version, strict=True)


def test_a_wrong_field_is_noticed(objects: list[Object]) -> None:
    deployment = of_kind(objects, "Deployment")
    deployment["spec"]["template"]["spec"]["readOnlyRootFilesystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


def test_the_serving_runtime_s_pod_follows_the_schema_of_pods(runtime: Object) -> None:
    """Its own kind is not among Kubernetes' schemas; what it says of containers and volumes is."""
    spec = {key: runtime["spec"][key] for key in ("containers", "volumes")}
    as_pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "rdserve"}, "spec": spec}
    kubernetes_validate.validate(as_pod, VERSIONS[-1], strict=True)


def test_everything_selects_the_same_pods(objects: list[Object]) -> None:
    labels = of_kind(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        of_kind(objects, "Deployment")["spec"]["selector"]["matchLabels"],
        of_kind(objects, "Service")["spec"]["selector"],
        of_kind(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        of_kind(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector == labels for selector in selectors)
    service = of_kind(objects, "Service")
    assert (
        of_kind(objects, "ServiceMonitor")["spec"]["selector"]["matchLabels"] == service["metadata"]["labels"]
    )
    assert service["spec"]["clusterIP"] == "None"


def test_ports_have_the_names_that_others_use(objects: list[Object]) -> None:
    (container,) = containers(objects)
    names = {port["name"] for port in container["ports"]}
    service = of_kind(objects, "Service")["spec"]["ports"]
    assert {port["targetPort"] for port in service} == names
    assert {each["port"] for each in of_kind(objects, "ServiceMonitor")["spec"]["endpoints"]} <= names
    ingress = of_kind(objects, "NetworkPolicy")["spec"]["ingress"]
    assert {port["port"] for rule in ingress for port in rule["ports"]} == names


def test_the_grace_period_covers_the_drain(objects: list[Object]) -> None:
    (container,) = containers(objects)
    _, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    drain = 2 * Settings(models=Path()).grace_seconds + JAVA_SECONDS
    assert pod(objects)["terminationGracePeriodSeconds"] >= float(seconds) + drain


def test_nothing_is_allowed_that_is_not_needed(objects: list[Object], runtime: Object) -> None:
    assert pod(objects)["securityContext"]["runAsNonRoot"]
    assert pod(objects)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod(objects)["automountServiceAccountToken"]
    for container in (*containers(objects), *runtime["spec"]["containers"]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
    assert of_kind(objects, "NetworkPolicy")["spec"]["egress"] == []


def test_the_autoscaler_s_metric_is_made_of_metrics_that_are_there(objects: list[Object]) -> None:
    (adapter,) = read(KUBERNETES / "prometheus-adapter.yaml")
    (rule,) = adapter["rules"]
    (metric,) = of_kind(objects, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    used = set(re.findall(r"rdserve_\w+", rule["seriesQuery"] + rule["metricsQuery"]))
    assert used <= {series for declared in METRICS.values() for series in declared.series}


def test_a_gpu_is_asked_for_and_used() -> None:
    (container,) = containers(build(KUBERNETES / "overlays/gpu"))
    count = container["resources"]["limits"]["nvidia.com/gpu"]
    assert {"name": "RDSERVE_SERVE_GPUS", "value": count} in container["env"]
    assert container["image"] == "rdserve:gpu"
