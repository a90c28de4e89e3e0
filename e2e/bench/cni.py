"""The CNI verbs, against Debian's Go plugin `bandwidth` on the same pods.

Two nodes: on node1 the daemon answers, on gw1 there is none and the snapshot does.
The pods are made by the bridge plugin once; what it answered is everybody's
prevResult. bandwidth runs on gw1, so that no daemon looks at what it makes.
"""
import collections
import copy
import json
import pathlib
import subprocess
import time

from lab import BIN, Calls, Lab
from measure import Figure, Section, interleaved

BANDWIDTH = pathlib.Path("/usr/lib/cni/bandwidth")
VERBS = ("ADD", "CHECK", "DEL", "VERSION")
GATES = {"ADD": 0.40, "CHECK": 0.40, "DEL": 0.33, "VERSION": 0.5}


class Pods:
    """Pods of one node, made by the bridge plugin, and the requests of a chained plugin for them."""

    def __init__(self, lab, node, names):
        self.lab, self.node, self.names = lab, node, names
        for name in names:
            lab(f"POD_LABELS='{{\"app\": \"web\"}}' pod_add {name} {node}")
        self.prev = {name: json.loads(pathlib.Path(lab.path, f"{name}.result").read_text()) for name in names}
        self.renew(*names)

    def renew(self, *names):
        """New interfaces of the same names and addresses: what ADD and DEL leave on one makes the next ADD another."""
        for name in names:
            _, host, pod = self.prev[name]["interfaces"][:3]
            peer = f"peer name eth0 address {pod['mac']} netns {self.lab.prefix}-{name}"
            self.lab.ip(self.node, f"""link del {host['name']}
                link add {host['name']} address {host['mac']} type veth {peer}
                link set {host['name']} master cni0 up
                """)
            self.lab.ip(name, "link set eth0 up\n")
        time.sleep(0.05)  # a device that goes keeps the kernel busy for a while

    def part(self, start, end):
        part = copy.copy(self)
        part.names = self.names[start:end]
        return part

    def request(self, plugin, verb, name, entry):
        """(program, stdin file, environment): the file is written once, before anything is measured."""
        path = pathlib.Path(self.lab.path, f"{plugin.name}-{verb}-{name}.json")
        if not path.exists():
            prev = self.prev[name]
            if verb == "CHECK" and plugin == BANDWIDTH:
                prev = json.loads((path.parent / f"{plugin.name}-ADD-{name}.result").read_text())
            path.write_text(json.dumps({"cniVersion": "1.0.0", "name": f"lab-{self.node}", **entry,
                                        "prevResult": prev}))
        environment = {"CNI_COMMAND": verb, "CNI_CONTAINERID": f"bench-{name}", "CNI_IFNAME": "eth0",
                       "CNI_NETNS": self.lab.netns(name), "CNI_PATH": str(plugin.parent), "PATH": "/usr/sbin:/usr/bin",
                       "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={name}"}
        return plugin, path, environment


class Subject:
    """A plugin in one of its settings: costs[verb][what] is a list, one value a round."""

    def __init__(self, calls, pods, plugin, entry, option=None):
        self.calls, self.pods, self.plugin, self.entry, self.option = calls, pods, plugin, entry, option
        self.costs = {verb: collections.defaultdict(list) for verb in VERBS}

    def forget(self):
        """What was measured so far: the kernel was still busy with what made the pods."""
        for costs in self.costs.values():
            costs.clear()

    def request(self, verb, name):
        return (*self.pods.request(self.plugin, verb, name, self.entry), self.option)

    def call(self, verb, *names):
        return self.calls(*(self.request(verb, name) for name in names))

    def round(self, n):
        name = self.pods.names[n % len(self.pods.names)]
        for verb in VERBS:
            (cost,), _ = self.call(verb, name)
            if verb == "ADD" and self.plugin == BANDWIDTH:
                self.keep_result(name)
            for what, value in cost.items():
                self.costs[verb][what].append(value)
        self.pods.renew(name)

    def keep_result(self, name):
        path = pathlib.Path(self.pods.lab.path, f"{self.plugin.name}-ADD-{name}.result")
        if not path.exists():
            path.write_text((self.calls.out / "0").read_text())

    def at_once(self):
        """All pods one after the other, then all at the same time: µs per ADD."""
        serial = sum(self.call("ADD", name)[1] for name in self.pods.names)
        for name in self.pods.names:
            self.call("DEL", name)
        self.pods.renew(*self.pods.names)
        _, parallel = self.call("ADD", *self.pods.names)
        self.call("DEL", *self.pods.names)
        self.pods.renew(*self.pods.names)
        return serial / len(self.pods.names), parallel / len(self.pods.names)

    def syscalls(self, verb, name):
        program, stdin, environment, _ = self.request(verb, name)
        with open(stdin) as file:
            done = subprocess.run(["nsenter", f"--net={self.pods.lab.netns(self.pods.node)}", "strace", "-f", "-c",
                                   program], stdin=file, env=environment, capture_output=True, text=True, check=True)
        return int(next(line for line in done.stderr.splitlines() if line.endswith("total")).split()[3])


def entry_of(lab, node, **more):
    entry = json.loads(lab(f"sluice_entry {node}"))
    entry.pop("capabilities")
    return {**entry, "logLevel": "warn", "runtimeConfig": {"podLabels": {"app": "web"}}, **more}


RATES = {"type": "bandwidth", "ingressRate": 100000000, "ingressBurst": 1000000,
         "egressRate": 100000000, "egressBurst": 1000000}


def prepare(lab, pods):
    """Policies, a daemon on node1, a snapshot on gw1, and the pods."""
    lab("LAB_PLAIN='[]' chain_write bridge", "gateway_on gw1", "web_policy", "node_start node1 gw1", "gateway_wait gw1",
        "node_stop gw1")
    names = {node: [f"{node[0]}{n}" for n in range(count)] for node, count in pods.items()}
    return {node: Pods(lab, node, names[node]) for node in names}


def figures(section, subjects, go):
    """go[name]: the peer that stood beside that subject."""
    for verb in VERBS:
        for what, unit, gate in (("cpu", "µs", GATES[verb]), ("rss", "KiB", 0.5), ("wall", "µs", None)):
            for name, subject in subjects.items():
                if (verb == "VERSION" or what == "rss") and name != "socket, TCX":
                    continue
                limit = 0.65 if what == "wall" and "clsact" in name and verb == "ADD" else gate
                section.figures.append(Figure(
                    f"{verb} {what}, {name}", unit, subject.costs[verb][what], go[name].costs[verb][what],
                    f"<={limit}" if limit else "", "bandwidth"))
    for what in ("wall", "cpu"):
        section.figures.append(Figure(f"ADD {what}, socket", "µs", subjects["socket, TCX"].costs["ADD"][what],
                                      subjects["snapshot, TCX"].costs["ADD"][what], "<=1.2", "snapshot"))
    for name in ("socket, TCX", "snapshot, TCX"):
        section.figures.append(Figure(f"ADD wall, {name}", "µs", subjects[name].costs["ADD"]["wall"],
                                      go[name].costs["DEL"]["wall"], "<=1.0", "bandwidth's DEL"))


def run(quick):
    section = Section("cni", "CNI verbs: Sluice against Debian's Go plugin bandwidth")
    many, few = (8, 4) if quick else (32, 8)
    with Lab("node1", "gw1") as lab:
        pods = prepare(lab, {"node1": many + few, "gw1": 3 * few})
        node, bare = Calls(lab, "node1"), Calls(lab, "gw1")
        sluice = BIN / "sluice"
        on_bare = [pods["gw1"].part(n * few, (n + 1) * few) for n in range(3)]
        subjects = {
            "socket, TCX": Subject(node, pods["node1"].part(0, many), sluice, entry_of(lab, "node1")),
            "snapshot, TCX": Subject(bare, on_bare[0], sluice, entry_of(lab, "gw1")),
            "socket, clsact": Subject(node, pods["node1"].part(many, many + few), sluice, entry_of(lab, "node1"),
                                      "clsact"),
        }
        go = Subject(bare, on_bare[1], BANDWIDTH, RATES)
        # what hides TCX costs time of its own: the peer bears it too
        go_clsact = Subject(bare, on_bare[2], BANDWIDTH, RATES, "clsact")
        interleaved(3, *(s.round for s in (*subjects.values(), go, go_clsact)))
        for subject in (*subjects.values(), go, go_clsact):
            subject.forget()
        interleaved(6 if quick else 60, *(s.round for s in (*subjects.values(), go, go_clsact)))
        figures(section, subjects, {name: go_clsact if "clsact" in name else go for name in subjects})
        for name, subject in {**subjects, "bandwidth": go}.items():
            section.notes[f"syscalls, {name}"] = {
                verb: subject.syscalls(verb, subject.pods.names[0]) for verb in VERBS}
        at_once = [subjects["socket, TCX"].at_once() for _ in range(3 if quick else 7)]
        serial, parallel = zip(*at_once)
        section.figures.append(Figure(f"{many} ADDs at once, per ADD", "µs", list(parallel), list(serial), "<=1.0",
                                      "one at a time"))
    return section
