/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/accept.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/compiled.h"
#include "policy/missing.h"

void acceptance_done(struct acceptance *a)
{
	free(a->message);
	free(a->late_message);
	*a = (struct acceptance){0};
}

static int compare_gateway(const void *name, const void *gateway)
{
	return strcmp(name, ((const struct doc_gateway *)gateway)->meta.name);
}

static const struct doc_gateway *gateway_find(const struct doc_set *set, const char *name)
{
	return set->n_gateways ? bsearch(name, set->gateways, set->n_gateways,
					 sizeof(*set->gateways), compare_gateway)
			       : NULL;
}

struct via_walk {
	const struct doc_set *set;
	const struct compiled *compiled;
	const struct doc_policy *policy;
	struct acceptance *ret;
};

static bool gateway_has(const struct doc_gateway *g, struct addr a)
{
	for (size_t i = 0; i < g->n_ranges; i++)
		if (addr_range_contains(g->ranges[i].range, a))
			return true;
	return false;
}

static void via_permitted(struct via_walk *w, const struct doc_via *via,
			  const struct doc_gateway *g)
{
	if (w->ret->reason || gateway_permits(w->set, g, w->policy))
		return;
	w->ret->reason = "NotPermitted";
	w->ret->message = mem_printf("EgressGateway %s does not allow namespace %s: %s",
				     via->gateway, w->policy->meta.namespace,
				     via->or_node ? "its traffic is sent as the node"
						  : "its traffic is dropped");
}

static void via_addresses(struct via_walk *w, const struct doc_via *via,
			  const struct doc_gateway *g)
{
	for (size_t i = 0; !w->ret->reason && i < via->n_addrs; i++) {
		if (gateway_has(g, via->addrs[i]))
			continue;
		w->ret->reason = "Conflict";
		w->ret->message = mem_printf("EgressGateway %s does not have the address %s that "
					     "a rule asks for",
					     via->gateway, addr_str(via->addrs[i]));
	}
}

static bool is_owned(const struct compiled *c, const struct doc_via *via)
{
	const struct egress_addr *addrs;
	size_t n;

	addrs = compiled_addrs(c, &n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(addrs[i].gateway, via->gateway) == 0 && addrs[i].owner &&
		    !addrs[i].problem)
			return true;
	return false;
}

static void via_owned(struct via_walk *w, const struct doc_via *via, const struct doc_gateway *g)
{
	if (w->ret->late || !w->compiled || is_owned(w->compiled, via))
		return;
	w->ret->late = "NoOwner";
	w->ret->late_message = mem_printf(
		"no node carries an address of EgressGateway %s: %s", via->gateway,
		via->or_node ? "its traffic is sent as the node" : "its traffic is dropped");
}

static void vias_walk(struct via_walk *w,
		      void (*look)(struct via_walk *w, const struct doc_via *via,
				   const struct doc_gateway *g))
{
	for (size_t i = 0; i <= w->policy->n_rules; i++) {
		const struct doc_via *via = i < w->policy->n_rules ? &w->policy->rules[i].via
								   : &w->policy->default_via;
		const struct doc_gateway *g = via->kind == VIA_GATEWAY
						      ? gateway_find(w->set, via->gateway)
						      : NULL;

		if (g)
			look(w, via, g);
	}
}

/* The first of the kind that comes to this reason. */
static void missing_look(struct via_walk *w, bool gateways)
{
	struct missing *list = NULL;
	size_t n = 0;

	policy_missing_of(w->set, w->policy, &list, &n);
	for (size_t i = 0; i < n; i++) {
		bool gateway = strcmp(list[i].kind, "EgressGateway") == 0;
		bool service = strcmp(list[i].kind, "Service") == 0;

		if (service && !w->ret->late) {
			w->ret->late = "MissingService";
			w->ret->late_message = missing_text(&list[i]);
		}
		if (service || gateway != gateways || w->ret->reason)
			continue;
		w->ret->reason = gateway ? "MissingGateway" : "MissingDestination";
		w->ret->message = missing_text(&list[i]);
	}
	free(list);
}

static const struct compiled_policy *compiled_find(const struct compiled *c,
						   const struct doc_meta *meta)
{
	for (size_t i = 0; i < c->n_policies; i++) {
		const struct doc_meta *have = &c->policies[i].doc->meta;

		if (have->kind == meta->kind && strcmp(have->name, meta->name) == 0 &&
		    strcmp(have->namespace, meta->namespace) == 0)
			return &c->policies[i];
	}
	return NULL;
}

static void names_look(struct via_walk *w)
{
	const struct compiled_policy *p;

	if (w->ret->reason || !w->compiled || !w->compiled->n_unnamed)
		return;
	p = compiled_find(w->compiled, &w->policy->meta);
	if (!p || !p->n_unnamed)
		return;
	w->ret->reason = "TooManyNames";
	w->ret->message = mem_printf("%zu names of its rules match nothing: the objects of a "
				     "namespace may have %u names together, and all policies %u",
				     p->n_unnamed, COMPILED_NAMES_OF_ONE, COMPILED_NAMES_MAX);
}

void policy_accept(const struct doc_set *set, const struct compiled *compiled,
		   const struct doc_policy *policy, struct acceptance *ret)
{
	struct via_walk w = {set, compiled, policy, ret};

	*ret = (struct acceptance){0};
	vias_walk(&w, via_permitted);
	missing_look(&w, true);
	vias_walk(&w, via_addresses);
	missing_look(&w, false);
	names_look(&w);
	vias_walk(&w, via_owned);
}
