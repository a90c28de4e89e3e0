/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/api_say.h"

#include <string.h>

#include "reconcile/priv.h"

#define LATELY_MS 300000 /* what has happened is told for so long */

static void conflicts_say(const struct api_say *t)
{
	const struct egress_addr *addrs;
	size_t n;

	addrs = compiled_addrs(t->r->compiled, &n);
	for (size_t i = 0; i < n; i++) {
		const struct claim *k = addrs[i].assign ? claims_find(&t->r->claims, addrs[i].addr)
							: NULL;

		if (k && k->state == CLAIM_CONFLICT)
			api_event(t->events,
				  &(struct event_said){OBJECTS_GATEWAYS, "", addrs[i].gateway, NULL,
						       true, "Conflict"},
				  "%s is not claimed by node %s: %s", addr_str(k->addr),
				  t->r->node_name, k->problem);
	}
}

/* The same words within ten minutes are one Event: for as long it may be said again. */
static void failovers_say(const struct api_say *t)
{
	const struct tenures *ts = &t->r->tenures;
	int64_t now = wall_ms();

	for (size_t i = 0; i < ts->n_last; i++) {
		const struct takeover *k = &ts->last[i];

		if (now - k->at_ms < LATELY_MS)
			api_event(t->events,
				  &(struct event_said){OBJECTS_GATEWAYS, "", k->gateway, NULL, true,
						       "Failover"},
				  "node %s is not heard any more: %zu of its addresses (%s) are "
				  "carried by node %s, %lld ms after its last sign of life",
				  k->from, k->n, addr_str(k->addr), t->r->node_name,
				  (long long)k->gap_ms);
	}
}

/* Two carried them at once, as gateways do that do not hear each other; and the end of it. */
static void rivals_say(const struct api_say *t)
{
	const struct rivals *all = &t->r->rivals;
	int64_t now = wall_ms();

	for (size_t i = 0; i < all->n_rounds; i++) {
		const struct rivalry *k = &all->rounds[i];
		struct event_said about = {OBJECTS_GATEWAYS, "", k->gateway, NULL, true,
					   "Conflict"};

		if (now - k->at_ms >= LATELY_MS)
			continue;
		api_event(t->events, &about,
			  "nodes %s and %s carry the same addresses, the first one %s: node %s "
			  "lets go of them",
			  t->r->node_name, k->node, addr_str(k->addr), k->node);
		about.warning = false;
		about.reason = "ConflictSettled";
		if (!k->open)
			api_event(t->events, &about,
				  "node %s has let go of %zu addresses (%s) that node %s carries, "
				  "after %lld ms",
				  k->node, k->n, addr_str(k->addr), t->r->node_name,
				  (long long)k->took_ms);
	}
}

/* The kernel's table is of all its connections: told of each gateway that has an address here. */
static void table_say(const struct api_say *t)
{
	const struct usage *u = &t->r->usage;
	const struct egress_addr *addrs;
	const char *told = NULL;
	size_t n;

	if (!u->max || !usage_near((uint64_t)u->count, (uint64_t)u->max))
		return;
	addrs = compiled_addrs(t->r->compiled, &n);
	for (size_t i = 0; i < n; i++) {
		const struct event_said about = {
			OBJECTS_GATEWAYS,	"", addrs[i].gateway, NULL, true,
			"ConnectionsNearlyFull"};

		if (!addrs[i].local || addrs[i].problem ||
		    (told && strcmp(told, addrs[i].gateway) == 0))
			continue;
		told = addrs[i].gateway;
		api_event(t->events, &about,
			  "more than %d %% of the %lld connections that the kernel of node %s has "
			  "room for are in its table",
			  USAGE_WARN, (long long)u->max, t->r->node_name);
	}
}

static void ports_say(const struct api_say *t)
{
	const struct usage *u = &t->r->usage;
	const struct egress_addr *addrs;
	size_t n;

	addrs = compiled_addrs(t->r->compiled, &n);
	for (size_t i = 0; i < n; i++) {
		const struct usage_addr *a = usage_find(u, addrs[i].addr);
		const struct event_said about = {OBJECTS_GATEWAYS, "", addrs[i].gateway, NULL, true,
						 "PortsNearlyUsed"};

		if (a && addrs[i].local && usage_near(a->ports, USAGE_PORTS))
			api_event(t->events, &about,
				  "more than %d %% of the source ports of %s towards %s port %u "
				  "are in use on node %s",
				  USAGE_WARN, addr_str(a->addr), addr_str(a->remote),
				  a->remote_port, t->r->node_name);
	}
}

/* By each node whose pods have it. */
static void refusals_tell(const struct api_say *t)
{
	for (size_t i = 0; i < t->r->n_refusals; i++) {
		const struct refusal *v = &t->r->refusals[i];
		enum collection c = v->cluster ? OBJECTS_CLUSTER_POLICIES : OBJECTS_POLICIES;
		const struct object *obj = objects_find(t->objects, c, v->namespace, v->name);

		api_event(t->events,
			  &(struct event_said){c, v->namespace, v->name,
					       obj ? object_uid(obj) : NULL, true, "NotInForce"},
			  "node %s keeps what was in force before: %s", t->r->node_name,
			  v->why.msg);
	}
}

static void quarantines_say(const struct api_say *t)
{
	for (size_t i = 0; i < t->r->n_pods; i++) {
		const struct pod *p = &t->r->pods[i];
		const struct object *obj;

		if (p->dead || !(p->flags & SLU_POD_QUARANTINE) || !p->rec->pod || !*p->rec->pod)
			continue;
		obj = objects_find(t->objects, OBJECTS_PODS, p->rec->namespace, p->rec->pod);
		api_event(t->events,
			  &(struct event_said){OBJECTS_PODS, p->rec->namespace, p->rec->pod,
					       obj ? object_uid(obj) : p->rec->uid, true,
					       "Quarantined"},
			  "its labels are not known on node %s: only traffic inside the cluster is "
			  "let through until they are",
			  t->r->node_name);
	}
}

void api_say(const struct api_say *t)
{
	conflicts_say(t);
	failovers_say(t);
	rivals_say(t);
	ports_say(t);
	table_say(t);
	quarantines_say(t);
	refusals_tell(t);
}
