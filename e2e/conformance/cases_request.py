"""VERSION, errors, variables, the network configuration: how a plugin is spoken to."""
import os
import re

from cases import case
from harness import CHAINED, CHECKED, Skip, require

REQUIRED = ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME")
CONTAINERD = ("K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=1-2;IgnoreUnknown=1;"
              "K8S_POD_NAME=web;K8S_POD_NAMESPACE=default")


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


@case("libcni", "libcni", "no cniVersion, or an empty one, is 0.1.0, and code 1 where that is not offered")
def _(s):
    if "0.1.0" in s.offered:
        raise Skip("offers 0.1.0, which has no chains")
    pod = s.pod()
    for none in (None, ""):
        s.call("ADD", s.conf(pod, cniVersion=none), pod).error(1)


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
