/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One file per attachment (container id + ifname) in stateDir/attachments: what
 * ADD did, written before the kernel is touched, so that DEL, GC and the daemon
 * can undo or finish it after a kill at any instruction. JSON, "version": 1; a
 * newer version is refused (-EPROTO) and left alone.
 * Struct ↔ bytes only; journal.h does the files.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "inet/addr.h"

#define RECORD_MAX_ADDRS 8

enum attach_kind {
	ATTACH_VETH,
	ATTACH_MACVLAN,
	ATTACH_NONE, /* nothing to attach to: ungoverned */
};

struct record {
	char *container_id, *ifname, *network;
	char *netns;	   /* path as given */
	uint64_t netns_id; /* inode */
	char *namespace, *pod, *uid;
	char *labels; /* JSON object text of labels that came with the ADD, NULL = none came */
	enum attach_kind kind;
	uint32_t ifindex; /* host side veth, or the macvlan's parent */
	char host_ifname[16];
	uint8_t mac[6]; /* of the pod's interface */
	struct addr addrs[RECORD_MAX_ADDRS];
	uint8_t prefix_lens[RECORD_MAX_ADDRS]; /* of addrs, as people write them; 0 = not said */
	size_t n_addrs;
	uint32_t policy; /* id at ADD */
	uint32_t audit;	 /* the same of what its policies in mode Audit would make; 0 = none */
	uint64_t key;	 /* binding.key at ADD */
	uint32_t spread;
	uint32_t flags; /* SLU_POD_* */
	char *boot_id;
	int64_t added_at; /* seconds since the epoch */
};

void record_free(struct record *r);
DEFINE_CLEANUP(struct record *, record_free);
char *record_emit(const struct record *r); /* malloc'd JSON */
/* 0 with the caller's *ret; -EPROTO: of a newer version; -EINVAL: no record. */
int record_parse(const char *text, size_t len, struct record **ret, struct err *e);
