"""The Helm chart: rendered by Helm itself, held against schemas, its settings fed to the daemon."""

import json
import re
import tomllib

import pytest
import yaml

import kubernetes
import queries
from daemon import ROOT
from kubernetes import container, effective, one, pod, refusal, rendered

MIB = 1 << 20
GIB = 1 << 30

TENANTS = [
    {
        "name": "chat",
        "tokensKey": "chat.tokens",
        "read": ["chat", "shared-*"],
        "write": ["chat"],
        "remove": ["chat"],
        "list": ["chat"],
        "bytes_max": "8Gi",
        "requests_per_s": 20000,
    },
    {
        "name": "batch",
        "gids": [2000],
        "read": ["batch"],
        "cache_salts": ["team-*"],
        "cache_salt_required": True,
        "bytes_guaranteed": "1GiB",
        "objects_max": 1000,
        "leases_max": 100,
        "connections_max": 16,
    },
    {"name": "engines", "uids": [1000, 1234567], "read": ["*"], "write": ["*"]},
    {"name": "operators", "tokensKey": "operators.tokens", "admin": True},
]
S3 = {"remote": {"url": "s3://kv-cache/prod?region=eu-west-1", "secretName": "kvlease-store"}}
VALKEY = {"remote": {"url": "rediss-cluster://valkey.svc:6379", "secretName": "kvlease-store"}}

# Each with a name; every value of the chart is set in one of them.
VARIANTS: dict[str, dict] = {
    "defaults": {},
    "socket only": {
        "segment": {"access": "socketOnly", "mode": "0600"},
        "socket": {"directory": "/var/run/kv", "writers": False},
        "network": {"host": False, "port": 9300},
        "networkPolicy": {"enabled": True, "from": [{"podSelector": {"matchLabels": {"a": "b"}}}]},
    },
    "tiers on disk and in S3": {"tiers": {"nvme": {"hostPath": "/mnt/nvme/kvlease"}, **S3}},
    "a tier in Valkey": {"tiers": VALKEY},
    "tenants": {
        "tenants": {"secretName": "kvlease-tokens", "list": TENANTS},
        "podMonitor": {
            "enabled": True,
            "tokenSecretName": "kvlease-operator",
            "labels": {"r": "1"},
        },
        "config": "[lease]\nttl_max_s = 600\n",
    },
    "TLS": {"tls": {"secretName": "kvlease-tls"}, "podMonitor": {"enabled": True}},
    "everything around": {
        "namespace": {"create": True},
        "headlessService": {"create": True},
        "serviceAccount": {"create": True, "annotations": {"role": "arn"}},
        "prometheusRule": {"enabled": True, "labels": {"r": "1"}},
        "dashboard": {"enabled": True},
        "networkPolicy": {"enabled": True},
        "network": {"host": False},
        "image": {"repository": "a/b", "tag": "1", "pullSecrets": [{"name": "s"}]},
        "affinity": {"nodeAffinity": {}},
        "podAnnotations": {"a": "b"},
        "podLabels": {"a": "b"},
        "labels": {"c": "d"},
        "extraEnv": [{"name": "KVLEASE_AUDIT_PATH", "value": "/var/log/kvlease/audit"}],
        "extraVolumes": [{"name": "log", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "log", "mountPath": "/var/log/kvlease"}],
    },
}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def variant(request) -> list[dict]:
    return rendered(request.param)


def test_helm_itself_finds_nothing_wrong():
    done = kubernetes.helm("lint", str(kubernetes.CHART), "--strict")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_version_of_the_chart_is_that_of_the_daemon():
    chart = yaml.safe_load((kubernetes.CHART / "Chart.yaml").read_text())
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
    assert chart["version"] == chart["appVersion"] == workspace["version"]


def test_the_alert_of_a_daemon_that_is_down_sees_the_job_of_the_monitor():
    down = next(rule for rule in queries.rules() if rule["alert"] == "KvleaseDown")
    ((_, _, (job,)),) = queries.selectors(down["expr"])
    for release in ("kvlease", "prod"):
        monitor = one(rendered({"podMonitor": {"enabled": True}}, release), "PodMonitor")
        name = monitor["metadata"]
        # The operator names the job so.
        assert re.fullmatch(job.value, f"{name['namespace']}/{name['name']}")


def test_a_variant_is_valid_for_kubernetes(variant):
    kubernetes.assert_valid(variant)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("PodMonitor", {"podMetricsEndpoints": [{"port": "http", "intervall": "30s"}]}),
        ("PodMonitor", {"podMetricsEndpoints": [{"port": "http", "interval": 30}]}),
        ("PodMonitor", {"podMetricsEndpoints": [{"port": "http", "interval": "half a minute"}]}),
        ("PrometheusRule", {"groups": [{"name": "a", "rules": [{"alert": "A", "for": "5m"}]}]}),
    ],
    ids=["unknown", "type", "form", "missing"],
)
def test_a_mistake_in_what_the_operator_reads_is_found(kind, wrong):
    values = {"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}}
    manifest = one(rendered(values), kind)
    kubernetes.assert_valid([manifest])
    manifest["spec"] |= wrong
    with pytest.raises((AssertionError, ValueError)):
        kubernetes.assert_valid([manifest])


def test_the_daemon_takes_the_settings_of_a_variant(variant, tmp_path):
    values = kubernetes.variables(variant)
    found = effective(variant, tmp_path)
    assert found["server"]["address"] == values["KVLEASE_LISTEN"]
    assert found["server"]["socket"] == values["KVLEASE_SOCKET"]
    (port,) = container(variant)["ports"]
    assert values["KVLEASE_LISTEN"].endswith(f":{port['containerPort']}")


def test_every_value_of_the_chart_is_used_by_a_variant_or_has_an_effect():
    defaults = yaml.safe_load((kubernetes.CHART / "values.yaml").read_text())
    templates = "".join(p.read_text() for p in (kubernetes.CHART / "templates").iterdir())
    known = json.loads((kubernetes.CHART / "values.schema.json").read_text())["properties"]
    assert set(defaults) == set(known) - {"global"}
    for name, value in defaults.items():
        assert f".Values.{name}" in templates, name
        if isinstance(value, dict) and "properties" in known[name] and value:
            assert set(value) <= set(known[name]["properties"]), name


def test_the_defaults_make_the_daemon_set_of_the_examples():
    (example,) = kubernetes.built(kubernetes.BASE)
    (ours,) = rendered()
    for document in (example, ours):
        spec = document["spec"]["template"]["spec"]
        # Names, labels and what the chart says more plainly.
        del document["metadata"], document["spec"]["selector"]
        del document["spec"]["template"]["metadata"]["labels"]
        spec["securityContext"].pop("seccompProfile", None)
        (directories,) = spec["initContainers"]
        del directories["name"]
        (daemon,) = spec["containers"]
        daemon.pop("imagePullPolicy", None)
        for kind in ("requests", "limits"):
            daemon["resources"][kind]["memory"] = _bytes(daemon["resources"][kind]["memory"])
        for probe in ("readinessProbe", "livenessProbe"):
            for defaulted in ("periodSeconds", "timeoutSeconds", "failureThreshold"):
                daemon[probe].pop(defaulted, None)
            daemon[probe]["httpGet"].pop("scheme", None)
    assert ours == example


@pytest.mark.parametrize(
    ("capacity", "connections", "expected_mib"),
    [
        # The arena, twice the catalog, 64 MiB, and what connections get.
        ("16GiB", 448, 16384 + 2 * 256 + 64 + 448),
        ("512MiB", 0, 512 + 2 * 32 + 64),
        ("1TiB", 2048, 1048576 + 2 * 16384 + 64 + 2048),
        ("100000KiB", 0, 98 + 2 * 32 + 64),
    ],
)
def test_memory_follows_from_capacity(capacity, connections, expected_mib):
    values = {"capacity": capacity, "resources": {"connectionMemoryMiB": connections}}
    resources = container(rendered(values))["resources"]
    assert _bytes(resources["limits"]["memory"]) == expected_mib * MIB
    assert resources["requests"]["memory"] == resources["limits"]["memory"]


def test_the_segment_is_on_the_node_or_in_the_pod_and_nowhere_else():
    def volume(access: str) -> dict:
        values = {"segment": {"access": access}}
        (found,) = [v for v in pod(rendered(values))["volumes"] if v["name"] == "shared-memory"]
        return found

    assert volume("hostPath")["hostPath"] == {"path": "/dev/shm", "type": "Directory"}
    inside = volume("socketOnly")
    assert "hostPath" not in inside
    assert inside["emptyDir"] == {"medium": "Memory", "sizeLimit": "17408Mi"}


def test_without_the_nodes_network_its_port_leads_to_the_pod():
    inside = rendered(VARIANTS["socket only"])
    assert "hostNetwork" not in pod(inside)
    (port,) = container(inside)["ports"]
    assert port == {"name": "http", "containerPort": 9300, "hostPort": 9300}
    policy = one(inside, "NetworkPolicy")["spec"]
    labels = one(inside, "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"a": "b"}}}]
    closed = one(rendered(VARIANTS["everything around"]), "NetworkPolicy")["spec"]
    assert closed["policyTypes"] == ["Ingress"] and closed["ingress"] == []


def test_tiers_become_settings_with_credentials_out_of_a_secret(tmp_path):
    both = rendered(VARIANTS["tiers on disk and in S3"])
    found = effective(both, tmp_path)["tier"]
    assert found["nvme"]["path"] == "/var/lib/kvlease"
    assert found["remote"]["url"] == S3["remote"]["url"]
    secrets = {
        variable["name"]: variable["valueFrom"]["secretKeyRef"]
        for variable in container(both)["env"]
        if "secretKeyRef" in variable.get("valueFrom", {})
    }
    assert secrets == {
        "AWS_ACCESS_KEY_ID": {"name": "kvlease-store", "key": "access-key-id"},
        "AWS_SECRET_ACCESS_KEY": {"name": "kvlease-store", "key": "secret-access-key"},
    }
    (directories,) = pod(both)["initContainers"]
    made = directories["command"][2:]
    assert made == [mount["mountPath"] for mount in directories["volumeMounts"]]
    assert "KVLEASE_TIER_REMOTE_PASSWORD" in kubernetes.variables(
        rendered(VARIANTS["a tier in Valkey"])
    )


def test_tenants_have_their_rights_and_the_files_of_a_secret(tmp_path):
    manifests = rendered(VARIANTS["tenants"])
    found = effective(manifests, tmp_path)
    tenants = found["tenant"]
    assert set(tenants) == {"chat", "batch", "engines", "operators"}
    assert tenants["chat"]["bytes_max"] == "8GiB"
    assert tenants["chat"]["requests_per_s"] == 20000
    batch = {"name": "batch", **tenants["batch"]}
    assert {key: batch[key] for key in TENANTS[1]} == TENANTS[1]
    assert tenants["chat"]["read"] == ["chat", "shared-*"]
    assert tenants["chat"]["token_file"] == "/etc/kvlease/tokens/chat.tokens"
    assert tenants["engines"]["uids"] == [1000, 1234567]
    assert tenants["operators"]["admin"] is True
    assert found["lease"]["ttl_max_s"] == 600
    (tokens,) = [v for v in pod(manifests)["volumes"] if v["name"] == "tokens"]
    assert tokens["secret"] == {"secretName": "kvlease-tokens", "defaultMode": 0o440}
    assert pod(manifests)["securityContext"]["fsGroup"] == 1000
    (endpoint,) = one(manifests, "PodMonitor")["spec"]["podMetricsEndpoints"]
    credentials = {"name": "kvlease-operator", "key": "token"}
    assert endpoint["authorization"] == {"type": "Bearer", "credentials": credentials}


def test_other_settings_make_new_pods():
    def checksum(ttl: int) -> str:
        manifests = rendered({"config": f"[lease]\nttl_max_s = {ttl}\n"})
        template = one(manifests, "DaemonSet")["spec"]["template"]
        return template["metadata"]["annotations"]["checksum/config"]

    assert checksum(600) == checksum(600) != checksum(700)


def test_probes_and_scrapes_speak_tls_where_the_daemon_does():
    manifests = rendered(VARIANTS["TLS"])
    daemon = container(manifests)
    for probe in ("readinessProbe", "livenessProbe"):
        assert daemon[probe]["httpGet"]["scheme"] == "HTTPS"
    (endpoint,) = one(manifests, "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["scheme"] == "https"
    annotations = one(manifests, "DaemonSet")["spec"]["template"]["metadata"]["annotations"]
    # A Prometheus that follows both would count each pod twice.
    assert "prometheus.io/scrape" not in (annotations or {})


def test_a_monitor_selects_the_pods_and_the_rules_are_those_of_the_examples():
    around = rendered({**VARIANTS["everything around"], "podMonitor": {"enabled": True}})
    labels = one(around, "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    selected = one(around, "PodMonitor")["spec"]["selector"]["matchLabels"]
    assert selected.items() <= labels.items()
    assert one(around, "Service")["spec"]["selector"].items() <= labels.items()
    assert one(around, "Service")["spec"]["clusterIP"] == "None"
    rules = yaml.safe_load((ROOT / "examples/prometheus/kvlease-rules.yaml").read_text())
    assert one(around, "PrometheusRule")["spec"] == rules
    (dashboard,) = [m for m in around if m["metadata"]["name"] == "kvlease-dashboard"]
    original = (ROOT / "examples/grafana/kvlease.json").read_text()
    assert json.loads(dashboard["data"]["kvlease.json"]) == json.loads(original)


def test_pods_do_without_every_right_that_they_do_not_need(variant):
    assert pod(variant)["securityContext"]["runAsNonRoot"] is True
    assert pod(variant)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    context = container(variant)["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    (directories,) = pod(variant)["initContainers"]
    assert directories["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN"]}


def test_the_namespace_may_have_such_pods():
    namespace = one(rendered(VARIANTS["everything around"]), "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"capacity": "16GB"}, "/capacity"),
        ({"capacity": "auto"}, "/capacity"),
        ({"capasity": "16GiB"}, "capasity"),
        ({"segment": {"access": "none"}}, "/segment/access"),
        ({"segment": {"mode": "640"}}, "/segment/mode"),
        ({"user": 0}, "/user"),
        ({"tiers": {"nvme": {"hostPath": "mnt/nvme"}}}, "/tiers/nvme/hostPath"),
        ({"tiers": {"remote": {"url": "redis://user:word@host"}}}, "/tiers/remote/url"),
        ({"tenants": {"secretName": "s", "list": [{"name": "a b"}]}}, "/tenants/list/0/name"),
        ({"tenants": {"list": [{"name": "a", "tokensKey": "k"}]}}, "tenants.secretName is empty"),
        ({"networkPolicy": {"enabled": True}}, "set network.host=false"),
        ({"network": {"listen": "[::]:9201"}}, "network.listen=`[::]:9201`"),
        (
            {
                "podMonitor": {"enabled": True},
                "tenants": {"secretName": "s", "list": TENANTS},
            },
            "podMonitor.tokenSecretName is empty",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_that_cannot_work_are_refused_by_name(values, named):
    assert named in refusal(values)


def _bytes(quantity: str) -> int:
    number, unit = int(quantity[:-2]), quantity[-2:]
    return number * {"Mi": MIB, "Gi": GIB}[unit]
