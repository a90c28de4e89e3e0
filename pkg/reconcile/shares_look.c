/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at conntrack for shares, where an address has limits at all; and who is told of them. */
#include "reconcile/shares.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "reconcile/api_events.h"
#include "reconcile/priv.h"

#define LOOK_MS	   30000
#define LOOK_COST  200 /* a look may take one in so many of the time */
#define ASKED_MS   1000
#define ASKED_COST 20

static size_t limits_get(const struct reconcile *r, struct share_limit **ret)
{
	const struct egress_addr *addrs;
	size_t n = 0, kept = 0;

	*ret = NULL;
	addrs = r->compiled && r->desired ? compiled_addrs(r->compiled, &n) : NULL;
	for (size_t i = 0; i < n; i++) {
		const struct doc_limits *l = &addrs[i].limits;

		if (!r->desired->addr_ids[i] || (!l->connections && !l->ports))
			continue;
		MEM_GROW(*ret, kept);
		(*ret)[kept++] = (struct share_limit){.id = r->desired->addr_ids[i],
						      .addr = addrs[i].addr,
						      .most = {l->connections, l->ports}};
	}
	if (kept)
		qsort(*ret, kept, sizeof(**ret), share_limit_order);
	return kept;
}

static size_t pods_get(const struct reconcile *r, struct addr **ret)
{
	size_t n = 0;

	*ret = NULL;
	for (size_t i = 0; i < r->n_pods; i++) {
		const struct pod *p = &r->pods[i];

		for (size_t k = 0; !p->dead && p->key && k < p->rec->n_addrs; k++) {
			MEM_GROW(*ret, n);
			(*ret)[n++] = p->rec->addrs[k];
		}
	}
	if (n)
		qsort(*ret, n, sizeof(**ret), addr_order);
	return n;
}

static const struct record *pod_of(const struct reconcile *r, struct addr a)
{
	for (size_t i = 0; i < r->n_pods; i++)
		for (size_t k = 0; !r->pods[i].dead && k < r->pods[i].rec->n_addrs; k++)
			if (addr_eq(r->pods[i].rec->addrs[k], a))
				return r->pods[i].rec;
	return NULL;
}

static void say(const struct reconcile *r, struct share *s, enum nft_limit_kind kind)
{
	const struct record *rec = pod_of(r, s->pod);

	log_warn("a pod has nearly all that it may have of an egress address",
		 "pod=%s/%s address=%s limit=%s used=%u of=%u", rec ? rec->namespace : "",
		 rec ? rec->pod : addr_str(s->pod), addr_str(s->of.addr), share_kinds[kind],
		 s->used[kind], s->of.most[kind]);
}

static void look(struct reconcile *r)
{
	__cleanup_free struct share_limit *limits = NULL;
	__cleanup_free struct ct_holding *list = NULL;
	__cleanup_free struct addr *pods = NULL;
	struct shares *s = &r->shares;
	size_t n_limits = limits_get(r, &limits), n_pods = n_limits ? pods_get(r, &pods) : 0;
	size_t n = 0, more = s->more;
	int64_t began = clock_ms(), took;
	struct err e = {0};

	if (n_pods &&
	    conntrack_list_pods(pods, n_pods, r->desired->model->config.divert, &list, &n, &e) < 0)
		log_debug("pods' connections not counted", "error=%s", log_quote(e.msg));
	else
		shares_count(s, limits, n_limits, list, n);
	for (size_t i = 0; i < s->n; i++)
		for (int kind = 0; kind < NFT_LIMIT_KINDS; kind++)
			if (s->list[i].log & 1u << kind)
				say(r, &s->list[i], (enum nft_limit_kind)kind);
	for (size_t i = 0; i < s->n; i++)
		s->list[i].log = 0;
	if (s->more > more)
		log_warn("more pods have nearly all that they may have of an egress address",
			 "shares=%zu", s->more - more);
	took = clock_ms() - began;
	s->next_at = began + (took * LOOK_COST > LOOK_MS ? took * LOOK_COST : LOOK_MS);
	s->asked_at = began + (took * ASKED_COST > ASKED_MS ? took * ASKED_COST : ASKED_MS);
}

void shares_note(struct reconcile *r)
{
	if (clock_ms() >= r->shares.next_at)
		look(r);
}

/* ---- who is told ---- */

struct json *reconcile_shares(struct reconcile *r)
{
	struct json *out = json_new_object(), *list = json_new_array();
	const struct shares *s = &r->shares;

	if (clock_ms() >= s->asked_at)
		look(r);
	for (size_t i = 0; i < s->n; i++) {
		const struct share *k = &s->list[i];
		const struct record *rec = pod_of(r, k->pod);
		struct json *o = json_new_object();

		json_set(o, "namespace", rec ? json_new_string(rec->namespace) : json_new_null());
		json_set(o, "pod", rec ? json_new_string(rec->pod) : json_new_null());
		json_set(o, "podAddress", json_new_string(addr_str(k->pod)));
		json_set(o, "address", json_new_string(addr_str(k->of.addr)));
		json_set(o, "connections", json_new_int(k->used[NFT_CONNECTIONS]));
		json_set(o, "ports", json_new_int(k->used[NFT_PORTS]));
		json_append(list, o);
	}
	json_set(out, "v", json_new_int(1));
	json_set(out, "ok", json_new_bool(true));
	json_set(out, "shares", list);
	return out;
}

static const char *gateway_of(const struct reconcile *r, struct addr a)
{
	const struct egress_addr *known = compiled_addr_find(r->compiled, a);

	return known ? known->gateway : "";
}

static void tell(const struct reconcile *r, const struct objects *objects,
		 struct api_events *events, const struct share *s, enum nft_limit_kind kind)
{
	const struct record *rec = pod_of(r, s->pod);
	const struct object *obj;

	if (!rec || !rec->pod || !*rec->pod)
		return;
	obj = objects_find(objects, OBJECTS_PODS, rec->namespace, rec->pod);
	api_event(events,
		  &(struct event_said){.c = OBJECTS_PODS,
				       .namespace = rec->namespace,
				       .name = rec->pod,
				       .uid = obj ? object_uid(obj) : rec->uid,
				       .warning = true,
				       .reason = "LimitNearlyReached"},
		  "%d %% or more of the %u that %s of gateway %s gives it of %s are in use: what "
		  "is more is dropped (pod-limit)",
		  USAGE_WARN, s->of.most[kind], share_kinds[kind], gateway_of(r, s->of.addr),
		  addr_str(s->of.addr));
}

void shares_tell(struct reconcile *r, const struct objects *objects, struct api_events *events)
{
	struct shares *s = &r->shares;

	for (size_t i = 0; i < s->n; i++) {
		for (int kind = 0; kind < NFT_LIMIT_KINDS; kind++)
			if (s->list[i].tell & 1u << kind)
				tell(r, objects, events, &s->list[i], (enum nft_limit_kind)kind);
		s->list[i].tell = 0;
	}
	if (s->more)
		api_event(events,
			  &(struct event_said){.c = OBJECTS_GATEWAYS,
					       .namespace = "",
					       .name = gateway_of(r, s->more_of),
					       .warning = true,
					       .reason = "LimitNearlyReached"},
			  "%zu more pods of node %s came to %d %% of what limits give one pod of "
			  "an address, of %s the last of them",
			  s->more, r->node_name, USAGE_WARN, addr_str(s->more_of));
	s->more = 0;
}
