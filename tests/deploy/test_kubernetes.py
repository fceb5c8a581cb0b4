"""The manifests are what Kubernetes and Locust's operator take, by their published schemas."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from plans.loading import load

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "deploy" / "kubernetes"
PLAIN = sorted([*(MANIFESTS / "base").glob("*.yaml"), *(MANIFESTS / "platform").glob("*.yaml")])
PLAIN = [path for path in PLAIN if path.name not in {"kustomization.yaml", "plan.yaml"}]
OPERATOR = MANIFESTS / "operator" / "locusttest.yaml"
VERSIONS = ("1.29", "1.37")

Manifest = dict[str, Any]


def manifests(text: str) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(text) if document]


def pods(documents: list[Manifest]) -> list[Manifest]:
    return [one["spec"]["template"]["spec"] for one in documents if one["kind"] in {"Job", "Deployment"}]


@pytest.fixture(scope="module")
def rendered() -> list[Manifest]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which has Kustomize in it, is not here")
    command = ["kubectl", "kustomize", str(MANIFESTS / "platform")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return manifests(done.stdout)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.name)
def test_a_manifest_is_of_the_published_schema(path: Path, version: str) -> None:
    for document in manifests(path.read_text(encoding="utf-8")):
        kubernetes_validate.validate(document, version, strict=True)


def test_a_manifest_with_a_slip_is_refused() -> None:
    (job, _) = manifests((MANIFESTS / "base" / "master.yaml").read_text(encoding="utf-8"))
    job["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, VERSIONS[-1], strict=True)


def test_what_kustomize_makes_of_them_is_too(rendered: list[Manifest]) -> None:
    for document in rendered:
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)
    kinds = {(one["kind"], one["metadata"]["name"].split("-")[0]) for one in rendered}
    assert {("Job", "master"), ("Job", "workers"), ("Service", "master"), ("PersistentVolumeClaim", "results")} <= kinds
    settings = next(one["data"] for one in rendered if one["metadata"]["name"].startswith("settings"))
    workers = next(one["spec"] for one in rendered if one["metadata"]["name"] == "workers")
    assert int(settings["WORKERS"]) == workers["parallelism"] == workers["completions"]
    service = next(one for one in rendered if one["kind"] == "Service" and one["metadata"]["name"] == "platform")
    assert settings["TARGET"] == f"http://platform:{service['spec']['ports'][0]['port']}"


def test_the_master_ends_with_its_verdict_and_is_not_run_again() -> None:
    (job, _) = manifests((MANIFESTS / "base" / "master.yaml").read_text(encoding="utf-8"))
    pod = job["spec"]["template"]["spec"]
    assert (job["spec"]["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    assert pod["containers"][0]["command"] == ["python", "certify.py"]
    volumes = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    claims = {volume["name"]: volume.get("persistentVolumeClaim") for volume in pod["volumes"]}
    assert claims[volumes["/proofload/runs"]] == {"claimName": "results"}


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.name)
def test_pods_keep_to_the_restricted_standard(path: Path) -> None:
    for pod in pods(manifests(path.read_text(encoding="utf-8"))):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
            assert {"cpu", "memory"} == set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]


def test_only_workers_reach_the_port_that_has_no_password() -> None:
    closed, master = manifests((MANIFESTS / "base" / "network.yaml").read_text(encoding="utf-8"))
    assert closed["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    rule = next(rule for rule in master["spec"]["ingress"] if {"port": "workers"} in rule["ports"])
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/component": "worker"}}}]


def _text(**more: Any) -> Manifest:
    return {"type": "string", **more}


def _closed(required: list[str] | None = None, **properties: Manifest) -> Manifest:
    return {
        "type": "object",
        "properties": properties,
        "required": required or [],
        "additionalProperties": False,
    }


def _quantities() -> Manifest:
    return {"type": "object", "additionalProperties": {"type": ["string", "integer"]}}


def _node() -> Manifest:
    resources = _closed(requests=_quantities(), limits=_quantities())
    return _closed(labels=_texts(), annotations=_texts(), resources=resources)


def _texts() -> Manifest:
    return {"type": "object", "additionalProperties": _text()}


LOCUST_TEST = _closed(
    ["workers"],
    annotations=_texts(),
    labels=_texts(),
    image=_text(),
    imagePullPolicy=_text(enum=["IfNotPresent", "Always", "Never"]),
    imagePullSecrets={"type": "array", "items": _closed(["name"], name=_text())},
    workers={"type": "integer", "minimum": 1},
    args=_text(),
    env={"type": "array", "items": _closed(["name"], name=_text(), value=_text())},
    master=_node(),
    worker=_node(),
    locustfile={
        **_closed(content=_text(), configMap=_closed(["name"], name=_text())),
        "oneOf": [{"required": ["content"]}, {"required": ["configMap"]}],
    },
    metrics=_closed(intervalSeconds={"type": "integer"}),
)
"""The fields of `spec` in locust.io/v1 LocustTest as the operator's chart 0.1.6 defines them, and no others."""


def test_the_operator_gets_a_test_of_its_kind_with_a_plan_that_can_be_loaded(tmp_path: Path) -> None:
    config, test = manifests(OPERATOR.read_text(encoding="utf-8"))
    assert (test["apiVersion"], test["kind"]) == ("locust.io/v1", "LocustTest")
    jsonschema.validate(test["spec"], LOCUST_TEST)
    kubernetes_validate.validate(config, VERSIONS[-1], strict=True)
    assert test["spec"]["locustfile"] == {"configMap": {"name": config["metadata"]["name"]}}
    assert f"--expect-workers={test['spec']['workers']}" in test["spec"]["args"].split()
    plan = tmp_path / "plan.yaml"
    plan.write_text(config["data"]["plan.yaml"].replace("/proofload/", f"{ROOT}/"), encoding="utf-8")
    assert load(plan).id == "CLUSTER-001"


def test_the_plan_of_the_plain_manifests_can_be_loaded(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    text = (MANIFESTS / "base" / "plan.yaml").read_text(encoding="utf-8")
    plan.write_text(text.replace("/proofload/", f"{ROOT}/"), encoding="utf-8")
    assert load(plan).id == "CLUSTER-001"
