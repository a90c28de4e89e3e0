"""What egressgateway's documents say it writes on a node (docs/concepts/Datapath.en.md of that
project): per policy two ipsets and one mangle rule that matches them, a mark per gateway node, a
rule and a table to its VXLAN, on the gateway one SNAT rule per policy. Written anew from that
description; the measured pod's policy stands in the middle of the list.
"""
from lab import Lab

MARK = "0x26000001"
KEEP = "0x12000000"


def sets(count, pod, ext):
    lines = []
    for n in range(count):
        mine = n == count // 2
        lines += [f"create egress-src-v4-{n} hash:net", f"create egress-dst-v4-{n} hash:net",
                  f"add egress-src-v4-{n} " + (f"{pod}/32" if mine else f"10.244.9.{n % 254 + 1}/32")]
        lines += [f"add egress-dst-v4-{n} {ext}/32"] if mine else [
            f"add egress-dst-v4-{n} 100.{64 + n // 256}.{n % 256}.{b}/28" for b in (0, 64, 128)]
    return "\n".join(lines) + "\n"


def node_rules(count):
    marks = "\n".join(
        f"-A EGRESSGATEWAY-MARK-REQUEST -m conntrack --ctdir ORIGINAL -m set --match-set egress-dst-v4-{n} dst "
        f"-m set --match-set egress-src-v4-{n} src -j MARK --set-mark {MARK}" for n in range(count))
    return f"""*mangle
:EGRESSGATEWAY-RESET-MARK - [0:0]
:EGRESSGATEWAY-MARK-REQUEST - [0:0]
-A FORWARD -j EGRESSGATEWAY-RESET-MARK
-A EGRESSGATEWAY-RESET-MARK -m mark --mark 0x26000000/0xff000000 -j MARK --set-mark {KEEP}
-A POSTROUTING -m mark --mark {KEEP} -j ACCEPT
-A PREROUTING -j EGRESSGATEWAY-MARK-REQUEST
{marks}
COMMIT
*filter
-A FORWARD -m mark --mark {KEEP} -j ACCEPT
-A OUTPUT -m mark --mark {KEEP} -j ACCEPT
COMMIT
*nat
:EGRESSGATEWAY-NO-SNAT - [0:0]
-A POSTROUTING -j EGRESSGATEWAY-NO-SNAT
-A EGRESSGATEWAY-NO-SNAT -m mark --mark {KEEP} -j ACCEPT
-A POSTROUTING -s 10.244.0.0/16 -o eth0 -j MASQUERADE
COMMIT
"""


def gateway_rules(count):
    snats = "\n".join(
        f"-A EGRESSGATEWAY-SNAT-EIP -m set --match-set egress-src-v4-{n} src -m set --match-set egress-dst-v4-{n} dst "
        f"-j SNAT --to-source 172.31.7.50" for n in range(count))
    return f"""*nat
:EGRESSGATEWAY-SNAT-EIP - [0:0]
-A POSTROUTING -j EGRESSGATEWAY-SNAT-EIP
{snats}
COMMIT
"""


def lab(stack, count, servers):
    """Pod e on node1, whose egress address is on gw1."""
    lab = stack.enter_context(Lab("node1", "gw1", LAB_PLAIN="[]"))
    lab("chain_write bridge '.ipMasq = false'", "pod_add e")
    pod, ext = lab("pod_ip e 4").strip(), lab("echo $EXT_V4").strip()
    for node, remote, own in (("node1", "172.31.7.21", 1), ("gw1", "172.31.7.11", 2)):
        lab.ip(node, f"""link add egress.vxlan type vxlan id 100 remote {remote} dstport 7789 dev eth0
            addr add 172.31.0.{own}/30 dev egress.vxlan
            link set egress.vxlan up
            """)
        lab.on(node, "ipset", "restore", input=sets(count, pod, ext))
        lab.on(node, "iptables-legacy-restore", input=node_rules(count) if node == "node1" else gateway_rules(count))
        lab.on(node, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.egress/vxlan.rp_filter=0",
               "net.ipv4.conf.eth0.rp_filter=0")
    lab.ip("node1", f"""rule add fwmark {MARK} lookup 3000
        route add default via 172.31.0.2 table 3000
        """)
    lab.ip("gw1", f"addr add 172.31.7.50/32 dev eth0\nroute add {pod}/32 via 172.31.0.1\n")
    lab("lab_wait 50 asks_as e 172.31.7.50")
    servers(lab)
    return lab
