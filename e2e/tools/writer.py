#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a main CNI's configuration as others do, and worse.

writer.py STYLE DIR NAME TAG      once, in the way of one of STYLES; TAG is the network's name
writer.py hostile DIR N SEED      N times, each time in another way, then NAME 10-main.conflist, TAG "last"

A list has a tuning entry with a changing key, so that each is another one.
"""
import json
import os
import random
import shutil
import sys
import time


def text(tag, single=False, salt=0):
    plugins = [{"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"}, "salt": salt},
               {"type": "portmap", "capabilities": {"portMappings": True}}]
    if single:
        return json.dumps({"cniVersion": "1.0.0", "name": tag} | plugins[0])
    return json.dumps({"cniVersion": "0.4.0", "name": tag, "plugins": plugins}, indent=2)


def whole(path, data):
    with open(path, "w") as f:
        f.write(data)


def kindnetd(folder, name, data):
    """kind's: a temporary name, then rename."""
    whole(f"{folder}/{name}.temp", data)
    os.rename(f"{folder}/{name}.temp", f"{folder}/{name}")


def flannel(folder, name, data):
    """cp -f: opens the file that is there and truncates it."""
    whole(f"{folder}/.source", data)
    shutil.copyfile(f"{folder}/.source", f"{folder}/{name}")
    os.unlink(f"{folder}/.source")


def calico(folder, name, data, pause=0.02):
    """Not atomic at all: truncated, then written, by and by."""
    fd = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for part in (data[:len(data) // 3], data[len(data) // 3:]):
        time.sleep(pause)
        os.write(fd, part.encode())
    os.close(fd)


def cilium(folder, name, data):
    """The others are renamed, whoever they are, but for those that are not lists of a main CNI."""
    for other in os.listdir(folder):
        if other.endswith((".conf", ".conflist", ".json")) and other not in (name, "00-sluice.conflist"):
            os.rename(f"{folder}/{other}", f"{folder}/{other}.cilium_bak")
    kindnetd(folder, name, data)


def kindnet(folder, name, data):
    """sigs.k8s.io/kindnet: removed, then written."""
    if os.path.exists(f"{folder}/{name}"):
        os.unlink(f"{folder}/{name}")
    time.sleep(0.01)
    whole(f"{folder}/{name}", data)


def configmap(folder, name, data):
    """kubelet's volumes: a link through ..data, which is swapped."""
    version = f"..{time.monotonic_ns()}"
    os.mkdir(f"{folder}/{version}")
    whole(f"{folder}/{version}/{name}", data)
    os.symlink(version, f"{folder}/..data_tmp")
    os.rename(f"{folder}/..data_tmp", f"{folder}/..data")
    if not os.path.islink(f"{folder}/{name}"):
        os.symlink(f"..data/{name}", f"{folder}/.{name}.link")
        os.rename(f"{folder}/.{name}.link", f"{folder}/{name}")


def editor(folder, name, data):
    """A swap file, the old one kept beside, the new one moved in."""
    whole(f"{folder}/.{name}.swp", "swap")
    if os.path.exists(f"{folder}/{name}"):
        os.rename(f"{folder}/{name}", f"{folder}/{name}~")
    whole(f"{folder}/{name}", data)
    os.unlink(f"{folder}/.{name}.swp")


STYLES = [kindnetd, flannel, calico, cilium, kindnet, configmap, editor]


def gone(folder, name):
    for other in (name, f"{name}~", f"{name}.cilium_bak"):
        if os.path.lexists(f"{folder}/{other}"):
            os.unlink(f"{folder}/{other}")


def hostile(folder, times, seed):
    rnd = random.Random(seed)
    names = ["10-main.conflist", "10-main.conf", "20-other.conflist", "05-first.json"]
    broken = ["", "{", "[]", "null", "\x00\x01\xff", '{"name": "x", "plugins": []}', "[" * 100000]
    for i in range(times):
        name = rnd.choice(names)
        path = f"{folder}/{name}"
        what = rnd.randrange(8)
        data = text(f"net-{rnd.randrange(20)}", not name.endswith(".conflist"), i)
        if what < 3:
            rnd.choice(STYLES)(folder, name, data)
        elif what == 3:
            whole(path, rnd.choice(broken))
        elif what == 4:
            whole(path, data[:rnd.randrange(len(data))])
        elif what == 5:
            gone(folder, name)
        elif what == 6 and os.path.lexists(path):
            os.rename(path, f"{folder}/{rnd.choice(names)}")
        elif what == 7 and os.path.isfile(path):
            os.truncate(path, rnd.randrange(40))
        time.sleep(rnd.choice((0, 0, 0.001, 0.01, 0.06)))
    for name in names[1:]:
        gone(folder, name)
    kindnetd(folder, names[0], text("last"))


def main():
    what, folder = sys.argv[1:3]
    if what == "hostile":
        hostile(folder, int(sys.argv[3]), int(sys.argv[4]))
        return
    style = {f.__name__: f for f in STYLES}[what]
    style(folder, sys.argv[3], text(sys.argv[4], not sys.argv[3].endswith(".conflist")))


if __name__ == "__main__":
    main()
