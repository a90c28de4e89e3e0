#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long after the API's word is a pod's policy another one in the kernel?

labelwatch.py KUBECONFIG PATH MAP INTERFACE ROUNDS PATCH PATCH

Writes the one and the other merge patch in turn and looks, each millisecond, at the interface's
element of the pinned map "pods" until it has another policy. Prints the best and the median of the
milliseconds since the API's answer, and since the request.
"""
import ctypes
import os
import platform
import statistics
import struct
import sys
import time

sys.dont_write_bytecode = True
import kube  # noqa: E402

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
LOOKUP, GET = 1, 7  # BPF_MAP_LOOKUP_ELEM, BPF_OBJ_GET
PATIENCE = 30


class Pod:
    def __init__(self, path, interface):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.key, self.value = ctypes.c_uint32(interface), ctypes.create_string_buffer(4096)
        name = ctypes.c_char_p(os.fsencode(path))
        self.fd = self.bpf(GET, struct.pack("QII", ctypes.cast(name, ctypes.c_void_p).value, 0, 0))

    def bpf(self, command, attributes):
        done = self.libc.syscall(SYS_BPF, command, ctypes.c_char_p(attributes), len(attributes))
        if done < 0:
            raise OSError(ctypes.get_errno(), "bpf")
        return done

    def policy(self):
        self.bpf(LOOKUP, struct.pack("IIQQQ", self.fd, 0, ctypes.addressof(self.key), ctypes.addressof(self.value), 0))
        return struct.unpack_from("I", self.value)[0]


def main():
    kubeconfig, path, pin, interface, rounds, *patches = sys.argv[1:]
    api, pod = kube.Api(kubeconfig), Pod(pin, int(interface))
    since_answer, since_request = [], []
    for n in range(int(rounds)):
        before, asked = pod.policy(), time.monotonic()
        status, answer = api.ask("PATCH", path, patches[n % 2], "application/merge-patch+json")
        if status != 200:
            raise SystemExit(f"{path}: {status} {answer.get('message')}")
        answered = time.monotonic()
        while pod.policy() == before:
            if time.monotonic() - answered > PATIENCE:
                raise SystemExit(f"{path}: {patches[n % 2]} does not reach the kernel")
            time.sleep(0.001)
        since_answer.append((time.monotonic() - answered) * 1000)
        since_request.append((time.monotonic() - asked) * 1000)
        time.sleep(0.3)  # each a burst of its own
    print(*(f"{of(times):.0f}" for times in (since_answer, since_request) for of in (min, statistics.median)))


main()
