"""The firewall beside the same rules written for others: a thousand policies, each for a pod of its own, with a hundred
networks and sixteen ranges of ports. The measured pod's policy stands in the middle. Every packet is judged, as ours
are: a shortcut for established connections would let an edit pass them by.
"""
import contextlib

from lab import Lab
from measure import Curve, Figure, Section, interleaved
from path import PORT, Way, servers

PREFIXES, RANGES = 100, 16


def prefixes(n, mine):
    """Networks of policy n; the server's among them where it is the measured pod's."""
    return ([mine] if mine else []) + [f"100.{64 + n % 64}.{k + n // 64}.{(n * 7 + k) % 16 * 16}/28"
                                       for k in range(PREFIXES - bool(mine))]


def ranges(n):
    return [(PORT - 100, PORT)] + [(10000 + 1000 * k + n % 100, 10500 + 1000 * k + n % 100) for k in range(RANGES - 1)]


def pod_of(n):
    """An address that no pod has: the other policies' pods are on the same node."""
    return f"10.244.{200 + n // 250}.{n % 250 + 1}"


def ours(stack, count):
    lab = stack.enter_context(Lab("node1"))
    ext = lab("echo $EXT_V4").strip()
    lab.policy("30-many.yaml", [
        {"apiVersion": "sluice.dev/v1alpha1", "kind": "EgressPolicy",
         "metadata": {"name": f"p{n}", "namespace": "default"},
         "spec": {"subject": {"podSelector": {"matchLabels": {"app": f"a{n}"}}},
                  "rules": [{"name": "partner", "action": "Allow",
                             "to": [{"cidr": c} for c in prefixes(n, f"{ext}/32" if n == count // 2 else None)],
                             "ports": [{"protocol": "UDP", "port": lo, "endPort": hi} for lo, hi in ranges(n)]}],
                  "default": {"action": "Deny"}}} for n in range(count)])
    lab("node_start node1", f"""POD_LABELS='{{"app": "a{count // 2}"}}' pod_add p""")
    return lab


def nft_rules(count, pod, ext):
    lines = ["table inet fw {"]
    for n in range(count):
        mine = n == count // 2
        lines += [f"set d{n} {{ type ipv4_addr; flags interval; elements = {{ "
                  + ", ".join(prefixes(n, ext if mine else None)) + " } }",
                  f"set p{n} {{ type inet_service; flags interval; elements = {{ "
                  + ", ".join(f"{lo}-{hi}" if lo < hi else str(lo) for lo, hi in ranges(n)) + " } }",
                  f"chain c{n} {{ ip daddr @d{n} udp dport @p{n} accept; drop; }}"]
    verdicts = ", ".join(f"{pod if n == count // 2 else pod_of(n)} : goto c{n}" for n in range(count))
    lines += [f"map pods {{ type ipv4_addr : verdict; elements = {{ {verdicts} }} }}",
              "chain forward { type filter hook forward priority 0; ip saddr vmap @pods; }", "}"]
    return "\n".join(lines) + "\n"


def ipsets(count, pod, ext):
    lines = []
    for n in range(count):
        mine = n == count // 2
        lines += [f"create s{n} hash:net", f"create d{n} hash:net", f"create p{n} bitmap:port range 0-65535",
                  f"add s{n} {pod if mine else pod_of(n)}/32"]
        lines += [f"add d{n} {c}" for c in prefixes(n, f"{ext}/32" if mine else None)]
        lines += [f"add p{n} {lo}-{hi}" for lo, hi in ranges(n)]
    return "\n".join(lines) + "\n"


def iptables_rules(count):
    allow = "\n".join(f"-A FORWARD -p udp -m set --match-set s{n} src -m set --match-set d{n} dst "
                      f"-m set --match-set p{n} dst -j ACCEPT" for n in range(count))
    deny = "\n".join(f"-A FORWARD -m set --match-set s{n} src -j DROP" for n in range(count))
    return f"*filter\n{allow}\n{deny}\nCOMMIT\n"


def theirs(stack, kind, count):
    lab = stack.enter_context(Lab("node1", LAB_PLAIN="[]"))
    lab("pod_add p")
    pod, ext = lab("pod_ip p 4").strip(), lab("echo $EXT_V4").strip()
    if kind == "nft sets":
        lab.on("node1", "nft", "-f", "-", input=nft_rules(count, pod, ext))
    elif kind == "iptables + ipset":
        lab.on("node1", "ipset", "restore", input=ipsets(count, pod, ext))
        lab.on("node1", "iptables-legacy-restore", "--noflush", input=iptables_rules(count))
    return lab


def run(quick):
    section = Section("firewall", "The firewall, IPv4, from a pod to a server outside by its own node")
    rounds, ms = (3, 200) if quick else (15, 400)
    sizes = (1000,) if quick else (1, 10, 100, 1000)
    kinds = ("no rules", "nft sets", "iptables + ipset")
    with contextlib.ExitStack() as stack:
        labs = {("Sluice", n): ours(stack, n) for n in sizes}
        labs |= {(kind, n): theirs(stack, kind, n) for kind in kinds for n in sizes
                 if kind != "no rules" or n == sizes[0]}
        ways = {}
        for key, lab in labs.items():
            lab("lab_wait 100 asks_as p 172.31.7.11")
            servers(lab)
            ways[key] = Way(lab, "p")
            ways[key].warm()
        interleaved(rounds, *(lambda _, way=way: way.datagrams(ms) for way in ways.values()))
    cost = {key: way.costs["ns/packet"] for key, way in ways.items()}
    for n in sizes:
        for kind in kinds:
            section.figures.append(Figure(f"{n:,} policies", "ns/packet", cost["Sluice", n],
                                          cost[kind, n if kind != "no rules" else sizes[0]], "", kind))
    section.curves.append(Curve("CPU per packet, whole path", "policies", "ns", {
        kind: {n: cost[kind, n] for n in sizes} for kind in ("Sluice", *kinds[1:])}))
    return section
