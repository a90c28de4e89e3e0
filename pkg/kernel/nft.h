/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The tables "inet sluice" and "bridge sluice". Built by netlink (libmnl + libnftnl): nft 1.0.6
 * accepts some expressions that never match. The static part (chains, rules)
 * depends only on the mark mask and the port; what changes lives in sets and maps
 * and is changed element by element. Everything in one batch: all or nothing.
 *
 * Hooks (M = mark mask, ID = M without DIVERT; reasons by name, see drop_reasons.h). from_pod
 * has written into the priority of what kind a packet is (bpf/abi.h): LOCAL and TUNNEL have an
 * identity, RELEASE is CHECK, VERDICT a drop reason, SEEN nothing.
 *  prerouting -300  LOCAL: mark := mark & ~DIVERT, ct original zone := id; TUNNEL: zone :=
 *                   id + 1024; RELEASE, VERDICT: mark := mark & ~DIVERT. From sluice0 with
 *                   DIVERT: as LOCAL. So a connection of one identity (or of none) never has
 *                   another's binding
 *                   our VXLAN to a tunnel's end (udp dport PORT): notrack; what of it is not
 *                   for this host ends at postrouting
 *  prerouting, nat  (first packets only) LOCAL, TUNNEL: ct mark |= DIVERT (the connection has an
 *                   identity); VERDICT, REJECTED: as below, but of the address that was asked:
 *                   a reset to a bridge's port is not translated back (what is open and
 *                   rejected by an edit is made a first packet: reconcile/keep.c)
 *  prerouting -99   (behind translation; mangle at -150 may have set whole marks)
 *                   id >= 16, ct status dnat, original: daddr inside → mark := mark & ~M,
 *                     from what to what of a Service that was judged as this endpoint:
 *                     as without translation; else → SERVICE_OUTSIDE
 *                   from sluice0: ct direction original, id >= 16: vmap meta priority (node
 *                     index, set by from_tunnel) → chain that stores the index in ct mark;
 *                     reply: mark := mark & ~M; else → TUNNEL_STATE
 *                   ct direction reply: mark := mark & ~M; and on a gateway, if
 *                     ct mark & M != 0 and ct mark & DIVERT == 0: mark |= REPLY; accept
 *                   VERDICT: counted and dropped by its reason, or EXIT_SOURCE if somebody wrote
 *                     over it; REJECTED is answered (TCP reset, ICMP prohibited), 100 a second
 *                   RELEASE: Services as above; ICMP without a connection to the outside →
 *                     EXIT_SOURCE (an error about a connection with an identity); else
 *                     mark := mark & ~M
 *                   another priority, no mark: saddr a governed pod's, daddr outside →
 *                     UNJUDGED: somebody took from_pod off its interface; ct state invalid
 *                     and daddr a guarded egress address → INPUT_GUARD
 *  input, nat       (first packets only) daddr in guarded egress addresses → INPUT_GUARD
 *                   (neighbour discovery is untracked, ICMP errors are related: they pass)
 *  output -300      what to_tunnel sends (told by its priority): notrack
 *                   saddr a guarded egress address, sent by a process → EXIT_SOURCE
 *                   udp dport PORT: sent by a process (it has a uid) → FORGED_TUNNEL;
 *                   else (the kernel's own) notrack
 *  postrouting, nat (first packets only) id >= 16 without DIVERT: vmap mark & M → chains that
 *                   count what its source holds (nft_limits.c) → POD_LIMIT; DIVERT, to sluice0:
 *                   snat to itself; id >= 16 without DIVERT: snat to map[mark & M]. The
 *                   translation itself happens at 100, whatever the priority (-150): that only
 *                   decides whose rule is first
 *  postrouting +150 no mark, ct original, new or established, ct mark & M, daddr outside
 *                     → EXIT_SOURCE: another tool wrote the whole mark. (Related are
 *                     errors: the gateway's own, about answers, never had one)
 *                   udp dport PORT, daddr in tunnel ends (nodes, egress addresses), and not
 *                     encapsulated by sluice0 → FORGED_TUNNEL
 *                   id >= 16 without DIVERT: to sluice0 → EXIT_DEVICE; (mark & M . saddr) in
 *                     the set of addresses: accept
 *                   DIVERT, not to sluice0 → EXIT_DEVICE; id >= 16 → EXIT_SOURCE
 *                   REPLY, to sluice0: mark := node index from ct mark, behind the
 *                   guard, for an index looks like an id; no such node → TUNNEL_NO_ENTRY
 * And in table "bridge sluice", for pods on a bridge with an uplink among its ports:
 *  forward -200     marked, and not CHECK → BRIDGED: a frame that a bridge sends on by
 *                   itself meets none of the hooks above
 * The device is told by its group (SLU_DEVICE_GROUP), which costs a third of copying its name and
 * comparing it. Each reason has a named counter "r<number>".
 */
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "inet/addr.h"
#include "inet/cidr.h"

struct nft;

struct nft_address { /* an egress address owned here */
	uint32_t id;
	struct addr addr;
	bool guard; /* input guard: not for addressFrom */
};

/* What one pod may hold of an address at a time, by kind; 0: as much as there is. */
enum nft_limit_kind { NFT_CONNECTIONS, NFT_PORTS, NFT_LIMIT_KINDS };
struct nft_limit {
	uint32_t id;
	uint32_t most[NFT_LIMIT_KINDS];
	uint32_t before[NFT_LIMIT_KINDS]; /* holds, too, until the kernel has counted; 0: none */
};

/*
 * So many more of an address one pod may begin, beside what it had when the kernel began to
 * count under this serial. Two of a kind may hold at a time: a new one, until it is known to be
 * true, and the one before it.
 */
struct nft_room {
	struct addr pod;
	uint32_t id;
	uint32_t more, serial; /* serial: 1 to NFT_ROOM_SERIALS */
	enum nft_limit_kind kind;
	uint32_t slot; /* 0, 1 */
};
#define NFT_ROOM_SLOTS	 2
#define NFT_ROOM_SERIALS 99999

/* What of both is in force. */
struct nft_limits {
	struct nft_limit *limits;
	size_t n_limits;
	struct nft_room *rooms;
	size_t n_rooms;
};

/* A Service's address and port, and one of the endpoints outside that it is judged as. */
struct nft_service {
	struct addr addr, endpoint;
	uint16_t port, endpoint_port;
	uint8_t proto;
};

/* All lists sorted (address, id, prefix) and unique. */
struct nft_model {
	uint32_t mark_mask;
	uint16_t port;
	const struct nft_address *addresses;
	size_t n_addresses;
	const struct nft_limit *limits; /* of addresses that have any */
	size_t n_limits;
	const struct nft_room *rooms; /* in any order */
	size_t n_rooms;
	const uint32_t *nodes; /* node indexes */
	size_t n_nodes;
	const struct cidr *inside; /* both families, merged: no overlaps */
	size_t n_inside;
	const struct addr *tunnel_ends;
	size_t n_tunnel_ends;
	const struct addr *governed; /* addresses of this node's pods that policies select */
	size_t n_governed;
	const struct nft_service *services; /* in any order */
	size_t n_services;
};

/* A netlink socket in the calling thread's network namespace. 0 or -errno. */
int nft_open(struct nft **ret, struct err *e);
void nft_close(struct nft *n);

/*
 * Compares what the kernel holds with the model: 0 = equal, 1 = elements differ,
 * 2 = the table is missing or its static part is not what we would build.
 */
int nft_observe(struct nft *n, const struct nft_model *m, struct err *e);
/* The next nft_observe reads the kernel, even if its generation says that nothing has changed. */
void nft_forget(struct nft *n);
/*
 * Makes the kernel hold the model, with the least change and one transaction for each of the two
 * tables. Counters survive, unless the static part is rebuilt. 0 or -errno.
 */
int nft_apply(struct nft *n, const struct nft_model *m, struct err *e);
/* Counts how often the table was made anew by nft_apply: what the kernel counted is lost then. */
unsigned int nft_built(const struct nft *n);
/* The limits and rooms that are in force, malloc'd; without a table none. */
int nft_limits_load(struct nft *n, uint32_t mark_mask, struct nft_limits *ret, struct err *e);
void nft_limits_done(struct nft_limits *l);
/* Deletes these from the set, before the Services in it are judged otherwise; one that is not there
 * is no error. */
int nft_services_close(struct nft *n, const struct nft_service *list, size_t n_list, struct err *e);
int nft_delete(struct nft *n, struct err *e); /* uninstall; gone already = 0 */
/* packets and bytes by reason; arrays of SLU_REASON_MAX. Missing table = zeros, -ENOENT. */
struct nft_count {
	uint64_t packets, bytes;
};
int nft_counters(struct nft *n, struct nft_count *counts, struct err *e);
/* Base chains of others at hook forward whose policy is drop: first name into buf ("ip filter
 * FORWARD"), "" = none; but for Docker's where our rule stands before it (accepted: docker_user.h).
 */
int nft_forward_drop(struct nft *n, unsigned int accepted, char *buf, size_t len, struct err *e);
/* Non-blocking socket hearing nftables changes; nft_events_read as rtnl_events_read (1 = our table
 * or a forward policy was touched by somebody else's transaction). */
int nft_events_open(int *ret_fd, struct err *e);
int nft_events_read(int fd, uint32_t own_portid, struct err *e);
uint32_t nft_portid(const struct nft *n);
