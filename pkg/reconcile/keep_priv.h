/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Between keep_state.c (what is known from one pass to the next: pods' addresses, the map
 * "kept") and keep_apply.c (what is done with it).
 */
#include "reconcile/keep.h"
#include "reconcile/priv.h"

/* An address of a live pod. */
struct live {
	struct addr addr;
	uint64_t owner; /* which attachment */
	size_t pod;	/* index into reconcile.pods: this pass only */
	int64_t watch_until;
	/* A digest of who it appears as: as the kernel has it, and as this pass wants it; 0 = not
	 * known. */
	uint64_t identity, identity_next;
	uint64_t key, key_next; /* of its program, in the same way; 0 = none, or not known */
	bool shared;		/* two pods have it: whose connections, nobody knows */
	bool edited, stranger, look;
	bool governed; /* when this pass began, the kernel knew a policy for it */
	bool gap;      /* our table was found gone, or not ours, and nobody has looked since */
	bool rejects;  /* an edit made it reject what may be open through a Service */
};

struct keep {
	bool loaded;
	struct live *live; /* sorted by address, unique */
	size_t n_live;
	struct kept *kept; /* what the map holds, sorted */
	size_t n_kept;
	/* A digest of the Services that lead outside: as the kernel has them (0 = not known), and
	 * as this pass wants them. */
	uint64_t services, services_next;
	int64_t check_at;
	unsigned int built; /* nft_built, when it was looked at */
	bool trouble;	    /* said already */
};

struct live *keep_live_find(const struct keep *k, struct addr a);
/* The pods of this pass; connections of addresses that nobody has any more are forgotten. */
void keep_live_refresh(struct keep *k, struct reconcile *r);
bool keep_pod_counts(const struct pod *p);

bool keep_has(const struct keep *k, struct addr a);
bool keep_knows(const struct keep *k, const struct kept *e); /* the connection, and as whom */
int keep_map_load(struct keep *k, const struct reconcile *r);
/* Entries for which stays() is false leave the map; one that cannot be deleted is tried again. */
void keep_map_prune(struct keep *k, const struct reconcile *r,
		    bool (*stays)(const struct kept *e, const void *data), const void *data);
void keep_map_add(struct keep *k, const struct reconcile *r, const struct kept *list, size_t n);

/* Said once, until conntrack has answered again. */
void keep_trouble(struct keep *k, const char *what, const struct err *e);
