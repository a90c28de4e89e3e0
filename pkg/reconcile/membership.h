/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * This node among the gateways: heartbeats over UDP (gateway/members.h says what they mean),
 * who lives by them, and what that decides of claims. Without a key there is none, and objects
 * alone say who owns what.
 */
#include "base/cleanup.h"
#include "config/daemon_conf.h"
#include "gateway/channel.h"
#include "gateway/heartbeat.h"
#include "gateway/members.h"
#include "json/json.h"
#include "loop/loop.h"
#include "policy/compile.h"
#include "reconcile/node.h"

struct membership;

struct membership_in {
	struct loop *loop; /* NULL: a run of --once, which hears nobody */
	const struct daemon_conf *conf;
	void (*changed)(void *data); /* who lives is another: a pass is due, at once */
	void *data;
};

int membership_new(const struct membership_in *in, struct membership **ret, struct err *e);
void membership_free(struct membership *ms);
DEFINE_CLEANUP(struct membership *, membership_free);
/* What channels to other gateways are opened with; valid as long as ms. */
struct channel_keys membership_keys(struct membership *ms);
/* Reads gatewayKeyFile anew. */
void membership_keys_read(struct membership *ms);
/* Why keys of before are still in use, NULL: they are not. */
const char *membership_keys_problem(const struct membership *ms);

/* ---- in a pass; all but run may be asked of NULL: everybody lives ---- */

/* Who the peers of self are, as compiled. True: the view changed by it, compile again. */
bool membership_configure(struct membership *ms, const struct compiled *c, const char *self,
			  const struct node_state *node);
/* Fills in who lives, and what is kept until that is known; valid until the next call. */
void membership_view(struct membership *ms, const struct node_state *node, struct node_view *ret);
/* Counts up when membership_view would say something else. */
uint64_t membership_serial(const struct membership *ms);
/* May an address be claimed that is not on its interface? */
bool membership_settled(const struct membership *ms);
/* No peer is heard: only who sees the segment may claim. */
bool membership_alone(const struct membership *ms);
/* Counts up when a peer is heard that was away: what is held is announced again. */
uint64_t membership_returns(const struct membership *ms);
/* The node that answers with that MAC, NULL = none of the peers; *ret_heard: its daemon, too. */
const char *membership_mac(const struct membership *ms, const uint8_t mac[6], bool *ret_heard);
/* A peer that is not heard, or that is only just there: it has nothing to hand over. */
bool membership_gone(const struct membership *ms, const char *node);
/* A peer that is heard, and only just there. */
bool membership_joining(const struct membership *ms, const char *node);
/* A peer that was heard, and is not any more. */
bool membership_silent(const struct membership *ms, const char *node);
/* When a peer that is gone was heard last (clock_ms); -1: it is not gone, or never was heard. */
int64_t membership_lost(const struct membership *ms, const char *node);
/* Reads what has come, sends what is due. */
void membership_run(struct membership *ms);
/* It is to own nothing that another gateway may (drain.h). */
void membership_drain(struct membership *ms, bool drained);
/* What the kernel holds after a pass. */
void membership_holds(struct membership *ms, const struct compiled *c,
		      const struct node_state *node);

struct json *membership_status(const struct membership *ms);

#define MEMBERSHIP_STATES (HEARTBEAT_DRAINED + 1) /* enum heartbeat_state; 0: it is not heard */
struct membership_counts {
	uint64_t sent, fates[MEMBERS_FATES]; /* packets */
	size_t states[MEMBERSHIP_STATES];    /* peers */
};
void membership_counts(const struct membership *ms, struct membership_counts *ret);
const char *membership_state_text(uint8_t state);	  /* "Away", "Live" … */
const char *membership_fate_text(enum members_fate fate); /* "accepted", "strangers" … */
