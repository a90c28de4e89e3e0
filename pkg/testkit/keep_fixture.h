/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A node with a pod, whose policy the test chooses, and connections that it has: what the tests of
 * keep_judge() share. Include after cmocka.h.
 */
#include <netinet/in.h>
#include <stdlib.h>

#include "base/mem.h"
#include "reconcile/desired.h"
#include "reconcile/keep.h"
#include "testkit/policy_fixture.h"

#define POD	"10.244.1.5"
#define POD6	"fd00:244::5"
#define OUT	"198.51.100.9"
#define OUT6	"2001:db8:5::9"
#define A	"203.0.113.10"
#define B	"203.0.113.11"
#define C	"203.0.113.20"
#define A6	"2001:db8::10"
#define LOST	"203.0.113.99"
#define DNS	"198.51.100.53"
#define SERVICE "10.96.0.10" /* port 53, leads to port 443 of OUT and the one after it */
#define VIA_A	"via: {gateway: here, addresses: [" A "]}"
#define VIA_B	"via: {gateway: here, addresses: [" B "]}"

static const char cluster[] =
	"{apiVersion: sluice.dev/v1alpha1, kind: SluiceConfig, metadata: {name: default},\n"
	" spec: {clusterCIDRs: [10.244.0.0/16, 10.96.0.0/16], dns: {resolvers: [" DNS "]}}}\n"
	"---\n"
	"{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {gw: here}},\n"
	" status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}}\n"
	"---\n"
	"{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {gw: there}},\n"
	" status: {addresses: [{type: InternalIP, address: 192.0.2.2}]}}\n"
	"---\n"
	"{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: here},\n"
	" spec: {addresses: [{range: " A "-" B "}, {range: '" A6 "'}], allowedNamespaces: {},\n"
	"  nodeSelector: {matchLabels: {gw: here}}}}\n"
	"---\n"
	"{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: there},\n"
	" spec: {addresses: [{range: " C "}], allowedNamespaces: {},\n"
	"  nodeSelector: {matchLabels: {gw: there}}}}\n"
	"---\n"
	"{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: closed},\n"
	" spec: {addresses: [{range: 203.0.113.30}]}}\n"
	"---\n"
	"{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop},\n"
	" spec: {clusterIP: " SERVICE ", ports: [{name: t, port: 53, protocol: TCP}]}}\n"
	"---\n"
	"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,\n"
	" metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}},\n"
	" endpoints: [{addresses: [" OUT "]}, {addresses: [198.51.100.10]}],\n"
	" ports: [{name: t, port: 443, protocol: TCP}]}\n";

/* One node with a pod whose policy has these rules; NULL: none selects it. */
struct world {
	struct policy_fixture f;
	struct ids *ids;
	struct desired *d;
	struct program *program;
	struct keep_pod pods[2];
	struct keep_in in;
	struct place *places;
};

static inline void program_make(struct world *w)
{
	struct pod_info pod = {.namespace = "shop", .name = "p", .labels_known = true};
	struct binding b;

	assert_int_equal(policy_resolve(w->f.c, &pod, &b), 0);
	if (b.n)
		assert_int_equal(policy_flatten(w->f.c, &b, &w->program), 0);
	binding_done(&b);
}

static inline void world_init(struct world *w, const char *rules, const char *more)
{
	static const char policy[] = "---\n{apiVersion: sluice.dev/v1alpha1, kind: EgressPolicy,\n"
				     " metadata: {name: p, namespace: shop},\n"
				     " spec: {%s subject: {podSelector: {}}, rules: [%s]}}\n";
	__cleanup_free char *own = rules ? mem_printf(policy, more, rules) : mem_strdup("");
	__cleanup_free char *yaml = mem_printf("%s%s", cluster, own);
	struct node_state node = {.ipv6 = true};
	struct desired_in in = {.node = &node, .node_name = "n1"};
	size_t n;

	*w = (struct world){.ids = ids_new()};
	policy_fixture_init(&w->f, yaml, "n1", "eth1 203.0.113.1/24 2001:db8::1/64");
	in.compiled = w->f.c;
	in.ids = w->ids;
	/* all of them have an id, as if each had been used once */
	for (size_t i = 0; i < (compiled_addrs(w->f.c, &n), n); i++) {
		const struct egress_addr *a = &compiled_addrs(w->f.c, &n)[i];
		const struct ids_address key = {a->addr, a->endpoint, a->vni};
		uint32_t id;

		assert_int_equal(ids_address(w->ids, &key, &id), 0);
	}
	in.places = w->places = mem_alloc0((n + 1) * sizeof(*w->places));
	for (size_t i = 0; i < n; i++)
		w->places[i].held = true;
	desired_build(&in, &w->d);
	program_make(w);
	w->pods[0] = (struct keep_pod){.addr = addr_of(POD), .program = w->program};
	w->pods[1] = (struct keep_pod){.addr = addr_of(POD6), .program = w->program};
	w->in = (struct keep_in){.pods = w->pods,
				 .n_pods = 2,
				 .compiled = w->f.c,
				 .identities = w->d->identities,
				 .model = w->d->model,
				 .resolvers = compiled_config(w->f.c)->resolvers,
				 .n_resolvers = compiled_config(w->f.c)->n_resolvers};
}

static inline void world_done(struct world *w)
{
	program_free(w->program);
	desired_free(w->d);
	ids_free(w->ids);
	free(w->places);
	policy_fixture_done(&w->f);
}

/* The id of an address; one that nobody has for LOST. */
static inline uint32_t id_of(const struct world *w, const char *text)
{
	for (uint32_t i = 0; text && i < SLU_ID_MAX; i++)
		if (w->d->model->egress[i].state != SLU_ADDR_FREE &&
		    addr_eq(slu_addr_get(w->d->model->egress[i].addr), addr_of(text)))
			return i;
	return text ? 900 : 0;
}

/* What began as an address (NULL: the node) to OUT, from port 4000 to 443. */
static inline struct ct_flow flow_of(const struct world *w, const char *as)
{
	uint32_t id = id_of(w, as);
	bool remote = id && w->d->model->egress[id].state == SLU_ADDR_REMOTE;
	struct ct_flow f = {.src = addr_of(POD),
			    .dst = addr_of(OUT),
			    .seen = remote ? addr_of(POD) : addr_of(as ? as : "203.0.113.1"),
			    .sport = 4000,
			    .dport = 443,
			    .proto = IPPROTO_TCP,
			    .answered = true,
			    .zone = (uint16_t)(remote ? id + SLU_ID_MAX : id)};

	if (as && !addr_is_v4(f.seen)) {
		f.src = addr_of(POD6);
		f.dst = addr_of(OUT6);
	}
	return f;
}

static inline void expect_answer(const struct world *w, const struct ct_flow *f,
				 enum keep_answer want)
{
	uint32_t id = 7777;
	enum keep_answer have = keep_judge(&w->in, f, &id);

	if (have != want)
		fail_msg("%s:%u zone %u: %d, expected %d", addr_str(f->dst), f->dport, f->zone,
			 have, want);
	if (want == KEEP_OPEN)
		assert_int_equal(id, f->zone % SLU_ID_MAX);
}

#define RULE(more) "{action: Allow, " more "}"
