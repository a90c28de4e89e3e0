/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where a BPF program meets a device. TCX (6.6 and later): attached by program
 * fd at the head of the list, so it lives and dies with the device and nothing
 * stands before it. Else clsact with our fixed handle and priority (bpf_tc_*):
 * then somebody's earlier filter that redirects would take the packets first,
 * so attach looks and refuses.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum tc_dir { TC_DIR_INGRESS, TC_DIR_EGRESS };
enum tc_mode { TC_MODE_AUTO, TC_MODE_TCX, TC_MODE_CLSACT }; /* AUTO: TCX where the kernel has it */

#define TC_HANDLE   0x534cu
#define TC_PRIORITY 1u

struct tc_state {
	bool attached;	   /* our program (same id) is there */
	bool other_ours;   /* one of our name, other id (older version) */
	bool reached;	   /* and nothing before it can take the packet */
	enum tc_mode mode; /* where it was found */
	uint32_t prog_id;
};

/* TCX if the running kernel can do it (probed until it answers), else CLSACT. */
enum tc_mode tc_mode_detect(void);
/* Not an error that a system call has: a map that is busy is no stranger's program. */
#define TC_UNREACHED ENOTUNIQ

/* Idempotent; replaces an older one of ours without a gap. -TC_UNREACHED with a text when something
 * before it would take the packets. */
int tc_attach(uint32_t ifindex, enum tc_dir dir, enum tc_mode mode, int prog_fd, struct err *e);
/* Removes ours (any program whose name is prog_name), nobody else's, and never a qdisc. Gone
 * already = 0. */
int tc_detach(uint32_t ifindex, enum tc_dir dir, const char *prog_name, struct err *e);
int tc_query(uint32_t ifindex, enum tc_dir dir, uint32_t prog_id, const char *prog_name,
	     struct tc_state *ret, struct err *e);
