/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * All programs in one object: they share the maps, and the loader pins or
 * replaces them together. slu_from_pod and slu_to_pod (pods' veths), slu_to_tunnel and
 * slu_from_tunnel (sluice0), slu_macvlan_out and slu_macvlan_in (macvlan parents).
 *
 * Verdicts for tc: SHOT drops, UNSPEC goes on to whoever else filters here;
 * never OK, which would end the list before others' programs had their look.
 */
#include "bpf/dns_tcp.bpf.h"
#include "bpf/from_pod.bpf.h"
#include "bpf/macvlan.bpf.h"
#include "bpf/tunnel.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
