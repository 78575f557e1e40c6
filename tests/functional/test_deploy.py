"""The files of deploy/, by the tools of those who read them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from satsuma.api.metrics import list_metrics

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
YAML_RULES = (
    "{extends: default, rules: {line-length: {max: 100}, document-start: disable, "
    "braces: {max-spaces-inside: 0}}}"
)

ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
SCALING = DEPLOY / "kubernetes" / "autoscaling.yaml"

# What a server gives while each alert is to fire, minute by minute; and while all is well.
WELL = {
    'up{job="satsuma", instance="a"}': "1x30",
    'satsuma_requests_total{instance="a", status="200"}': "0+600x30",
    'satsuma_request_seconds_bucket{instance="a", route="run", le="0.1"}': "0+600x30",
    'satsuma_request_seconds_bucket{instance="a", route="run", le="+Inf"}': "0+600x30",
}
TROUBLES = {
    "SatsumaDown": {'up{job="satsuma", instance="a"}': "0x30"},
    "SatsumaFails": {'satsuma_requests_total{instance="a", status="500"}': "0+10x30"},
    "SatsumaRefuses": {'satsuma_requests_total{instance="a", status="429"}': "0+60x30"},
    "SatsumaIsSlow": {
        'satsuma_request_seconds_bucket{instance="a", route="run", le="10"}': "0+620x30",
        'satsuma_request_seconds_bucket{instance="a", route="run", le="+Inf"}': "0+620x30",
    },
}


def check(name: str, *arguments: str | Path) -> None:
    """Run a tool of this environment or of the system, which has to find nothing."""
    place = f"{sysconfig.get_path('scripts')}:/usr/local/bin:/usr/bin"
    tool = shutil.which(name, path=place)
    if tool is None and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed here", pytrace=False)
    if tool is None:
        pytest.skip(f"{name} is not installed here")
    done = subprocess.run(
        [tool, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_dockerfile() -> None:
    """As hadolint has it."""
    check("hadolint", DEPLOY / "Dockerfile")


def test_yaml() -> None:
    """Spelled as people read it."""
    check("yamllint", "-d", YAML_RULES, DEPLOY)


def test_kubernetes_manifests() -> None:
    """Every key is one of the schemas'."""
    check("kubernetes-validate", "--strict", *sorted((DEPLOY / "kubernetes").glob("*.yaml")))


def test_systemd_unit(tmp_path: Path) -> None:
    """Every directive is known; the program is one that is here."""
    unit = tmp_path / "satsuma.service"
    text = (DEPLOY / "systemd" / "satsuma.service").read_text()
    unit.write_text(text.replace("/opt/satsuma/bin/satsuma", shutil.which("true") or "/bin/true"))
    check("systemd-analyze", "verify", unit)


def test_autoscaler(tmp_path: Path) -> None:
    """What KEDA makes of it is a HorizontalPodAutoscaler, of a deployment that is there."""
    scaled, satsuma = yaml.safe_load(SCALING.read_text()), DEPLOY / "kubernetes" / "satsuma.yaml"
    deployed = next(yaml.safe_load_all(satsuma.read_text()))
    target = {"apiVersion": "apps/v1", "kind": "Deployment"} | scaled["spec"]["scaleTargetRef"]
    assert target == {
        "apiVersion": deployed["apiVersion"],
        "kind": deployed["kind"],
        "name": deployed["metadata"]["name"],
    }
    file = tmp_path / "autoscaler.yaml"
    file.write_text(json.dumps(autoscaler_of(scaled, target)))
    check("kubernetes-validate", "--strict", file)


def autoscaler_of(scaled: dict[str, Any], target: dict[str, str]) -> dict[str, Any]:
    """Make of a ScaledObject what KEDA hands to Kubernetes."""
    spec, (trigger,) = scaled["spec"], scaled["spec"]["triggers"]
    threshold = {"type": trigger["metricType"], "averageValue": trigger["metadata"]["threshold"]}
    external = {"metric": {"name": "s0-prometheus"}, "target": threshold}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": scaled["metadata"],
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": spec["minReplicaCount"],
            "maxReplicas": spec["maxReplicaCount"],
            "metrics": [{"type": "External", "external": external}],
            **spec["advanced"]["horizontalPodAutoscalerConfig"],
        },
    }


def test_autoscaler_adds_up_what_waits(tmp_path: Path) -> None:
    """Of this deployment's pods, as a minute's mean, in one number, which is all KEDA reads."""
    (trigger,) = yaml.safe_load(SCALING.read_text())["spec"]["triggers"]
    assert {type(one) for one in trigger["metadata"].values()} == {str}
    of_pod = 'satsuma_waiting_tokens{{job="satsuma", namespace="{}", pod="{}"}}'
    series = {
        of_pod.format("default", "a"): "0 0 0 4000 8000",
        of_pod.format("default", "b"): "500x4",
        of_pod.format("others", "c"): "7000x4",
    }
    expected = [{"labels": "{}", "value": 3000 + 500}]
    query = trigger["metadata"]["query"]
    check_rules(tmp_path, None, series, query, expected, step="15s", at="70s")


def test_scraping_of_pods(tmp_path: Path) -> None:
    """As Prometheus reads it, but for the search for pods, which Debian's leaves out."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "kubernetes.yaml").read_text())
    (job,) = config["scrape_configs"]
    assert [one["role"] for one in job.pop("kubernetes_sd_configs")] == ["pod"]
    file = tmp_path / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config))
    check("promtool", "check", "config", "--syntax-only", file)


def test_alert_rules() -> None:
    """As Prometheus reads them."""
    check("promtool", "check", "rules", ALERTS)


@pytest.mark.parametrize("trouble", [None, *TROUBLES])
def test_alerts_fire(trouble: str | None, tmp_path: Path) -> None:
    """Each in its own trouble, and none while all is well."""
    series = WELL | (TROUBLES[trouble] if trouble else {})
    firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
    expected = [{"labels": f'{{alertname="{trouble}"}}', "value": 1}] if trouble else []
    check_rules(tmp_path, ALERTS, series, firing, expected, step="1m", at="25m")


def test_every_alert_is_tried() -> None:
    """None is left out above."""
    assert set(re.findall(r"alert: (\w+)", ALERTS.read_text())) == set(TROUBLES)


def check_rules(
    folder: Path,
    rules: Path | None,
    series: dict[str, str],
    query: str,
    expected: list[dict[str, Any]],
    *,
    step: str,
    at: str,
) -> None:
    """Let promtool run rules over made-up series, and compare a query's samples at a time."""
    asked = {"expr": query, "eval_time": at, "exp_samples": expected}
    given = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": step, "input_series": given, "promql_expr_test": [asked]}
    file = folder / "test.yaml"
    files = [str(rules)] if rules else []
    told = {"rule_files": files, "evaluation_interval": step, "tests": [test]}
    file.write_text(json.dumps(told))
    check("promtool", "test", "rules", file)


@pytest.mark.parametrize(
    "file", ["grafana/satsuma.json", "prometheus/alerts.yaml", "kubernetes/autoscaling.yaml"]
)
def test_every_metric_that_is_looked_at_is_there(file: str) -> None:
    """A renamed metric would leave a graph empty and an alert silent."""
    named = set(re.findall(r"satsuma_[a-z_]+", (DEPLOY / file).read_text()))
    known = {one.name for one in list_metrics()}
    histograms = {one.name for one in list_metrics() if one.kind == "histogram"}
    parts = {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}
    assert named
    assert named <= known | parts


def test_the_dashboard_s_panels_do_not_overlap() -> None:
    """Each has a place of its own, and a number."""
    panels = json.loads((DEPLOY / "grafana" / "satsuma.json").read_text())["panels"]
    places = [(one["gridPos"]["x"], one["gridPos"]["y"]) for one in panels]
    assert len(set(places)) == len({one["id"] for one in panels}) == len(panels)


def test_an_image_s_sources_are_all_that_a_build_needs() -> None:
    """What .dockerignore lets through is what the build names, and it is there."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert {"src", "hatch_build.py", "scripts/native_build.py", "pyproject.toml"} <= set(
        let_through
    )
    assert [name for name in let_through if not (ROOT / name).exists()] == []
