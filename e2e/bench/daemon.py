"""The daemon: from a folder of policies to a kernel that does what they say, from nothing and after one edit."""
import collections
import contextlib
import os
import pathlib
import shutil
import time

import cni
import size
from lab import BIN, Calls, Lab
from measure import Curve, Figure, Section, interleaved

SLUICED = BIN / "sluiced"
PER_FILE = 100


class Node:
    """node1 with so many policies, 100 to a file, and four pods that they concern."""

    def __init__(self, stack, count):
        self.lab = lab = stack.enter_context(Lab("node1"))
        self.count, self.edits, self.costs = count, 0, collections.defaultdict(list)
        for start in range(0, count, PER_FILE):
            lab.policy(f"30-teams-{start}.yaml", size.policies(min(PER_FILE, count - start), start))
        lab("gateway_on node1", "LAB_PLAIN='[]' chain_write bridge")
        self.home = pathlib.Path(lab.path, "node1")
        self.args = lab("node_args node1; printf '%s\\n' \"${NODE_ARGS[@]}\"").split()
        self.calls = Calls(lab, "node1")
        self.once()
        pods = cni.Pods(lab, "node1", [f"n{n}" for n in range(4)])
        for n, name in enumerate(pods.names):
            entry = {**cni.entry_of(lab, "node1"), "runtimeConfig": {"podLabels": {"app": f"team-{n}"}}}
            cni.Subject(self.calls, pods, BIN / "sluice", entry).call("ADD", name)

    def once(self):
        (cost,), _ = self.calls(([SLUICED, "--once", "--log-level", "error", *self.args], "/dev/null", {}, None))
        return cost

    def cold(self, _):
        """The node after a reboot: records and policies are there, nothing else."""
        self.calls(([SLUICED, "--cleanup", "--log-level", "error", *self.args], "/dev/null", {}, None))
        (self.home / "state/snapshot").unlink()
        shutil.rmtree(self.home / "bpf/v3", ignore_errors=True)
        cost = self.once()
        for what in ("wall", "cpu", "rss"):
            self.costs[f"cold {what}"].append(cost[what])

    def start(self):
        self.lab("node_start node1", "gateway_wait node1")
        self.pid = int((pathlib.Path(self.lab.path) / "pids/sluiced-node1").read_text())
        self.settle()

    def cpu(self):
        return int(pathlib.Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1000

    def settle(self):
        """Waits until the daemon does no more than its look at the kernel twice a second."""
        for _ in range(40):
            before = self.cpu()
            time.sleep(0.5)
            if self.cpu() - before < 20000:
                return

    def idle(self):
        before, start = self.cpu(), time.monotonic()
        time.sleep(3)
        self.costs["idle"].append((self.cpu() - before) / (time.monotonic() - start) / 1e6 * 100)
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        self.costs["rss"].append(int(status.split("VmRSS:")[1].split()[0]))

    def edit(self, _):
        """One policy of a pod that is here gets another network; the snapshot is written after the kernel."""
        self.edits += 1
        objects = size.policies(min(PER_FILE, self.count))
        objects[0]["spec"]["rules"][0]["to"].append({"cidr": f"203.0.113.{self.edits}/32"})
        snapshot = self.home / "state/snapshot"
        before, cpu, start = os.stat(snapshot).st_mtime_ns, self.cpu(), time.monotonic()
        self.lab.policy("30-teams-0.yaml", objects)
        while os.stat(snapshot).st_mtime_ns == before:
            time.sleep(0.001)
            if time.monotonic() - start > 60:
                raise SystemExit("bench: an edit is not in force after a minute")
        self.costs["edit wall"].append((time.monotonic() - start) * 1e6)
        self.costs["edit cpu"].append(self.cpu() - cpu)
        time.sleep(0.3)


def run(quick):
    section = Section("daemon", "sluiced against the number of policies")
    counts = (10, 100, 1000) if quick else (10, 100, 1000, 10000)
    rounds = 3 if quick else 7
    with contextlib.ExitStack() as stack:
        nodes = {count: Node(stack, count) for count in counts}
        interleaved(rounds, *(node.cold for node in nodes.values()))
        for node in nodes.values():
            node.start()
            node.idle()
        interleaved(rounds, *(node.edit for node in nodes.values()))
        for name, what, unit in (("cold start", "cold wall", "µs"), ("cold start, CPU", "cold cpu", "µs"),
                                 ("cold start, peak RSS", "cold rss", "KiB"), ("one edit in force", "edit wall", "µs"),
                                 ("one edit, CPU", "edit cpu", "µs"), ("RSS", "rss", "KiB"),
                                 ("CPU while nothing happens", "idle", "%")):
            for count, node in nodes.items():
                section.figures.append(Figure(f"{name}, {count:,} policies", unit, node.costs[what]))
        section.curves.append(Curve("Time until policies are in force", "policies", "µs", {
            "cold": {count: node.costs["cold wall"] for count, node in nodes.items()},
            "one edit": {count: node.costs["edit wall"] for count, node in nodes.items()}}))
        section.curves.append(Curve("Memory of sluiced", "policies", "KiB", {
            "RSS": {count: node.costs["rss"] for count, node in nodes.items()}}))
    return section
