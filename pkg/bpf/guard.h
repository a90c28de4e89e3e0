/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The exit guard beside nftables: slu_exit (guard.bpf.c) at netfilter's hook postrouting, for
 * both families, in the calling thread's network namespace. Its links are pinned beside the maps
 * as "exit_v4_<build>" and "exit_v6_<build>", so it stands while nobody runs, and nothing that is
 * done to nftables takes it away; removing the pins does. Needs Linux 6.4 with
 * CONFIG_NETFILTER_BPF_LINK and BTF.
 */
#include "base/err.h"

struct bpf_pins;

enum guard_state {
	GUARD_IN_FORCE,
	GUARD_MISSING,	   /* not there, another build's, or one family's alone */
	GUARD_UNSUPPORTED, /* by this kernel: nftables guards alone */
};

/* Changes nothing. */
int bpf_guard_look(struct bpf_pins *p, enum guard_state *ret, struct err *e);
/*
 * Puts it in force; one that is there already, or another build's, goes when the new one stands.
 * It looks into the maps that are pinned, which must be filled. 1: this kernel does not take it.
 */
int bpf_guard_apply(struct bpf_pins *p, struct err *e);
