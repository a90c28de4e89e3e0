"""The contract, one case each: its level, where it is written, what is tried.

must and should are the words of the CNI specification (SPEC.md 1.1.0, by section).
libcni is what it leaves open or says otherwise, and what libcni's plugin half
(skel), libcni itself or the runtimes were seen to do or to rely on.
"""
import concurrent.futures
import dataclasses
import os
import re

from harness import CHAINED, CHECKED, Answer, Skip, require

LEVELS = ("must", "should", "libcni")
REQUIRED = ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME")
CONTAINERD = ("K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=1-2;IgnoreUnknown=1;"
              "K8S_POD_NAME=web;K8S_POD_NAMESPACE=default")
_all = []


@dataclasses.dataclass
class Case:
    level: str
    ref: str
    title: str
    body: object
    version: str = ""

    @property
    def line(self):
        return f"{self.title}{' (' + self.version + ')' if self.version else ''} [{self.level}: {self.ref}]"

    def run(self, suite):
        self.body(suite, self.version) if self.version else self.body(suite)


def case(level, ref, title, versions=None):
    """versions: once for each of these that the plugin offers."""
    def add(body):
        _all.append((level, ref, title, body, versions))
        return body
    return add


def every(offered):
    for level, ref, title, body, versions in _all:
        for version in [v for v in versions if v in offered] if versions else [""]:
            yield Case(level, ref, title, body, version)


# ---- VERSION, and how errors look ----

@case("must", "§5 VERSION", "VERSION answers the cniVersion it was asked with", CHAINED)
def _(s, version):
    got = s.call("VERSION", {"cniVersion": version}, only=("CNI_COMMAND",)).result()
    require(got.get("cniVersion") == version, f"answers {got.get('cniVersion')}")


@case("must", "§5 VERSION", "VERSION lists versions, as strings, each once")
def _(s):
    got = s.call("VERSION", {"cniVersion": s.newest}, only=("CNI_COMMAND",)).result()["supportedVersions"]
    require(all(re.fullmatch(r"\d+\.\d+\.\d+", v) for v in got) and len(set(got)) == len(got), f"{got}")


@case("libcni", "podman", "VERSION does not mind dummy variables")
def _(s):
    s.call("VERSION", {"cniVersion": s.newest}, CNI_NETNS="dummy", CNI_IFNAME="dummy", CNI_PATH="dummy").result()


@case("libcni", "skel", "VERSION can be asked without anything on stdin")
def _(s):
    s.call("VERSION", b"", only=("CNI_COMMAND",)).result()


@case("libcni", "skel", "without CNI_COMMAND: exit 0, nothing on stdout")
def _(s):
    s.call("", b"", only=()).silent()


@case("must", "§5 Error", "an unknown CNI_COMMAND is code 4 and named")
def _(s):
    s.call("NOPE", s.conf(), s.pod()).error(4, ["CNI_COMMAND"])


@case("should", "§5 Error", "an error holds the cniVersion in use", CHAINED)
def _(s, version):
    pod = s.pod()
    got = s.call("ADD", s.conf(pod, version, name="a/b"), pod).error()
    require(got.get("cniVersion") == version, f"holds {got.get('cniVersion')}")


@case("libcni", "libcni pluginErr", "an error stands on stdout alone, exit code 1")
def _(s):
    pod = s.pod()
    answer = s.call("ADD", s.conf(pod, name=None), pod)
    answer.error()
    require(answer.rc == 1, f"exit {answer.rc}")


@case("should", "§5 Error", "JSON that is none is code 6")
def _(s):
    pod = s.pod()
    for text in (b"{", b'{"cniVersion":"1.0.0",,}', b"", b"[]", b"\xff\xfe"):
        s.call("ADD", text, pod).error(6)


@case("should", "§5 Error", "a cniVersion that is no string is code 6")
def _(s):
    pod = s.pod()
    s.call("ADD", s.conf(pod, cniVersion=7), pod).error(6)


@case("should", "§5 Error", "stdin that cannot be read is code 5")
def _(s):
    folder = os.open("/", os.O_RDONLY)
    try:
        s.call("ADD", b"", s.pod(), stdin=folder).error(5)
    finally:
        os.close(folder)


@case("should", "§5 Error", "a version nobody offers is code 1")
def _(s):
    pod = s.pod()
    s.call("ADD", s.conf(pod, cniVersion="9.9.9"), pod).error(1)


@case("libcni", "skel", "a version without CHECK is code 1 for CHECK", CHAINED[:2])
def _(s, version):
    pod = s.pod()
    s.add(pod, version)
    s.check(pod, version).error(1)


# ---- variables ----

@case("must", "§5 Error", "each missing variable is code 4 and named")
def _(s):
    pod = s.pod()
    for verb, names in (("ADD", REQUIRED), ("CHECK", REQUIRED), ("DEL", (REQUIRED[0], REQUIRED[2]))):
        for name in names:
            s.call(verb, s.conf(pod), pod, **{name: None}).error(4, [name])
            s.call(verb, s.conf(pod), pod, **{name: ""}).error(4, [name])


@case("must", "§5 Error", "all missing variables are named at once")
def _(s):
    s.call("ADD", s.conf(s.pod()), only=("CNI_COMMAND",)).error(4, REQUIRED)


@case("must", "§2 Parameters", "a container id outside the alphabet is code 4 and named")
def _(s):
    pod = s.pod()
    for bad in ("a/b", "-a", ".a", "_a", "a b", "../a", "ä"):
        s.call("ADD", s.conf(pod), pod, CNI_CONTAINERID=bad).error(4, ["containerid"])


@case("libcni", "skel", "an interface name the kernel would refuse is code 4 and named")
def _(s):
    pod = s.pod()
    for bad in (".", "..", "a/b", "a:b", "a b", "a\tb", "sixteen-letters-"):
        s.call("ADD", s.conf(pod), pod, CNI_IFNAME=bad).error(4)


@case("must", "§2 ADD, DEL, CHECK", "CNI_PATH and CNI_ARGS are optional")
def _(s):
    pod = s.pod()
    for verb in ("ADD", "CHECK", "DEL") if s.newest in CHECKED else ("ADD", "DEL"):
        s.call(verb, s.conf(pod), pod, CNI_PATH=None, CNI_ARGS=None).good()


@case("libcni", "skel", "CNI_NETNS equal to the plugin's own is code 8")
def _(s):
    pod = s.pod()
    s.call("ADD", s.conf(pod), pod, CNI_NETNS=s.own, CNI_IFNAME=pod.host).error(8)


@case("libcni", "damage", "CNI_NETNS equal to the plugin's own is refused before anything is done")
def _(s):
    pod = s.pod()
    s.add(pod)
    s.delete(pod)
    before = s.observe(pod)
    s.call("ADD", s.conf(pod), pod, CNI_NETNS=s.own, CNI_IFNAME=pod.host).error()
    require(s.observe(pod) == before, "something has changed in the node")


@case("libcni", "skel", "CNI_NETNS_OVERRIDE allows the plugin's own CNI_NETNS")
def _(s):
    pod = s.pod()
    names = {"CNI_NETNS": s.own, "CNI_IFNAME": pod.host}
    if s.call("ADD", s.conf(pod), pod, **names).rc == 0:
        raise Skip("it is not refused without it")
    for yes in ("1", "true"):
        answer = s.call("ADD", s.conf(pod), pod, CNI_NETNS_OVERRIDE=yes, **names)
        require(answer.rc == 0 or answer.json().get("code") != 8, str(answer))
        s.call("DEL", s.conf(pod), pod, CNI_NETNS_OVERRIDE=yes, **names).silent()


@case("libcni", "containerd, podman", "CNI_ARGS as runtimes send them, in any order")
def _(s):
    for args in (CONTAINERD, ";".join(reversed(CONTAINERD.split(";"))), "IgnoreUnknown=1;K8S_POD_NAME=c1"):
        pod = s.pod()
        s.call("ADD", s.conf(pod), pod, CNI_ARGS=args).result()
        s.call("DEL", s.conf(pod), pod, CNI_ARGS=args).silent()


# ---- the network configuration ----

@case("should", "§1, §5 Error", "a missing or forbidden network name is code 7")
def _(s):
    pod = s.pod()
    for bad in (None, "", "a/b", "../a", "-a", "a b"):
        s.call("ADD", s.conf(pod, name=bad), pod).error(7)


@case("libcni", "libcni", "keys nobody knows, capabilities and cni.dev/ keys are let be")
def _(s):
    pod = s.pod()
    more = {"x-nobody": {"a": [1, None]}, "capabilities": {"portMappings": True, "dns": True},
            "cni.dev/x": 1, "args": {"cni": {"x-nobody": ["y"]}}}
    s.add(pod, **more)
    s.delete(pod, **more)


@case("libcni", "Go decoders", "keys are matched in any case")
def _(s):
    pod = s.pod()
    prev = pod.prev(s.newest)
    conf = {("CNIVersion" if k == "cniVersion" else "Name" if k == "name" else k): v
            for k, v in s.conf().items()}
    odd = {{"cniVersion": "CNIVersion", "interfaces": "Interfaces", "ips": "IPs"}.get(k, k): v
           for k, v in prev.items()}
    conf["PrevResult"] = odd
    got = s.call("ADD", conf, pod).result()
    require(got.get("cniVersion") == s.newest, f"cniVersion is {got.get('cniVersion')}")
    low = {key.lower(): value for key, value in got.items()}
    require([i["name"] for i in low.get("interfaces", [])][:2] == [i["name"] for i in prev["interfaces"]],
            f"interfaces are lost: {got}")


@case("libcni", "containerd, CRI-O", "200 KB of annotations, JSON inside JSON strings")
def _(s):
    pod = s.pod()
    text = '{"kind":"Pod","x":"' + "é\\n\\\"" * 40000 + '"}'
    run = {**s.extra.get("runtimeConfig", {}), "io.kubernetes.cri.pod-annotations": {"last-applied": text}}
    s.add(pod, runtimeConfig=run)
    s.delete(pod, runtimeConfig=run)


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
