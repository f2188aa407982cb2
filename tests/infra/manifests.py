"""What `kubectl kustomize` makes of infra/kubernetes, as far as these files use it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = Path(__file__).resolve().parents[2] / "infra" / "kubernetes"
KNOWN = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "patches",
    "generatorOptions",
    "configMapGenerator",
    "secretGenerator",
    "images",
}

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Container:
    """A container of some pod, and where it stands."""

    name: str
    document: Mapping[str, Any]
    pod: Mapping[str, Any]
    labels: Mapping[str, str]

    @property
    def argv(self) -> tuple[str, ...]:
        """Program and arguments, without our image's entrypoint."""
        return (*self.document.get("command", []), *self.document.get("args", []))

    def environment(self, maps: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """Return its variables: those of the named maps, and its own over them."""
        variables: dict[str, str] = {}
        for source in self.document.get("envFrom", []):
            variables |= maps[source["configMapRef"]["name"]]
        return variables | {entry["name"]: entry["value"] for entry in self.document.get("env", [])}

    @property
    def secrets(self) -> set[str]:
        """Keys of the secret that its pod mounts."""
        return {item["key"] for source in _secret_sources(self.pod) for item in source.get("items", [])}


@cache
def build(overlay: str) -> tuple[Manifest, ...]:
    """Return the manifests of an overlay, patched, with the config maps; secrets have their names alone."""
    return tuple(_built(KUBERNETES / overlay))


def _built(folder: Path) -> list[Manifest]:
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    assert set(plan) <= KNOWN, f"{folder}: this reads {sorted(KNOWN)}, got {sorted(set(plan) - KNOWN)}"
    made = [copy.deepcopy(manifest) for name in plan["resources"] for manifest in _resource(folder / name)]
    made += [_config_map(folder, entry) for entry in plan.get("configMapGenerator", [])]
    made += [_secret(entry) for entry in plan.get("secretGenerator", [])]
    for patch in plan.get("patches", []):
        _patch(made, patch["target"], yaml.safe_load((folder / patch["path"]).read_text(encoding="utf-8")))
    for manifest in made:
        if "namespace" in plan and manifest["kind"] != "Namespace":
            manifest["metadata"]["namespace"] = plan["namespace"]
    return made


def _resource(place: Path) -> list[Manifest]:
    if place.is_dir():
        return _built(place)
    return list(yaml.safe_load_all(place.read_text(encoding="utf-8")))


def _config_map(folder: Path, entry: Mapping[str, Any]) -> Manifest:
    data = {Path(file).name: (folder / file).read_text(encoding="utf-8") for file in entry.get("files", [])}
    for file in entry.get("envs", []):
        data |= dict(line.split("=", 1) for line in (folder / file).read_text(encoding="utf-8").splitlines())
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": entry["name"]}, "data": data}


def _secret(entry: Mapping[str, Any]) -> Manifest:
    keys = {Path(file).name: "" for file in entry["files"]}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": entry["name"]}, "stringData": keys}


def _patch(made: list[Manifest], target: Mapping[str, str], operations: list[Mapping[str, Any]]) -> None:
    chosen = [one for one in made if one["kind"] == target["kind"] and one["metadata"]["name"] == target["name"]]
    assert len(chosen) == 1, f"{target}: must name one manifest, got {len(chosen)}"
    for operation in operations:
        *way, last = operation["path"].strip("/").split("/")
        place: Any = chosen[0]
        for step in way:
            place = place[int(step) if isinstance(place, list) else step]
        assert operation["op"] == "add" or last in place, f"{operation['path']}: must be there to be replaced"
        place[last] = operation["value"]


def of_kind(manifests: tuple[Manifest, ...], *kinds: str) -> list[Manifest]:
    """Return the manifests of some kinds."""
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def named(manifests: tuple[Manifest, ...], kind: str, name: str) -> Manifest:
    """Return one manifest."""
    (found,) = (one for one in of_kind(manifests, kind) if one["metadata"]["name"] == name)
    return found


def config_maps(manifests: tuple[Manifest, ...]) -> dict[str, dict[str, str]]:
    """Return the data of each config map by its name."""
    return {one["metadata"]["name"]: one["data"] for one in of_kind(manifests, "ConfigMap")}


def pods(manifests: tuple[Manifest, ...]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, str]]]:
    """Yield every pod's specification with the labels of its pods."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if "template" in spec:
            yield spec["template"]["spec"], spec["template"]["metadata"]["labels"]
        for part in (spec.get("scheduler"), spec.get("worker")):
            if part:
                yield part["spec"], part["metadata"]["labels"]


def containers(manifests: tuple[Manifest, ...]) -> dict[str, Container]:
    """Return every container by its name: that of the service in infra/compose.yaml."""
    return {
        entry["name"]: Container(entry["name"], entry, pod, labels)
        for pod, labels in pods(manifests)
        for entry in (*pod.get("initContainers", []), *pod["containers"])
    }


def _secret_sources(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for volume in pod["volumes"]:
        if "secret" in volume:
            yield volume["secret"]
        for source in volume.get("projected", {}).get("sources", []):
            if "secret" in source:
                yield source["secret"]
