#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Renders what installs Sluice in a cluster: the kustomize base, and the Helm chart.

manifests.py base [COMPONENT]…  the objects of conf/kubernetes (a kustomization of plain resources), with those of its
                                components
manifests.py helm [VALUES]      those of conf/helm/sluice, CRDs included; VALUES is JSON over values.yaml
manifests.py compare            fails, naming objects, if both are not the same but for the Namespace, as they are and with
                                metrics
"""
import json
import os
import subprocess
import sys

import yaml

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHART = os.path.join(TOP, "conf/helm/sluice")
NAMESPACE = "sluice-system"


def load(path):
    with open(path, encoding="utf-8") as file:
        return [tree for tree in yaml.safe_load_all(file) if tree]


def base(folder=os.path.join(TOP, "conf/kubernetes")):
    (kustomization,) = load(os.path.join(folder, "kustomization.yaml"))
    assert set(kustomization) == {"apiVersion", "kind", "resources"}, "more than this renderer knows"
    objects = []
    for name in kustomization["resources"]:
        path = os.path.join(folder, name)
        objects += base(path) if os.path.isdir(path) else load(path)
    return objects


def patch(tree, operation):
    """RFC 6902, but "add" alone."""
    assert operation["op"] == "add", operation
    *path, last = operation["path"].lstrip("/").split("/")
    for name in path:
        tree = tree[int(name)] if isinstance(tree, list) else tree[name]
    if isinstance(tree, list):
        assert last == "-", operation
        tree.append(operation["value"])
    else:
        assert last not in tree, operation
        tree[last] = operation["value"]


def component(name, objects):
    folder = os.path.join(TOP, "conf/kubernetes/components", name)
    (kustomization,) = load(os.path.join(folder, "kustomization.yaml"))
    assert set(kustomization) <= {"apiVersion", "kind", "resources", "patches"}, "more than this renderer knows"
    for entry in kustomization.get("patches", ()):
        target = entry["target"]
        (tree,) = [t for t in objects if (t["kind"], t["metadata"]["name"]) == (target["kind"], target["name"])]
        for operation in load(os.path.join(folder, entry["path"]))[0]:
            patch(tree, operation)
    for resource in kustomization.get("resources", ()):
        objects += load(os.path.join(folder, resource))


def overlay(names):
    objects = base()
    for name in names:
        component(name, objects)
    return objects


def merge(into, values):
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict) and value:
            merge(into[key], value)
        else:
            into[key] = value


def helm(values):
    (chart,) = load(os.path.join(CHART, "Chart.yaml"))
    (defaults,) = load(os.path.join(CHART, "values.yaml"))
    merge(defaults, values)
    context = {"Values": defaults, "Chart": {key[0].upper() + key[1:]: value for key, value in chart.items()},
               "Release": {"Name": "sluice", "Namespace": NAMESPACE}}
    crds, templates = os.path.join(CHART, "crds"), os.path.join(CHART, "templates")
    objects = [tree for name in sorted(os.listdir(crds)) for tree in load(os.path.join(crds, name))]
    text = subprocess.run([os.path.join(TOP, "build/e2e/helmrender"), json.dumps(context)] + [
        os.path.join(templates, name) for name in sorted(os.listdir(templates)) if name.endswith(".yaml")],
        check=True, stdout=subprocess.PIPE).stdout
    return objects + [tree for tree in yaml.safe_load_all(text) if tree]


def by_name(objects):
    named = {}
    for tree in objects:
        name = f"{tree['kind']} {tree['metadata'].get('namespace', '')}/{tree['metadata']['name']}"
        assert name not in named, name + " twice"
        for key, text in tree.get("data", {}).items() if tree["kind"] == "ConfigMap" else ():
            tree["data"][key] = yaml.safe_load(text)  # the same settings, however they are written
        if tree["kind"] == "DaemonSet":  # the chart alone can say that the settings changed
            tree["spec"]["template"]["metadata"]["annotations"].pop("checksum/settings", None)
        named[name] = tree
    return named


def compare(components, values):
    one, other = by_name(overlay(components)), by_name(helm(values))
    del one["Namespace /" + NAMESPACE]  # helm install --create-namespace
    bad = [name for name in sorted(set(one) | set(other)) if one.get(name) != other.get(name)]
    for name in bad:
        print(f"{name}: not the same in conf/kubernetes and conf/helm", file=sys.stderr)
    print(f"{len(one)} objects")
    return bool(bad)


def main():
    if sys.argv[1] == "compare":
        metrics = {"metrics": {"enabled": True, "podMonitor": {"enabled": True}}}
        return compare([], {}) or compare(["metrics", "podmonitor"], metrics)
    objects = overlay(sys.argv[2:]) if sys.argv[1] == "base" else helm(json.loads((sys.argv[2:] or ["{}"])[0]))
    print(yaml.safe_dump_all(objects, sort_keys=False, width=200))
    return 0


if __name__ == "__main__":
    sys.exit(main())
