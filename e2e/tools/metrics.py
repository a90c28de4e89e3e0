#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What Prometheus makes of /metrics, by its own parser, and hostile clients of the port.

metrics.py get URL                  checks the text, prints "NAME{LABEL=VALUE,…} NUMBER" lines
metrics.py families URL             names of families, one a line, in their order
metrics.py attack ADDRESS PORT      slow heads, a head of 1 MB, 100 connections at once, answers nobody reads
"""
import socket
import sys
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

SECONDS = 60  # a busy machine


def load(url):
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", answer.headers
        return list(text_string_to_metric_families(answer.read().decode()))


def get(url):
    seen, names = set(), set()
    for family in load(url):
        assert family.name not in names, f"{family.name} twice"
        assert family.type in ("counter", "gauge") and family.documentation and family.samples, family.name
        names.add(family.name)
        for sample in family.samples:
            line = sample.name + "".join(sorted(f",{k}={v}" for k, v in sample.labels.items()))
            assert line not in seen, f"{line} twice"
            assert family.type != "counter" or sample.value >= 0, line
            seen.add(line)
            labels = ",".join(f"{k}={v}" for k, v in sample.labels.items())
            print(f"{sample.name}{{{labels}}} {sample.value:.15g}")


def families(url):
    for family in load(url):
        print(family.name + ("_total" if family.type == "counter" else ""))


def connect(where, data):
    client = socket.create_connection(where, timeout=SECONDS)
    client.sendall(data)
    return client


def attack(where):
    clients = [connect(where, b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Slow: ") for _ in range(100)]
    try:
        clients.append(connect(where, b"GET /metrics HTTP/1.1\r\nX: " + (1 << 20) * b"x"))
    except OSError as error:  # it may be closed before all is sent
        print(f"1 MB: {error}")
    for _ in range(200):
        clients.append(connect(where, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 3))
        clients.pop().close()
    for client in clients[::2]:
        try:
            client.sendall(b"x")
        except OSError:
            pass
    return clients


def main():
    if sys.argv[1] == "attack":
        clients = attack((sys.argv[2], int(sys.argv[3])))
        print(f"{len(clients)} connections", flush=True)
        sys.stdin.read()  # they stay until the test has seen enough
        return
    {"get": get, "families": families}[sys.argv[1]](sys.argv[2])


if __name__ == "__main__":
    main()
