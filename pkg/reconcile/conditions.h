/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What objects of an API are told of themselves, as status: computed from what is in force,
 * compared with what is written there. PURE.
 *
 *	policies	Accepted (Invalid, NotPermitted, MissingGateway, Conflict, TooManyNames,
 *			MissingDestination), Ready (NotAccepted, NoOwner, MissingService)
 *	gateways	Accepted (Invalid, Conflict), AddressAssigned, Ready
 *	others		Accepted (Invalid)
 *
 * A condition is written again only when it says something else; lastTransitionTime stays
 * until its status changes.
 */
#include <stdbool.h>
#include <stdint.h>

#include "policy/compile.h"
#include "reconcile/objects.h"
#include "reconcile/tenure.h"

struct json;

struct condition {
	const char *type, *reason;
	bool yes;
	char *message;
};

#define CONDITIONS_MAX 3
struct conditions {
	struct condition list[CONDITIONS_MAX];
	size_t n;
	struct json *summary; /* of a gateway; else NULL */
};

void conditions_of(enum collection c, const struct object *obj, const struct doc_set *set,
		   const struct compiled *compiled, struct conditions *ret);
void conditions_done(struct conditions *c);

/*
 * The status to apply: observedGeneration, conditions and summary. NULL when there, as JSON text or
 * NULL, says the same. now: "2026-01-31T09:00:00Z".
 */
struct json *conditions_status(const struct conditions *want, int64_t generation, const char *there,
			       const char *now);

/* ---- EgressGateway.status.addresses: each owner tells of its own ---- */

struct address_told {
	struct addr addr;
	bool announced;
	uint64_t connections, ports; /* when they were last counted */
	const char *also;	     /* the node that has it, too, and lets go; NULL: none */
};
struct addresses_told {
	const struct address_told *list;
	size_t n;
	const struct takeover *last; /* of this node; NULL: none */
};
/*
 * The addresses that node has of a gateway, to be applied in the node's name, and lastFailover
 * if nobody has told of a later one. NULL when there says the same of this node: nothing of it
 * when n is 0. What connections come to is written with other news, or when ports get scarce.
 */
struct json *addresses_status(const struct addresses_told *told, const char *node,
			      const char *there, const char *now);
/* The addresses that a says of the node and b does not. */
size_t addresses_beyond(const struct json *a, const struct json *b, const char *node, char ***ret);
void addresses_beyond_done(char **list, size_t n);

/* ---- EgressGateway.status, by the holder of the Lease: gateway_status.c ---- */

/* {"addresses": "203.0.113.10,203.0.113.16/28", "nodes": "gw1,gw2"}: columns for people; NULL:
 * none. */
struct json *gateway_summary(const struct object *obj);
/* The node is there, and the address is one of the gateway's. */
typedef bool gateway_lives_fn(void *data, const char *node, const char *address);
/*
 * What is to be applied in the name of a node of whose entries some are of the past: those that
 * are not. *ret_node: which, malloc'd. NULL: there is none.
 */
struct json *gateway_without_gone(const char *there, gateway_lives_fn *lives, void *data,
				  char **ret_node);
