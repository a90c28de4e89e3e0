#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A small client of the Kubernetes API, since kubectl is not in Debian.

kube.py KUBECONFIG apply FILE|-     each object of a YAML file, by server-side apply
kube.py KUBECONFIG create FILE|-    the same by POST

Prints what became of each object; what the server refuses goes to stderr with its
words, and the exit status is 1. A server that is still starting is asked again.
"""
import http.client
import json
import re
import ssl
import sys
import time
import urllib.parse

import yaml

PATIENCE = 60  # seconds, for 429, 5xx, and kinds that are not served yet


def tree_of(body):
    try:
        return json.loads(body)
    except ValueError:  # "404 page not found"
        return {"message": body.decode(errors="replace")}


class Api:
    def __init__(self, kubeconfig):
        with open(kubeconfig, encoding="utf-8") as file:
            conf = yaml.safe_load(file)
        cluster = conf["clusters"][0]["cluster"]
        self.host = urllib.parse.urlsplit(cluster["server"]).netloc
        self.token = conf["users"][0]["user"]["token"]
        self.tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self.connection = None
        self.plurals = {}

    def ask(self, method, path, body=None, content_type="application/json"):
        headers = {"Authorization": "Bearer " + self.token, "Content-Type": content_type}
        for last in (False, True):
            try:
                if not self.connection:
                    self.connection = http.client.HTTPSConnection(self.host, context=self.tls, timeout=60)
                self.connection.request(method, path, body, headers)
                answer = self.connection.getresponse()
                return answer.status, tree_of(answer.read())
            except (OSError, http.client.HTTPException):
                self.connection = None
                if last:
                    raise

    def patiently(self, *request):
        end = time.monotonic() + PATIENCE
        while True:
            status, answer = self.ask(*request)
            if status not in (429, 502, 503, 504) or time.monotonic() > end:
                return status, answer
            time.sleep(0.2)

    def collection(self, version, kind, namespace):
        """The path where objects of a kind are, once the server knows the kind."""
        root = "/api/v1" if version == "v1" else "/apis/" + version
        end = time.monotonic() + PATIENCE
        while (version, kind) not in self.plurals:
            _, found = self.patiently("GET", root)
            for resource in found.get("resources", []):
                if "/" not in resource["name"]:
                    self.plurals[version, resource["kind"]] = resource["name"], resource["namespaced"]
            if (version, kind) not in self.plurals:
                if time.monotonic() > end:
                    raise SystemExit(f"{version} {kind}: not served")
                time.sleep(0.2)
        plural, namespaced = self.plurals[version, kind]
        return f"{root}/namespaces/{namespace}/{plural}" if namespaced else f"{root}/{plural}"


def documents(text):
    """Each document as it stands and as a tree."""
    for part in re.split(r"(?m)^---(?:[ \t].*)?$", text):
        tree = yaml.load(part, Loader=yaml.BaseLoader)
        if tree:
            yield part, tree


def main():
    kubeconfig, verb, name = sys.argv[1:4]
    api, bad = Api(kubeconfig), 0
    with open(0 if name == "-" else name, encoding="utf-8") as file:
        text = file.read()
    for part, tree in documents(text):
        meta = tree["metadata"]
        what = f"{tree['kind']} {meta['namespace'] + '/' if 'namespace' in meta else ''}{meta['name']}"
        path = api.collection(tree["apiVersion"], tree["kind"], meta.get("namespace", "default"))
        crd = tree["kind"] == "CustomResourceDefinition"  # fields of newer servers are let pass only here
        if verb == "apply" and not crd:
            request = ("PATCH", f"{path}/{meta['name']}?fieldManager=e2e&force=true", part.encode(),
                       "application/apply-patch+yaml")
        else:
            request = ("POST", path, part.encode(), "application/yaml")
        status, answer = api.patiently(*request)
        if crd and verb == "apply" and status == 409:
            status, answer = api.patiently("PATCH", f"{path}/{meta['name']}", json.dumps(yaml.safe_load(part)),
                                           "application/merge-patch+json")
        if 200 <= status < 300:
            print(what, {200: "applied", 201: "created"}.get(status, status))
        else:
            print(f"{what}: {status} {answer.get('message')}", file=sys.stderr)
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
