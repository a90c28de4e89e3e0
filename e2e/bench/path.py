"""The data path: TCP, datagrams, request and response through Sluice and through what one would set up without it.

Every way has a pod of its own on node1 and leads to ext. All laboratories stand at
once and the ways take turns, so that what the machine does meanwhile hits them alike.
"""
import collections
import contextlib

import peer
from lab import METER, Lab
from measure import Curve, Figure, Section, interleaved

PORT = 7100
SENDER, RECEIVER = "1", "0"  # processors
FIRST = "chrt", "-f", "20"  # before whatever else the machine does


DEPOT = [  # an egress address of the pods' own node
    {"apiVersion": "sluice.dev/v1alpha1", "kind": "EgressGateway", "metadata": {"name": "depot"},
     "spec": {"addresses": [{"range": "172.31.7.60"}], "allowedNamespaces": {},
              "nodeSelector": {"matchLabels": {"kubernetes.io/hostname": "node1"}}}},
    {"apiVersion": "sluice.dev/v1alpha1", "kind": "EgressPolicy", "metadata": {"name": "local", "namespace": "default"},
     "spec": {"subject": {"podSelector": {"matchLabels": {"app": "local"}}},
              "rules": [{"name": "out", "action": "Allow", "via": {"gateway": "depot"}}]}}]


class Way:
    """A pod, and what going from it to ext costs."""

    def __init__(self, lab, pod):
        self.lab, self.pod, self.costs = lab, pod, collections.defaultdict(list)
        self.ext = lab("echo $EXT_V4").strip()

    def sender(self, *command, cpu=SENDER):
        return self.lab.on(self.pod, "taskset", "-c", cpu, *FIRST, *command)

    def warm(self):
        self.sender(METER, "blast", self.ext, PORT, 20, 18)

    def datagrams(self, ms):
        sent, received, wall, cpu = map(int, self.sender(METER, "blast", self.ext, PORT, ms, 18).split())
        self.costs["ns/packet"].append(cpu / sent)
        self.costs["packets/s"].append(received / wall * 1e9)
        self.costs["packets/cpu s"].append(received / cpu * 1e9)

    def turns(self, ms):
        # both ends on one processor: to wake another one costs more than the path, and varies more
        turns, wall, cpu = map(int, self.sender(METER, "turns", self.ext, PORT, ms, cpu=RECEIVER).split())
        self.costs["turns/s"].append(turns / wall * 1e9)

    def stream(self, ms):
        received, wall, cpu = map(int, self.sender(METER, "stream", self.ext, PORT, ms).split())
        self.costs["Gbit/s"].append(received * 8 / wall)
        self.costs["Gbit/cpu s"].append(received * 8 / cpu)


def servers(lab):
    """Ours in place of the lab's own, which looks at every packet."""
    lab("daemon_stop ext-serve")
    lab.start("ext", "taskset", "-c", RECEIVER, *FIRST, METER, "serve", PORT)


def sluice_lab(stack, n_policies=1):
    """Pods t (by a gateway elsewhere), l (by one on its own node), f (no policy); t has all policies."""
    lab = stack.enter_context(Lab("node1", "gw1"))
    lab.policy("30-many.yaml", many(n_policies - 1))
    lab.policy("11-depot.yaml", DEPOT)
    lab("gateway_on gw1", "web_policy", "node_start node1 gw1", "gateway_wait gw1",
        "web_add t", """POD_LABELS='{"app": "local"}' pod_add l""", "pod_add f",
        "lab_wait 100 asks_as t 172.31.7.50", "lab_wait 100 asks_as l 172.31.7.60",
        "lab_wait 100 asks_as f 172.31.7.11")
    servers(lab)
    return lab


def many(count):
    """Policies that all concern pod t, each for other networks: they must all be looked through."""
    return [{"apiVersion": "sluice.dev/v1alpha1", "kind": "EgressPolicy",
             "metadata": {"name": f"p{n}", "namespace": "default"},
             "spec": {"subject": {"podSelector": {"matchLabels": {"app": "web"}}}, "priority": 100,
                      "rules": [{"name": "partner", "action": "Allow", "via": {"gateway": "office"},
                                 "to": [{"cidr": f"100.{64 + n // 256}.{n % 256}.{b}/28"} for b in (0, 64, 128)]}]}}
            for n in range(count)]


def plain_lab(stack):
    """Pods m (masqueraded by its node), g (routed to gw1, masqueraded there), v (by a VXLAN to gw1, SNAT
    there), c (the same, with checksums in the outer headers)."""
    lab = stack.enter_context(Lab("node1", "gw1", LAB_PLAIN="[]"))
    lab("chain_write bridge '.ipMasq = false'", "pod_add m", "pod_add g", "pod_add v", "pod_add c")
    m, g, v, c = (lab(f"pod_ip {pod} 4").strip() for pod in "mgvc")
    for node, remote, own in (("node1", "gw1", 1), ("gw1", "node1", 2)):
        addresses = [lab(f"echo ${{NODE_V4[{n}]}}").strip() for n in (node, remote)]
        for n, checksums in enumerate(("noudpcsum", "udpcsum")):
            kind = f"vxlan id {77 + n} dstport {4790 + n} dev eth0 {checksums}"
            lab.ip(node, f"""link add vx{n} type {kind} local {addresses[0]} remote {addresses[1]}
                addr add 172.30.{n}.{own}/30 dev vx{n}
                link set vx{n} up
                """)
    lab.ip("node1", f"""rule add from {g} lookup 101
        rule add from {v} lookup 102
        route add default via 172.31.7.21 table 101
        route add 10.244.1.0/24 dev cni0 table 101
        route add default via 172.30.0.2 table 102
        route add 10.244.1.0/24 dev cni0 table 102
        rule add from {c} lookup 103
        route add default via 172.30.1.2 table 103
        route add 10.244.1.0/24 dev cni0 table 103
        """)
    lab.ip("gw1", f"route add {v}/32 via 172.30.0.1\nroute add {c}/32 via 172.30.1.1\n")
    lab.on("node1", "iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-s", m, "-o", "eth0", "-j", "MASQUERADE")
    lab.on("gw1", "iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-s", g, "-o", "eth0", "-j", "MASQUERADE")
    for pod in v, c:
        lab.on("gw1", "iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-s", pod, "-o", "eth0", "-j", "SNAT",
               "--to-source", "172.31.7.21")
    for pod, source in (("m", "172.31.7.11"), ("g", "172.31.7.21"), ("v", "172.31.7.21"), ("c", "172.31.7.21")):
        lab(f"lab_wait 50 asks_as {pod} {source}")
    servers(lab)
    return lab


def measured(ways, rounds, ms):
    for way in ways:
        way.warm()
    interleaved(rounds, *(lambda _, way=way: way.datagrams(ms) for way in ways))
    interleaved(rounds, *(lambda _, way=way: way.turns(ms) for way in ways))
    interleaved(rounds, *(lambda _, way=way: way.stream(ms) for way in ways))


def run(quick):
    section = Section("path", "Data path, IPv4, from a pod to a server outside")
    rounds, ms = (5, 200) if quick else (15, 400)
    sizes = (1, 1000) if quick else (1, 100, 1000, 10000)
    with contextlib.ExitStack() as stack:
        plain, sluice = plain_lab(stack), sluice_lab(stack)
        ways = {"plain": Way(plain, "m"), "plain by gw1": Way(plain, "g"), "bare VXLAN": Way(plain, "v"),
                "no policy": Way(sluice, "f"), "local": Way(sluice, "l"), "tunnel": Way(sluice, "t")}
        if not quick:
            ways.update(tuned(stack, plain))
        measured(list(ways.values()), rounds, ms)
        pairs = (("no policy", "plain", None), ("local", "plain", 0.95), ("tunnel", "bare VXLAN", 0.80),
                 ("tunnel", "plain by gw1", None))
        for ours, theirs, gate in pairs:
            for what in ("Gbit/s", "Gbit/cpu s", "packets/s", "packets/cpu s", "turns/s"):
                section.figures.append(Figure(
                    f"{ours}, {what}", "", ways[ours].costs[what], ways[theirs].costs[what],
                    f">={gate}" if gate else "", theirs, ">=0.90" if gate == 0.80 else ""))
        if not quick:
            for what in ("Gbit/s", "Gbit/cpu s"):
                section.figures.append(Figure(f"tunnel, {what}", "", ways["tunnel"].costs[what],
                                              ways["tunnel without GSO"].costs[what], "", "without GSO"))
                section.figures.append(Figure(f"bare VXLAN, {what}", "", ways["bare VXLAN"].costs[what],
                                              ways["VXLAN with checksums"].costs[what], "", "with outer checksums"))
    growth(section, sizes, rounds, ms)
    return section


def tuned(stack, plain):
    """What the tunnel would be without GSO, and a tunnel with checksums in its outer headers."""
    lab = sluice_lab(stack)
    for node in lab.nodes:
        lab.on(node, "ethtool", "-K", "sluice0", "tso", "off", "gso", "off")
    return {"tunnel without GSO": Way(lab, "t"), "VXLAN with checksums": Way(plain, "c")}


def growth(section, sizes, rounds, ms):
    """The cost of a packet against the number of policies: ours, and as egressgateway's documents set it up."""
    with contextlib.ExitStack() as stack:
        ours = {size: Way(sluice_lab(stack, size), "t") for size in sizes}
        theirs = {size: Way(peer.lab(stack, size, servers), "e") for size in sizes}
        for way in (*ours.values(), *theirs.values()):
            way.warm()
        interleaved(rounds, *(lambda _, way=way: way.datagrams(ms) for way in (*ours.values(), *theirs.values())))
        for size in sizes[1:]:
            section.figures.append(Figure(f"tunnel, {size:,} policies", "ns/packet", ours[size].costs["ns/packet"],
                                          ours[1].costs["ns/packet"], "<=1.05", "1 policy"))
        for size in sizes:
            section.figures.append(Figure(f"tunnel, {size:,} policies", "ns/packet", ours[size].costs["ns/packet"],
                                          theirs[size].costs["ns/packet"], "", "egressgateway's rules"))
        section.curves.append(Curve("CPU per packet, whole path", "policies", "ns", {
            "Sluice": {size: way.costs["ns/packet"] for size, way in ours.items()},
            "egressgateway": {size: way.costs["ns/packet"] for size, way in theirs.items()}}))
