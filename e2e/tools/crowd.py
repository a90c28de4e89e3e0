#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A crowd of objects on an API server of the laboratory.

crowd.py KUBECONFIG NODE PODS POLICIES     in 100 namespaces: c0 … c99

Each pod is of about 3 KB, runs on NODE, has an address of each family and is selected by one policy
of its namespace (of three rules); each policy selects the same number of pods.

The server makes the namespaces, and the first pod and policy; the others are put into its etcd
beside them, alike but for what tells them apart: a hundred at a time instead of two requests each.
"""
import base64
import concurrent.futures
import copy
import http.client
import json
import os
import random
import sys
import uuid

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
        self.api, self.chance = Api(kubeconfig), random.Random(1)

    def ask(self, method, path, tree=None, *content_type):
        status, answer = self.api.patiently(method, path, json.dumps(tree) if tree else None, *content_type)
        if status not in (200, 201, 409):
            raise SystemExit(f"{method} {path}: {status} {answer.get('message')}")
        return answer

    def post(self, where, tree, *status):
        """By the server, which says what it stored."""
        root = "/api/v1" if tree["apiVersion"] == "v1" else "/apis/" + tree["apiVersion"]
        path = f"{root}/{where}/{tree['metadata']['name']}"
        self.ask("POST", f"{root}/{where}", tree)
        for part in status:
            self.ask("PATCH", f"{path}/status", part, "application/merge-patch+json")
        return self.ask("GET", path)

    def another(self, stored, tree, status=None):
        """What is stored when tree is made as the first one was."""
        new = copy.copy(stored)
        new["metadata"] = {**stored["metadata"], **tree["metadata"],
                           "uid": str(uuid.UUID(int=self.chance.getrandbits(128), version=4))}
        for part in ("selfLink", "resourceVersion"):
            new["metadata"].pop(part, None)
        new["spec"] = {**stored["spec"], **{k: v for k, v in tree["spec"].items() if k != "containers"}}
        if status:
            new["status"] = {**stored["status"], **status["status"]}
        return new

    def make(self, what, prefix, objects):
        first = self.post(*objects[0])
        put_all(what, ((f"{prefix}/{tree['metadata']['namespace']}/{tree['metadata']['name']}",
                        self.another(first, tree, *status)) for _, tree, *status in objects[1:]))


BATCH = 100  # etcd takes 128


def put_batch(batch):
    puts = [{"requestPut": {"key": base64.b64encode(key.encode()).decode(),
                            "value": base64.b64encode(json.dumps(tree).encode()).decode()}} for key, tree in batch]
    etcd = http.client.HTTPConnection("127.0.0.1:2379", timeout=60)
    etcd.request("POST", "/v3/kv/txn", json.dumps({"success": puts}))
    answer = etcd.getresponse()
    if answer.status != 200:
        raise SystemExit(f"etcd: {answer.status} {answer.read()[:200]}")
    answer.read()
    etcd.close()


def put_all(what, pairs):
    pairs = list(pairs)
    batches = [pairs[i:i + BATCH] for i in range(0, len(pairs), BATCH)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for n, _ in enumerate(pool.map(put_batch, batches), 1):
            if n % 100 == 0:
                print(f"{n * BATCH} {what}", file=sys.stderr, flush=True)


def main():
    kubeconfig, node, pods, policies = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    crowd, apps = Crowd(kubeconfig), max(policies // NAMESPACES, 1)
    for i in range(NAMESPACES):
        crowd.post(*namespace(i))
    crowd.make("policies", "/registry/sluice.dev/egresspolicies", [policy(i) for i in range(policies)])
    crowd.make("pods", "/registry/pods", [pod(i, node, apps) for i in range(pods)])


if __name__ == "__main__":
    main()
