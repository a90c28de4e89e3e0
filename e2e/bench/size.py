"""Does ADD's cost grow with what the node holds? One laboratory for each size, all at once, asked in turn."""
import contextlib
import pathlib
import time

import cni
from lab import BIN, Calls, Lab
from measure import Curve, Figure, Section, interleaved

SLUICE = BIN / "sluice"


def policies(count, start=0):
    """Policies as an application team writes them: own pods, a few networks, one port, one gateway."""
    return [{"apiVersion": "sluice.dev/v1alpha1", "kind": "EgressPolicy",
             "metadata": {"name": f"team-{n}", "namespace": "default"},
             "spec": {"subject": {"podSelector": {"matchLabels": {"app": f"team-{n}"}}},
                      "rules": [{"name": "partner", "action": "Allow", "via": {"gateway": "office"},
                                 "to": [{"cidr": f"198.{18 + n % 2}.{n // 2 % 256}.{b}/28"} for b in (0, 64, 128)],
                                 "ports": [{"protocol": "TCP", "port": 443}]}],
                      "default": {"action": "Deny"}}} for n in range(start, start + count)]


class Place:
    """A laboratory of a size: a daemon on node1, a snapshot on gw1, and pods on both."""

    def __init__(self, stack, n_policies, n_links, pods):
        self.lab = lab = stack.enter_context(Lab("node1", "gw1"))
        lab.policy("30-teams.yaml", policies(n_policies))
        links = "".join(f"link add la{n} type veth peer name lb{n}\n" for n in range(n_links // 2))
        for node in lab.nodes:
            lab.ip(node, links)
        lab("gateway_on gw1", "web_policy", "LAB_PLAIN='[]' chain_write bridge")
        self.pods = {node: cni.Pods(lab, node, [f"{node[0]}{n}" for n in range(pods)]) for node in lab.nodes}
        lab("node_start node1 gw1", "gateway_wait gw1")
        self.calls = {node: Calls(lab, node) for node in lab.nodes}
        self.subjects = {node: cni.Subject(self.calls[node], self.pods[node], SLUICE, cni.entry_of(lab, node))
                         for node in lab.nodes}
        self.fresh, self.usual, self.next_team = [], [], 0

    def meet(self, verb):
        """Both nodes have such a pod, or had one."""
        for node, subject in self.subjects.items():
            subject.call(verb, self.pods[node].names[0])

    def round(self, n):
        for subject in self.subjects.values():
            subject.round(n)

    def new_round(self, n):
        """A pod of a team that had none on this node: a new program; and one that has, right before."""
        name = self.pods["node1"].names[n % len(self.pods["node1"].names)]
        (cost,), _ = self.subjects["node1"].call("ADD", name)
        self.usual.append(cost)
        self.subjects["node1"].call("DEL", name)
        self.pods["node1"].renew(name)
        team = f"team-{self.next_team}"
        self.next_team += 1
        entry = {**cni.entry_of(self.lab, "node1"), "runtimeConfig": {"podLabels": {"app": team}}}
        path = pathlib.Path(self.lab.path, f"sluice-ADD-{name}.json")
        usual = path.read_text()
        path.unlink()
        program, stdin, environment = self.pods["node1"].request(SLUICE, "ADD", name, entry)
        (cost,), _ = self.calls["node1"]((program, stdin, environment, None))
        self.fresh.append(cost)
        self.subjects["node1"].call("DEL", name)
        self.pods["node1"].renew(name)
        path.write_text(usual)

    def costs(self, node, what):
        return self.subjects[node].costs["ADD"][what]


def run(quick):
    section = Section("size", "ADD against the size of the node")
    sizes = (10, 1000) if quick else (10, 1000, 10000)
    rounds = 5 if quick else 40
    with contextlib.ExitStack() as stack:
        places = {size: Place(stack, size, 0, 4) for size in sizes}
        links = {count: Place(stack, 10, count, 4) for count in (30, 1000)}
        everyone = [*places.values(), *links.values()]
        for place in everyone:
            place.meet("ADD")
        time.sleep(2)  # the snapshots are written
        for place in everyone:
            place.meet("DEL")
            place.lab("node_stop gw1")
        interleaved(rounds, *(p.round for p in everyone))
        interleaved(min(rounds, 9), *(p.new_round for p in places.values()))
        for node, way in (("node1", "socket"), ("gw1", "snapshot")):
            for what in ("cpu", "wall"):
                for size in sizes[1:]:
                    section.figures.append(Figure(
                        f"ADD {what}, {way}, {size:,} policies", "µs", places[size].costs(node, what),
                        places[10].costs(node, what), "<=1.15" if size == max(sizes) else "", "10 policies"))
                section.figures.append(Figure(
                    f"ADD {what}, {way}, 1,000 links", "µs", links[1000].costs(node, what),
                    links[30].costs(node, what), "<=1.15", "30 links"))
        for what, named in (("wall", "Latency"), ("cpu", "CPU time")):
            section.curves.append(Curve(f"{named} of an ADD", "policies", "µs", {
                way: {size: places[size].costs(node, what) for size in sizes}
                for way, node in (("socket", "node1"), ("snapshot", "gw1"))}))
            for size in sizes:
                new, usual = ([cost[what] for cost in costs] for costs in (places[size].fresh, places[size].usual))
                section.figures.append(Figure(f"ADD {what}, a new program, {size:,} policies", "µs", new, usual,
                                              "<=2.0", "a known one"))
    return section
