"""infra/kubernetes is what Kubernetes and the Dask operator accept, and runs what infra/compose.yaml runs."""

import copy
import json
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.infra.compose import INFRA, services
from tests.infra.manifests import KUBERNETES, build, config_maps, containers, named, of_kind, pods

DASK = json.loads((Path(__file__).parent / "schemas/dask.json").read_text())
OVERLAYS = ("base", "gpu")
VERSIONS = ("1.31", "1.34", "1.37")
"""Of Kubernetes: the oldest that the README names, and newer ones up to the newest whose schema is published."""

POSTGRES = ("postgres/roles.sh", "postgres/dump.sh", "postgres/restore.sh")
REACH = "lidcflow.reach/"
NETWORKS = {
    "postgres": "database",
    "storage": "storage",
    "dask": "dask",
    "orthanc": "pacs",
    "prefect": "api",
    "mlflow": "api",
}
"""Network of infra/compose.yaml that each label opens."""


def every(overlay):
    return [pytest.param(one, id=f"{overlay}-{one['kind']}-{one['metadata']['name']}") for one in build(overlay)]


def refused(manifest):
    schema = {"$ref": f"#/{manifest['kind']}", **DASK}
    closed = closed_objects(schema)
    return [error.message for error in jsonschema.Draft7Validator(closed).iter_errors(manifest)]


def closed_objects(schema):
    """The operator's schemas drop fields that they don't know: here these are refused."""
    if isinstance(schema, list):
        return [closed_objects(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed_objects(value) for key, value in schema.items()}
    if (
        isinstance(schema.get("properties"), dict)
        and "additionalProperties" not in schema
        and "spec" not in schema["properties"]
    ):
        inner["additionalProperties"] = False
    return inner


@pytest.mark.parametrize("manifest", every("base") + every("gpu"))
def test_every_manifest_keeps_to_its_published_schema(manifest):
    if manifest["kind"].startswith("Dask"):
        assert refused(manifest) == []
    else:
        for release in VERSIONS:
            kubernetes_validate.validate(manifest, release, strict=True)


@pytest.mark.parametrize("kind", ["DaskCluster", "DaskWorkerGroup", "DaskAutoscaler"])
def test_the_schemas_of_the_operator_are_those_of_the_installed_package(kind):
    folder = files("dask_kubernetes.operator") / "customresources"
    document = yaml.safe_load((folder / f"{kind.lower()}.yaml").read_text())
    (published,) = document["spec"]["versions"]

    assert DASK["source"].startswith(f"CustomResourceDefinitions of dask-kubernetes {version('dask-kubernetes')},")
    assert {one["apiVersion"] for one in build("gpu") if one["kind"] == kind} <= {
        f"{document['spec']['group']}/{published['name']}"
    }
    schema = published["schema"]["openAPIV3Schema"]
    if way := schema.get("$ref"):
        templates = yaml.safe_load((folder / "templates.yaml").read_text())
        schema = templates["definitions"][way.rpartition("/")[2]]
    theirs, ours = schema["properties"]["spec"], DASK[kind]["properties"]["spec"]
    assert set(ours["properties"]) == set(theirs["properties"])
    assert ours.get("required") == theirs.get("required")


def test_a_field_that_the_operator_would_drop_is_refused():
    wrong = copy.deepcopy(named(build("base"), "DaskCluster", "lidcflow"))
    wrong["spec"]["worker"]["spec"]["nodeSelectors"] = {"a": "b"}

    assert any("nodeSelectors" in sentence for sentence in refused(wrong))


def test_a_field_that_kubernetes_does_not_know_is_refused():
    wrong = copy.deepcopy(named(build("base"), "Deployment", "prefect"))
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}

    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(wrong, "1.34", strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_it_runs_the_services_of_compose_with_the_same_commands(overlay):
    found = containers(build(overlay))

    assert set(found) == set(services())
    for name, container in found.items():
        theirs = [word for word in services()[name].argv if word != "/usr/local/bin/lidcflow-entrypoint"]
        ours = list(container.argv)
        if name == "scheduler":  # the operator's autoscaler asks over the pods' network
            ours[ours.index("--dashboard-address=:8787")] = "--dashboard-address=127.0.0.1:8787"
        assert ours == theirs, name


def test_it_runs_them_with_the_same_environment():
    maps = config_maps(build("base"))

    for name, container in containers(build("base")).items():
        ours = container.environment(maps)
        ours.pop("DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES", None)
        assert ours == dict(services()[name].environment), name


def test_it_gives_them_the_same_secrets():
    for name, container in containers(build("base")).items():
        theirs = set(services()[name].secrets.values())
        if name in ("flows", "deploy"):
            theirs = set(services()["flows"].secrets.values()) | set(services()["deploy"].secrets.values())
        assert container.secrets == theirs, name


def test_it_checks_their_health_alike():
    for name, container in containers(build("base")).items():
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if services()[name].health:
                assert tuple(container.document[probe]["exec"]["command"]) == services()[name].health, name


@pytest.mark.parametrize("file", ["lidcflow.toml", "orthanc.json", *POSTGRES])
def test_what_it_mounts_is_what_compose_mounts(file):
    assert (KUBERNETES / "base/files" / Path(file).name).read_text() == (INFRA / file).read_text()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_confined(overlay):
    for pod, _ in pods(build(overlay)):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*pod.get("initContainers", []), *pod["containers"]):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]) == {"requests", "limits"}


def test_no_secret_has_a_value_and_no_pod_takes_one_into_its_environment():
    secret = named(build("base"), "Secret", "lidcflow")
    mounted = set().union(*(container.secrets for container in containers(build("base")).values()))

    assert set(secret["stringData"]) == mounted
    assert "secretKeyRef" not in json.dumps(build("base"))
    assert not list((KUBERNETES / "base").glob("secret*.yaml"))


def test_nothing_is_reached_unless_allowed():
    policy = named(build("base"), "NetworkPolicy", "nothing-unless-allowed")["spec"]

    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_labels_open_what_networks_of_compose_open():
    for pod, labels in pods(build("base")):
        for container in pod["containers"]:
            theirs = {NETWORKS[label.removeprefix(REACH)] for label in labels if label.startswith(REACH)}
            own = NETWORKS.get(container["name"])
            networks = set(services()[container["name"]].networks) - {"edge", own}
            if container["name"] == "scheduler":
                networks |= {"dask"}
            assert theirs - {own} == networks - {own}, container["name"]


def test_every_label_has_its_two_policies():
    used = {label for _, labels in pods(build("base")) for label in labels if label.startswith(REACH)}
    policies = of_kind(build("base"), "NetworkPolicy")
    opened = {
        label for one in policies for label in one["spec"]["podSelector"].get("matchLabels", {}) if REACH in label
    }

    assert used == opened
    for name in set(NETWORKS) - {"dask"}:
        into = named(build("base"), "NetworkPolicy", f"to-{name}")["spec"]
        assert into["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": name}}
        assert into["ingress"][0]["from"] == [{"podSelector": {"matchLabels": {f"{REACH}{name}": "true"}}}]


def test_selectors_find_the_pods_that_they_mean():
    labels = [labels for _, labels in pods(build("base"))]
    operators = {"dask.org/cluster-name": "lidcflow", "dask.org/component": "scheduler"}

    for manifest in of_kind(build("base"), "Service"):
        selector = manifest["spec"]["selector"]
        assert selector == operators or any(selector.items() <= one.items() for one in labels)
    for manifest in of_kind(build("base"), "PodDisruptionBudget", "Deployment", "StatefulSet"):
        selector = manifest["spec"]["selector"]["matchLabels"]
        assert any(selector.items() <= one.items() for one in labels)


def test_a_gpu_goes_to_the_worker_that_trains_and_to_no_other():
    trains = containers(build("gpu"))["train-worker"]

    assert trains.document["image"].endswith("-gpu")
    assert trains.document["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert trains.pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert trains.pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert json.dumps(build("gpu")).count('nvidia.com/gpu"') == 3  # requests, limits, toleration


def test_what_trains_and_flows_share_the_workspace_and_what_preprocesses_does_without():
    claims = named(build("base"), "PersistentVolumeClaim", "workspace")["spec"]["accessModes"]
    found = containers(build("base"))

    assert claims == ["ReadWriteMany"]
    sharing = {
        name
        for name, container in found.items()
        if {"name": "workspace", "mountPath": "/workspace"} in container.document["volumeMounts"]
    }
    assert sharing == {"flows", "deploy", "train-worker", "reports"}
    assert sharing == {name for name, service in services().items() if "workspace:/workspace" in service.volumes}


def test_prefect_schedules_and_kubernetes_does_not():
    assert not of_kind(build("base"), "CronJob")
