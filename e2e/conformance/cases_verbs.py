"""ADD, DEL, CHECK, STATUS, GC: what a plugin does."""
import concurrent.futures

from cases import case
from harness import CHAINED, CHECKED, Answer, Skip, require


# ---- ADD ----

def require_same(before, after):
    lines = sorted(set(before.splitlines()) ^ set(after.splitlines()))
    require(before == after, "differs:\n" + "\n".join(lines))


def plain(tree):
    """Without members that say nothing, and without mac, which a plugin may change."""
    if isinstance(tree, dict):
        kept = {k: plain(v) for k, v in tree.items() if k != "mac"}
        return {k: v for k, v in kept.items() if v not in (None, "", [], {})}
    return [plain(v) for v in tree] if isinstance(tree, list) else tree


def require_passed_on(got, prev):
    """prevResult as it was, interfaces of the plugin's own behind those that were there."""
    had, has = plain(prev), plain(got)
    has["interfaces"] = has.get("interfaces", [])[:len(had["interfaces"])]
    require(has == had, f"in:  {prev}\nout: {got}")


@case("must", "§2 ADD, §5 ADD Success", "prevResult comes out equivalent: interfaces, indexes, order", CHAINED)
def _(s, version):
    pod = s.pod()
    require_passed_on(s.add(pod, version), pod.prev(version))


@case("must", "§5 ADD Success", "the result has the version of the input", CHAINED)
def _(s, version):
    got = s.add(s.pod(), version)
    require(got.get("cniVersion") == version, f"is {got.get('cniVersion')}")


def require_same_tree(got, prev):
    got["interfaces"] = got.get("interfaces", [])[:len(prev["interfaces"])]
    require(got == prev, f"in:  {prev}\nout: {got}")


@case("libcni", "newer versions", "prevResult comes out with the keys nobody knows yet")
def _(s):
    pod = s.pod()
    prev = pod.prev(s.newest)
    prev["x-new"] = {"a": [1, None, "é", 1.5, 12345678901234567890]}
    prev["ips"][0]["x-note"] = "n"
    prev["interfaces"][1]["x-mtu"] = 1400
    require_same_tree(s.add(pod, prevResult=prev), prev)


@case("libcni", "1.1.0 results", "prevResult keeps what 1.1.0 added: mtu, socketPath, route attributes", CHAINED[4:])
def _(s, version):
    pod = s.pod()
    prev = pod.prev(version)
    prev["interfaces"][1].update(mtu=1400, socketPath="/run/x.sock", pciID="0000:00:1f.6")
    prev["routes"][0].update(mtu=1300, advmss=1260, priority=10, table=50, scope=0)
    require_same_tree(s.add(pod, version, prevResult=prev), prev)


@case("libcni", "chained plugins", "ADD without prevResult fails")
def _(s):
    pod = s.pod()
    s.call("ADD", s.conf(pod, prevResult=None), pod).error()


@case("should", "§5 Error", "ADD without prevResult is code 7")
def _(s):
    pod = s.pod()
    s.call("ADD", s.conf(pod, prevResult=None), pod).error(7)


@case("libcni", "containerd restarts", "ADD twice is as ADD once")
def _(s):
    pod = s.pod()
    first = s.add(pod)
    seen = s.observe(pod)
    require(s.add(pod) == first, "the second result differs")
    require(s.observe(pod) == seen, "the second ADD made more")
    s.delete(pod)


@case("must", "§3 Lifecycle", "many containers at once: ADD, then DEL")
def _(s):
    pods = [s.pod() for _ in range(s.containers)]
    with concurrent.futures.ThreadPoolExecutor(s.containers) as pool:
        for pod, got in zip(pods, pool.map(s.add, pods)):
            require_passed_on(got, pod.prev(s.newest))
        list(pool.map(s.delete, pods))


@case("libcni", "several interfaces", "two attachments of one container are two: the DEL of one leaves the other")
def _(s):
    first = s.pod()
    second = s.pod(beside=first)
    s.add(first)
    s.add(second)
    s.delete(second)
    if s.newest in CHECKED:
        s.check(first).silent()
    s.delete(first)


def node_before(s):
    """What the node looks like when a pod has come and gone: a first one may leave common ground."""
    first = s.pod()
    s.add(first)
    s.delete(first)
    first.remove()
    return s.observe()


@case("libcni", "failed ADD", "a failed ADD leaves nothing, even before its DEL")
def _(s):
    before = node_before(s)
    pod = s.pod()
    if s.call("ADD", s.conf(pod), pod, CNI_IFNAME="net7").rc == 0:
        raise Skip("ADD for an interface that is not there succeeds")
    pod.remove()
    require_same(before, s.observe())


@case("libcni", "kill -9", "DEL finishes what an ADD killed at any moment had begun: nothing is left")
def _(s):
    before = node_before(s)
    for step in range(12):
        pod = s.pod()
        s.killed("ADD", s.conf(pod), pod, step * 0.002)
        s.call("DEL", s.conf(pod, prevResult=None), pod).silent()
        pod.remove()
        require_same(before, s.observe())


# ---- DEL ----

@case("must", "§2 DEL", "DEL with netns and prevResult", CHAINED)
def _(s, version):
    pod = s.pod()
    s.add(pod, version)
    s.delete(pod, version)


@case("should", "§2 DEL", "DEL with netns, without prevResult", CHAINED)
def _(s, version):
    pod = s.pod()
    s.add(pod, version)
    s.delete(pod, version, prevResult=None)


@case("libcni", "containerd", "DEL with an empty CNI_NETNS, without prevResult", CHAINED)
def _(s, version):
    pod = s.pod()
    s.add(pod, version)
    s.call("DEL", s.conf(pod, version, prevResult=None), pod, CNI_NETNS="").silent()


@case("should", "§2 DEL", "DEL without CNI_NETNS, which is optional")
def _(s):
    pod = s.pod()
    s.add(pod)
    s.call("DEL", s.conf(pod), pod, CNI_NETNS=None).silent()


@case("should", "§2 DEL", "DEL of what is deleted already, three times")
def _(s):
    pod = s.pod()
    s.add(pod)
    for _ in range(3):
        s.delete(pod)
    s.delete(pod, prevResult=None)


@case("should", "§2 DEL", "DEL of what was never added")
def _(s):
    pod = s.pod()
    s.delete(pod)
    s.delete(pod, prevResult=None)


@case("should", "§2 DEL", "DEL when the interface is gone, the namespace still there")
def _(s):
    pod = s.pod()
    s.add(pod)
    pod.ip("link", "del", pod.ifname)
    s.delete(pod)


@case("should", "§2 DEL", "DEL when the namespace is gone")
def _(s):
    pod = s.pod()
    s.add(pod)
    pod.remove()
    s.delete(pod)


@case("should", "§2 DEL", "DEL when CNI_NETNS is a path to nothing, or to no namespace")
def _(s):
    for path in ("/run/netns/not-there", "/etc/hostname"):
        pod = s.pod()
        s.add(pod)
        s.call("DEL", s.conf(pod), pod, CNI_NETNS=path).silent()


@case("libcni", "containerd", "a failed ADD is followed by a DEL without prevResult, which succeeds")
def _(s):
    pod = s.pod()
    s.call("ADD", s.conf(pod), pod, CNI_IFNAME="net7")
    s.call("DEL", s.conf(pod, prevResult=None), pod, CNI_IFNAME="net7").silent()
    require(isinstance(s.add(pod), dict), "no ADD after it")


@case("libcni", "no leaks", "nothing is left in the node after DEL and the end of the pod", CHAINED)
def _(s, version):
    before = node_before(s)
    pod = s.pod()
    s.add(pod, version)
    s.delete(pod, version)
    pod.remove()
    require_same(before, s.observe())


@case("should", "§2 DEL", "DEL undoes what ADD did, in the node and in the pod, while the pod lives")
def _(s):
    node_before(s)
    pod = s.pod()
    before = s.observe(pod)
    s.add(pod)
    if s.observe(pod) == before:
        raise Skip("nothing of this plugin's ADD can be seen from outside")
    s.delete(pod)
    require_same(before, s.observe(pod))


# ---- CHECK ----

@case("must", "§2 CHECK", "CHECK right after ADD is well, and silent", CHECKED)
def _(s, version):
    pod = s.pod()
    s.add(pod, version)
    s.check(pod, version).silent()


@case("must", "§2 CHECK", "CHECK lets be what later plugins added: an address, an interface, a route")
def _(s):
    version, pod = s.since(*CHECKED), s.pod()
    prev = s.add(pod, version)
    pod.ip("-batch", "-", input="""
        addr add 10.99.0.9/32 dev eth0
        link add d0 type veth peer name d1
        route add 10.98.0.0/16 dev eth0
        """)
    prev["ips"].append({"address": "10.99.0.9/32", "interface": 1, **({"version": "4"} if version < "1" else {})})
    prev["interfaces"].append({"name": "d0", "sandbox": pod.path})
    prev["routes"].append({"dst": "10.98.0.0/16"})
    s.check(pod, version, prevResult=prev).silent()


@case("should", "§2 CHECK", "CHECK without prevResult, which it must consult, fails")
def _(s):
    version, pod = s.since(*CHECKED), s.pod()
    s.add(pod, version)
    s.check(pod, version, prevResult=None).error()


@case("should", "§2 CHECK", "CHECK fails when what ADD made is gone")
def _(s):
    version, pod = s.since(*CHECKED), s.pod()
    s.add(pod, version)
    there = s.observe(pod)
    s.delete(pod, version)
    if s.observe(pod) == there:
        raise Skip("DEL takes nothing away that can be seen from outside")
    s.check(pod, version).error()


# ---- STATUS and GC ----

def quiet(s, verb, **more) -> Answer:
    """As runtimes call it: the variables of an attachment are there, and empty."""
    return s.call(verb, s.conf(None, s.since("1.1.0"), **more))


@case("must", "§2 STATUS", "STATUS is well when ADD works, and silent")
def _(s):
    version = s.since("1.1.0")
    s.add(s.pod(), version)
    quiet(s, "STATUS").silent()


@case("must", "§2 STATUS", "STATUS needs no variable but CNI_COMMAND")
def _(s):
    s.call("STATUS", s.conf(None, s.since("1.1.0")), only=("CNI_COMMAND",)).silent()


@case("libcni", "skel", "a version without STATUS and GC is code 1 for them", CHECKED[:2])
def _(s, version):
    s.since("1.1.0")
    for verb in ("STATUS", "GC"):
        s.call(verb, s.conf(None, version, **{"cni.dev/valid-attachments": []})).error(1)


def three_pods(s):
    version = s.since("1.1.0")
    pods = [s.pod() for _ in range(3)]
    before = s.observe(pods[0])
    s.add(pods[0], version)
    if s.observe(pods[0]) == before:
        raise Skip("nothing of this plugin's ADD can be seen from outside")
    for pod in pods[1:]:
        s.add(pod, version)
    return pods


def attachments(*pods):
    return [{"containerID": pod.id, "ifname": "eth0"} for pod in pods]


@case("should", "§2 GC", "GC removes what is not in the list and keeps what is")
def _(s):
    pods = three_pods(s)
    quiet(s, "GC", **{"cni.dev/valid-attachments": attachments(pods[1])}).silent()
    s.check(pods[1]).silent()
    for gone in (pods[0], pods[2]):
        s.check(gone).error()


@case("should", "§2 GC", "GC with an empty list removes everything")
def _(s):
    pods = three_pods(s)
    quiet(s, "GC", **{"cni.dev/valid-attachments": []}).silent()
    for pod in pods:
        s.check(pod).error()


@case("libcni", "cnitool gc", "GC without a list, or with null, removes nothing")
def _(s):
    pods = three_pods(s)
    quiet(s, "GC").silent()
    s.call("GC", {**s.conf(None, "1.1.0"), "cni.dev/valid-attachments": None}).silent()
    for pod in pods:
        s.check(pod).silent()


@case("libcni", "libcni 1.3", "GC with both lists, cni.dev/attachments too")
def _(s):
    pods = three_pods(s)
    both = attachments(*pods[:2])
    quiet(s, "GC", **{"cni.dev/valid-attachments": both, "cni.dev/attachments": both}).silent()
    s.check(pods[0]).silent()
    s.check(pods[2]).error()


@case("libcni", "two networks", "GC of one network leaves the attachments of another")
def _(s):
    pods = three_pods(s)
    quiet(s, "GC", name=f"{s.prefix}-other", **{"cni.dev/valid-attachments": []}).silent()
    for pod in pods:
        s.check(pod).silent()


@case("should", "§2 GC", "a list GC cannot read removes nothing")
def _(s):
    pods = three_pods(s)
    for bad in ({}, [None], [{"containerID": pods[0].id}], "all"):
        quiet(s, "GC", **{"cni.dev/valid-attachments": bad}).error()
    for pod in pods:
        s.check(pod).silent()


@case("must", "§2 GC", "GC needs no variables but CNI_COMMAND and CNI_PATH; DEL is well after it")
def _(s):
    pods = three_pods(s)
    conf = s.conf(None, "1.1.0", **{"cni.dev/valid-attachments": []})
    s.call("GC", conf, only=("CNI_COMMAND", "CNI_PATH")).silent()
    for pod in pods:
        s.delete(pod)
