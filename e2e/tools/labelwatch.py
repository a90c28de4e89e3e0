#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long after the API's word is a pod's policy another one in the kernel?

labelwatch.py KUBECONFIG PATH MAP INTERFACE ROUNDS PATCH PATCH

Writes the one and the other merge patch in turn and looks, each millisecond, at the interface's
element of the pinned map "pods" until it has another policy. Prints the best and the median of the
milliseconds since the API's answer, and since the request.
"""
import statistics
import sys
import time

sys.dont_write_bytecode = True
import bpfmap  # noqa: E402
import kube  # noqa: E402

PATIENCE = 30


def main():
    kubeconfig, path, pin, interface, rounds, *patches = sys.argv[1:]
    api, pods, interface = kube.Api(kubeconfig), bpfmap.Map(pin), int(interface)
    since_answer, since_request = [], []
    for n in range(int(rounds)):
        before, asked = pods.number(interface), time.monotonic()
        status, answer = api.ask("PATCH", path, patches[n % 2], "application/merge-patch+json")
        if status != 200:
            raise SystemExit(f"{path}: {status} {answer.get('message')}")
        answered = time.monotonic()
        while pods.number(interface) == before:
            if time.monotonic() - answered > PATIENCE:
                raise SystemExit(f"{path}: {patches[n % 2]} does not reach the kernel")
            time.sleep(0.001)
        since_answer.append((time.monotonic() - answered) * 1000)
        since_request.append((time.monotonic() - asked) * 1000)
        time.sleep(0.3)  # each a burst of its own
    print(*(f"{of(times):.0f}" for times in (since_answer, since_request) for of in (min, statistics.median)))


main()
