/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who of a gateway's nodes lives, as one of them sees it. PURE: time and packets are passed
 * in, what is to be sent comes out. Time is in milliseconds of any clock that only runs forward.
 *
 * Each node sends each other one a heartbeat every interval. One that was not heard `missed`
 * intervals long is away. Packets of an attacker prove nothing: their incarnation and sequence
 * must grow, and each echoes what its sender has last had from us; only one that echoes our own
 * present incarnation, and not from long ago, counts. So a replayed packet is worth nothing, not
 * even to who was just started, and two nodes live for each other only if both directions work.
 * A node whose clock went back over a restart learns its earlier incarnation from the echoes.
 *
 * A node says of itself whether it takes its addresses (LIVE) or is only there (JOINING).
 * Others go by that, so that all change their minds within a heartbeat. It joins
 *   - when it starts without addresses, until it had time to hear who is there;
 *   - when one whom it hears again holds addresses that are at home here (TAKEN): it was away,
 *     and lets go what it may have itself. Once all hear it again, and its hold-down is over, it
 *     is LIVE, and they let go. (From one whom it heard all the time an edit or a drain took the
 *     address, and that one hands it over: nobody joins.)
 * One whose own Node is not ready (doubted) goes on joining while it hears one that is LIVE: it
 * keeps what it has, but takes nothing back. What others think of that does not matter.
 * A node that is DRAINED is like one that joins, for as long as that lasts.
 * A node with addresses on an interface without carrier is BLIND, and none of the owners.
 *
 * What is not decided here: before an address is claimed it is asked for on the segment. Who
 * answers lives, whatever its heartbeats say, and keeps it.
 *
 * The bound: once all packets arrive within d, and no daemon is down, an address has two owners
 * for at most (missed + 3) intervals + 3d, and the time that a pass takes. It is without one,
 * while somebody sees the segment, for at most twice that, a probe and its pause. Who can hold
 * back packets and deliver them later makes a dead node live for 2 * missed intervals more.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "gateway/heartbeat.h"
#include "policy/rank.h"

#define MEMBERS_MAX 256 /* of a node: beyond that, heartbeats of all with all cost too much */

struct members;

/* Names are copied. The list has the node itself; the order does not matter. */
struct member_conf {
	const char *name;
	uint32_t interval_ms, hold_down_ms;
	uint8_t missed;
};

/* What a node says of itself, beside what the protocol knows. */
struct members_self {
	bool blind;   /* an interface for addresses has no carrier */
	bool holds;   /* it has addresses: at the start, those of a daemon before */
	bool drained; /* it is to have none where another node may have them */
	bool doubted; /* it is to take none while another node may have them */
	uint64_t time_ms, config;
	uint8_t n_macs;
	uint8_t macs[HEARTBEAT_MACS][6];
};

enum members_fate {
	MEMBERS_TAKEN_IN,
	MEMBERS_STRANGER,  /* from or for nobody of the list */
	MEMBERS_REPLAYED,  /* an incarnation or sequence that was there before */
	MEMBERS_UNPROVEN,  /* it does not echo us: the first ones of a start, or a replay */
	MEMBERS_GARBAGE,   /* what heartbeat_parse refused: for who counts */
	MEMBERS_WRONG_KEY, /* the same */
	MEMBERS_FATES,
};

/* incarnation: of this start; milliseconds of the wall clock are good. */
struct members *members_new(uint64_t incarnation, const struct members_self *self, int64_t now);
void members_free(struct members *m);
DEFINE_CLEANUP(struct members *, members_free);

/*
 * Which nodes there are, by the objects; what is known of one that was there before is kept.
 * -E2BIG: more than MEMBERS_MAX; then there is no peer at all.
 */
int members_configure(struct members *m, const char *self, const struct member_conf *list, size_t n,
		      int64_t now);
void members_set_self(struct members *m, const struct members_self *self, int64_t now);
/* Whether this node holds addresses whose home is that peer (flag HEARTBEAT_TAKEN). */
void members_set_taken(struct members *m, const char *name, bool taken);

enum members_fate members_receive(struct members *m, const struct heartbeat *h, int64_t now);
/* Lets time pass: peers that were not heard for too long are away, those back long enough live. */
void members_tick(struct members *m, int64_t now);
/* The next packet that is due, and for whom; false = none is. */
bool members_send(struct members *m, int64_t now, size_t *ret_peer, struct heartbeat *ret);
/* When to call members_tick and members_send at the latest, INT64_MAX = never. */
int64_t members_due(const struct members *m, int64_t now);

/* ---- what is known; peers by name, without this node ---- */
struct member_view {
	const char *name;
	uint8_t tier;  /* enum rank_tier */
	bool heard;    /* within its time */
	uint8_t state; /* enum heartbeat_state, as it says; 0: it is not heard */
	bool drained;
	bool agrees;		 /* its digest of the addresses is ours */
	int64_t heard_at, since; /* -1 = never; of this tier */
	int64_t clock_off_ms;	 /* its wall clock minus ours, when it was heard last */
	uint8_t n_macs;
	uint8_t macs[HEARTBEAT_MACS][6];
	uint64_t key; /* that it was heard under last, as heartbeats say; 0 = never */
};
void members_get(const struct members *m, size_t i, struct member_view *ret);
/* Of this node: LIVE also without any peer. */
uint8_t members_self_tier(const struct members *m);
uint8_t members_self_state(const struct members *m); /* enum heartbeat_state */
/* Counts up when a tier changes, this node's own included. */
uint64_t members_serial(const struct members *m);
/* Enough time has passed since the start to have heard every peer; until then nothing new may be
 * claimed. */
bool members_settled(const struct members *m);
/* There are peers, and none is heard: is it them, or are we cut off? */
bool members_alone(const struct members *m);
