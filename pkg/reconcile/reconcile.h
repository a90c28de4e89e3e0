/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps the kernel of this node true to the policies and the records: one pass looks
 * at everything and changes only the difference. `sluiced --once` is one pass (or a few,
 * while addresses are being probed); the daemon runs it on every event and each second.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "config/daemon_conf.h"
#include "json/json.h"

struct membership; /* reconcile/membership.h */
struct objects;	   /* reconcile/objects.h */
struct reconcile;

/* Opens everything, loads the programs if they are not there. conf is borrowed. */
int reconcile_new(const struct daemon_conf *conf, struct reconcile **ret, struct err *e);
void reconcile_free(struct reconcile *r);
DEFINE_CLEANUP(struct reconcile *, reconcile_free);

/*
 * One pass. 0 = the kernel is right; 1 = right so far, but run again soon (addresses to
 * probe); -errno = something is not, e says what first. What failed is tried again by
 * the next pass.
 */
int reconcile_pass(struct reconcile *r, struct err *e);
/* Forget what was remembered between passes: look at all of the kernel, read all files. */
void reconcile_forget(struct reconcile *r);
/* The store of an API's objects, for who hears the API; NULL: objects come from a folder. */
struct objects *reconcile_objects(struct reconcile *r);
/* From now on ms says which gateways live; borrowed. Call it before the first pass. */
void reconcile_join(struct reconcile *r, struct membership *ms);
/* After a pass: what this node now says of itself to the others. */
void reconcile_told(struct reconcile *r);
/* In how many ms the next address is to be probed again; at most `most`. */
int64_t reconcile_retry(const struct reconcile *r, int64_t most);
/* -EIO: the segment could not be asked for an address, the next try is due in a second. */
int reconcile_unasked(const struct reconcile *r, struct err *e);
/* Does what is due by time: announcements, connections to be forgotten. The ms until more is, -1 =
 * nothing is. */
int64_t reconcile_timers(struct reconcile *r);
/* When a schedule begins or ends to hold next, seconds since 1970; INT64_MAX = never. */
int64_t reconcile_edge(const struct reconcile *r);
/* The kernel told of a route, a link or an address that was changed. */
void reconcile_network_changed(struct reconcile *r);
/* The folder of records was written to: read it anew. */
void reconcile_records_changed(struct reconcile *r);
uint32_t reconcile_nft_portid(const struct reconcile *r); /* whose transactions are our own */

/* ---- the socket's questions: request → answer, never NULL ---- */
struct json *reconcile_resolve(struct reconcile *r, const struct json *request);
/* A resolve whose answer needs the labels of a pod that is not known: it is for the API to tell. */
bool reconcile_wants_pod(struct reconcile *r, const struct json *request);
struct json *reconcile_status(struct reconcile *r);
/* What pods of this node have of the addresses with limits, as of now or a second ago. */
struct json *reconcile_shares(struct reconcile *r);
struct json *reconcile_drain(struct reconcile *r, const struct json *request); /* {"on":true} */
/* A resolve made a program that no published snapshot knows: a pass is due. */
bool reconcile_unpublished(const struct reconcile *r);

/*
 * Removes everything of ours from the kernel: pods' programs, tables, rules, sluice0,
 * nft table, egress addresses, pins. State and records stay.
 */
int reconcile_cleanup(const struct daemon_conf *conf, struct err *e);
