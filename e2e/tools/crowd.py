#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A crowd of objects on an API server, eight at a time.

crowd.py KUBECONFIG NODE PODS POLICIES     in 100 namespaces: c0 … c99

Each pod is of about 3 KB, runs on NODE, has an address of each family and is selected by one policy
of its namespace (of three rules); each policy selects the same number of pods. What exists is left
as it is.
"""
import concurrent.futures
import json
import os
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from kube import Api  # noqa: E402

NAMESPACES = 100
SLUICE = "sluice.dev/v1alpha1"


def namespace(i):
    return "namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"c{i}"}}


def policy(i):
    where, app = f"c{i % NAMESPACES}", f"a{i // NAMESPACES}"
    to = [{"cidr": f"198.18.{i % 250}.0/24"}, {"cidr": f"2001:db8:{i:x}::/48"}]
    rules = [{"name": "never", "action": "Deny", "to": [{"cidr": "172.31.7.101/32"}]},
             {"name": "out", "action": "Allow", "to": to, "ports": [{"protocol": "TCP", "port": 443}],
              "via": {"gateway": "office"}},
             {"name": "node", "action": "Allow", "via": {"node": {}}}]
    return f"namespaces/{where}/egresspolicies", {
        "apiVersion": SLUICE, "kind": "EgressPolicy", "metadata": {"name": app, "namespace": where},
        "spec": {"subject": {"podSelector": {"matchLabels": {"app": app}}}, "rules": rules}}


def pod(i, node, apps):
    where, app = f"c{i % NAMESPACES}", f"a{i // NAMESPACES % apps}"
    env = [{"name": f"SETTING_{n}", "value": "x" * 60} for n in range(8)]
    return f"namespaces/{where}/pods", {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": f"{app}-7d4b9c6f5-{i}", "namespace": where,
                     "labels": {"app": app, "pod-template-hash": "7d4b9c6f5", "tier": "backend"},
                     "annotations": {"note": "y" * 400}},
        "spec": {"nodeName": node, "containers": [{"name": "app", "image": "none", "env": env}]}}, pod_status(i)


def pod_status(i):
    v4, v6 = f"10.{128 + (i >> 16)}.{i >> 8 & 255}.{i & 255}", f"fd00:244:1::{i:x}"
    return {"status": {"phase": "Running", "podIP": v4, "podIPs": [{"ip": v4}, {"ip": v6}]}}


class Crowd:
    def __init__(self, kubeconfig):
        self.kubeconfig, self.mine = kubeconfig, threading.local()

    def ask(self, method, path, tree, *content_type):
        if not hasattr(self.mine, "api"):
            self.mine.api = Api(self.kubeconfig)
        status, answer = self.mine.api.patiently(method, path, json.dumps(tree), *content_type)
        if status not in (200, 201, 409):
            raise SystemExit(f"{method} {path}: {status} {answer.get('message')}")

    def post(self, made):
        where, tree, *status = made
        root = "/api/v1" if tree["apiVersion"] == "v1" else "/apis/" + tree["apiVersion"]
        self.ask("POST", f"{root}/{where}", tree)
        for part in status:
            self.ask("PATCH", f"{root}/{where}/{tree['metadata']['name']}/status", part, "application/merge-patch+json")

    def make(self, what, objects):
        start = said = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for n, _ in enumerate(pool.map(self.post, objects), 1):
                if time.monotonic() - said > 10:
                    said = time.monotonic()
                    print(f"{n} {what} after {said - start:.0f} s", file=sys.stderr, flush=True)


def main():
    kubeconfig, node, pods, policies = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    crowd, apps = Crowd(kubeconfig), max(policies // NAMESPACES, 1)
    crowd.make("namespaces", [namespace(i) for i in range(NAMESPACES)])
    crowd.make("policies", [policy(i) for i in range(policies)])
    crowd.make("pods", [pod(i, node, apps) for i in range(pods)])


if __name__ == "__main__":
    main()
