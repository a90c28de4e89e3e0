"""The daemon: from a folder of policies to a kernel that does what they say, from nothing and after one edit."""
import collections
import contextlib
import os
import pathlib
import shutil
import time

import bpfmap
import cni
import size
from lab import BIN, TOP, Calls, Lab
from measure import Curve, Figure, Section, interleaved

SLUICED = BIN / "sluiced"
PER_FILE = 100
EDIT_LIMIT = 10000  # µs
RSS_LIMIT = 16384  # KiB


class Node:
    """node1 with so many policies, 100 to a file, and four pods that they concern."""

    def __init__(self, stack, count):
        self.lab = lab = stack.enter_context(Lab("node1"))
        self.count, self.edits, self.costs = count, 0, collections.defaultdict(list)
        self.edited = size.policies(min(PER_FILE, count))
        self.edited[0]["spec"]["rules"].insert(0, {"name": "no", "action": "Deny", "to": [{"cidr": "203.0.113.0/32"}]})
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
        shutil.rmtree(self.home / "bpf/v5", ignore_errors=True)
        cost = self.once()
        for what in ("wall", "cpu", "rss"):
            self.costs[f"cold {what}"].append(cost[what])

    def start(self):
        self.lab("node_start node1", "gateway_wait node1")
        self.pid = int((pathlib.Path(self.lab.path) / "pids/sluiced-node1").read_text())
        self.settle()

    def cpu(self):
        """Of the process so far, in µs: by its own clock, since what /proc has is as old as the last tick."""
        return time.clock_gettime_ns(~self.pid << 3 | 2) / 1000

    def settle(self):
        """Waits until the daemon does no more than its look at the kernel twice a second."""
        for _ in range(40):
            before = self.cpu()
            time.sleep(0.5)
            if self.cpu() - before < 20000:
                return

    def idle(self, seconds):
        before, start = self.cpu(), time.monotonic()
        time.sleep(seconds)
        self.costs["idle"].append((self.cpu() - before) / (time.monotonic() - start) / 1e6 * 100)
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        self.costs["rss"].append(int(status.split("VmRSS:")[1].split()[0]))

    def verdict(self, _):
        """One policy of a pod that is here denies one network more."""
        self.edit("verdict", lambda rules: rules[0]["to"].append({"cidr": f"203.0.113.{self.edits}/32"}))

    def identity(self, _):
        """The same policy gives another address: what is open must be known, to go on under the old one."""
        office = {"gateway": "office"}
        self.edit("identity", lambda rules: rules[1].update(
            via={"node": {}} if rules[1]["via"] == office else office))

    def edit(self, what, change):
        """Until the kernel has it, and until the snapshot, which is written then."""
        self.edits += 1
        change(self.edited[0]["spec"]["rules"])
        snapshot, epoch = self.home / "state/snapshot", bpfmap.Map(next(self.home.glob("bpf/v*/epoch")))
        written, counted = os.stat(snapshot).st_mtime_ns, epoch.number(0)
        cpu, start = self.cpu(), time.monotonic()
        self.lab.policy("30-teams-0.yaml", self.edited)
        # else it sees the kernel late, and what the daemon does next counts as well
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        for where, reached in (("in the kernel", lambda: epoch.number(0) != counted),
                               ("in the snapshot", lambda: os.stat(snapshot).st_mtime_ns != written)):
            while not reached():
                time.sleep(0.0002)
                if time.monotonic() - start > 60:
                    raise SystemExit(f"bench: an edit is not {where} after a minute")
            self.costs[f"{what} {where}"].append((time.monotonic() - start) * 1e6)
            self.costs[f"{what} {where}, CPU"].append(self.cpu() - cpu)
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        epoch.close()
        time.sleep(0.3)


def of_an_api(rounds):
    """KiB that sluiced holds beside a real API server with 250 pods of its node and 1,000 policies, and its split."""
    held, of_files = [], []
    with Lab("node1") as lab:
        lab(f". {TOP}/e2e/lib/kube.bash", f". {TOP}/e2e/lib/crowd.bash")
        if "there" not in lab("kube_assets >/dev/null && echo there || true"):
            return held, of_files
        lab("crowd_up 250 1000")
        for _ in range(rounds):
            lab("crowd_start", "sleep 5")
            status = pathlib.Path(lab("crowd_of status").strip()).read_text()
            held.append(int(status.split("VmRSS:")[1].split()[0]))
            of_files.append(int(status.split("RssFile:")[1].split()[0]))
            # what it knew of the objects, too: in force once all is read, as at a node's first start
            lab("node_stop node1", 'rm -r "$LAB/node1/state"')
    return held, of_files


def run(quick):
    section = Section("daemon", "sluiced against the number of policies")
    counts = (10, 1000) if quick else (10, 100, 1000, 10000)
    rounds = 3 if quick else 7
    with contextlib.ExitStack() as stack:
        nodes = {count: Node(stack, count) for count in counts}
        interleaved(rounds, *(node.cold for node in nodes.values()))
        for node in nodes.values():
            node.start()
            node.idle(1 if quick else 3)
        interleaved(rounds, *(node.verdict for node in nodes.values()), *(node.identity for node in nodes.values()))
        edits = [(f"an edit of {article} {what} {where}", f"{what} {where}", "µs")
                 for article, what in (("a", "verdict"), ("an", "identity"))
                 for where in ("in the kernel", "in the kernel, CPU", "in the snapshot", "in the snapshot, CPU")]
        for name, what, unit in (("cold start", "cold wall", "µs"), ("cold start, CPU", "cold cpu", "µs"),
                                 ("cold start, peak RSS", "cold rss", "KiB"), *edits, ("RSS", "rss", "KiB"),
                                 ("CPU while nothing happens", "idle", "%")):
            for count, node in nodes.items():
                limit = EDIT_LIMIT if what.endswith("in the kernel, CPU") and count == max(counts) else None
                section.figures.append(Figure(f"{name}, {count:,} policies", unit, node.costs[what],
                                              [limit] * len(node.costs[what]) if limit else None,
                                              "<=1.0" if limit else "", "allowed"))
        held, of_files = of_an_api(1 if quick else rounds)
        if held:
            name = "RSS, API server with 250 pods and 1,000 policies"
            section.figures += [
                Figure(name, "KiB", held, [RSS_LIMIT] * len(held), "<=1.0", "allowed"),
                Figure(f"{name}: of it files'", "KiB", of_files)]
        section.curves.append(Curve("Time until policies are in force", "policies", "µs", {
            "cold": {count: node.costs["cold wall"] for count, node in nodes.items()},
            "an edit of a verdict": {count: node.costs["verdict in the kernel"] for count, node in nodes.items()},
            "an edit of an identity": {count: node.costs["identity in the kernel"] for count, node in nodes.items()}}))
        section.curves.append(Curve("Memory of sluiced", "policies", "KiB", {
            "RSS": {count: node.costs["rss"] for count, node in nodes.items()}}))
    return section
