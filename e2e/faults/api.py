"""A daemon that hears of everything from a real API server, with a fault in it: in a pass after an
edit, and from its start on, until the objects' status says what is so. All runs of a world share
one server (lib/kube), and nothing of it is touched."""
import itertools
import json
import subprocess
import sys

import passes
from world import OFFICE, World, laboratory, require

sys.path.insert(0, str(laboratory.TOP / "e2e/tools"))
import kube  # noqa: E402

SLUICE = "/apis/sluice.dev/v1alpha1"
POLICY = f"{SLUICE}/namespaces/default/egresspolicies/web"
GATEWAY = f"{SLUICE}/egressgateways/office"
# one of these the gateway has beside, another one after each edit, so that its status changes, too; many,
# as the daemon does not write the same one twice in five seconds
SPARES = itertools.cycle(range(60, 90))


class ApiWorld(World):
    """The same node beside a server of its own."""

    @classmethod
    def missing(cls):
        done = subprocess.run(["bash", "-c", '. "$0" && kube_assets', laboratory.TOP / "e2e/lib/kube.bash"],
                              capture_output=True, text=True, check=False)
        return " ".join((done.stdout or done.stderr).split()) if done.returncode else None

    def up(self):
        super().up()
        self.lab(". $TOP/e2e/lib/cluster.bash", "kube_up", "kube_crds", "cluster_base | kube_apply", "nodes_tell")
        self.api = kube.Api(self.lab("kube_kubeconfig admin").strip())

    def objects(self):
        self.node_args += ["--kubeconfig", self.lab("kube_kubeconfig sluiced").strip(), "--namespace", "sluice-system"]
        self.policy_set(0)
        self.apply("/api/v1/namespaces/default/pods/p", "v1", "Pod", {
            "nodeName": "node1", "containers": [{"name": "c", "image": "none"}]}, app="web")
        self.daemon_start()
        self.lab("nodes_synced node1")

    def daemon_start(self):
        self.lab("kube_node_start node1")

    def ask_api(self, *request):
        status, answer = self.api.patiently(*request)
        require(status in (200, 201), f"the API server says {status} to {request[:2]}: {answer.get('message')}")
        return answer

    def apply(self, path, version, kind, spec, **labels):
        body = {"apiVersion": version, "kind": kind, "metadata": {"name": path.rsplit("/", 1)[1], "labels": labels}, "spec": spec}
        self.ask_api("PATCH", f"{path}?fieldManager=e2e&force=true", json.dumps(body), "application/apply-patch+yaml")

    def addresses(self):
        """Those that the gateway has now."""
        return {a for office in OFFICE for a in office.values()} | {f"172.31.7.{self.spare}", f"fd31:7::{self.spare}"}

    def policy_set(self, office):
        self.office, self.spare = office, next(SPARES)
        via = {"gateway": "office", "addresses": list(OFFICE[office].values())}
        self.apply(GATEWAY, "sluice.dev/v1alpha1", "EgressGateway", {
            "addresses": [{"range": a} for a in sorted(self.addresses())], "allowedNamespaces": {}})
        self.apply(POLICY, "sluice.dev/v1alpha1", "EgressPolicy", {
            "subject": {"podSelector": {"matchLabels": {"app": "web"}}},
            "rules": [{"name": "out", "action": "Allow", "via": via}]})

    def hears_all(self):
        status = self.told()
        return (status and status["ready"] and status["api"]["connected"] and status["api"]["synced"]
                and not any(c["error"] for c in status["api"]["collections"]))

    def untold(self):
        """What the objects' status does not say yet, or wrongly; empty: it says what is so."""
        wrong = []
        for path, ready in ((POLICY, "InForce"), (GATEWAY, "AllAddressesCarried")):
            o = self.ask_api("GET", path)
            said = {c["type"]: (c["status"], c["reason"], c["observedGeneration"])
                    for c in o.get("status", {}).get("conditions", [])}
            for kind, reason in (("Accepted", "Accepted"), ("Ready", ready)):
                if said.get(kind) != ("True", reason, o["metadata"]["generation"]):
                    wrong.append(f"{o['kind']}: {kind} is {said.get(kind)} at generation {o['metadata']['generation']}")
        told = {(a["address"], a["node"], a["announced"]) for a in o.get("status", {}).get("addresses", [])}
        wanted = {(a, "node1", True) for a in self.addresses()}
        return wrong + ([f"addresses: {sorted(told ^ wanted)}"] if told != wanted else [])


class ByApi:
    """Beside a case of passes."""
    world = ApiWorld
    most, looks = 600, 2

    def converged(self):
        return super().converged() and not self.w.untold() and self.w.hears_all()

    def once(self, call, fault):
        happened = super().once(call, fault)
        left = [what for what in self.w.left_behind() if not what.startswith(("record", "lock", "the pod's"))]
        require(not left, f"left behind: {', '.join(left)}")
        return happened


class ApiPass(ByApi, passes.Pass):
    name, faults_per_call, shards = "a pass of the daemon, by an API server", 1, 3


class ApiStart(ByApi, passes.Start):
    name, shards = "the start of the daemon, by an API server", 3


CASES = (ApiPass, ApiStart)
