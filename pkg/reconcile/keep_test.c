/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/keep.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "reconcile/desired.h"
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

static void program_make(struct world *w)
{
	struct pod_info pod = {.namespace = "shop", .name = "p", .labels_known = true};
	struct binding b;

	assert_int_equal(policy_resolve(w->f.c, &pod, &b), 0);
	if (b.n)
		assert_int_equal(policy_flatten(w->f.c, &b, &w->program), 0);
	binding_done(&b);
}

static void world_init(struct world *w, const char *rules, const char *more)
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

static void world_done(struct world *w)
{
	program_free(w->program);
	desired_free(w->d);
	ids_free(w->ids);
	free(w->places);
	policy_fixture_done(&w->f);
}

/* The id of an address; one that nobody has for LOST. */
static uint32_t id_of(const struct world *w, const char *text)
{
	for (uint32_t i = 0; text && i < SLU_ID_MAX; i++)
		if (w->d->model->egress[i].state != SLU_ADDR_FREE &&
		    addr_eq(slu_addr_get(w->d->model->egress[i].addr), addr_of(text)))
			return i;
	return text ? 900 : 0;
}

/* What began as an address (NULL: the node) to OUT, from port 4000 to 443. */
static struct ct_flow flow_of(const struct world *w, const char *as)
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

static void expect_answer(const struct world *w, const struct ct_flow *f, enum keep_answer want)
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

static void an_identity_that_changed_is_kept_until_the_connection_ends(void **state)
{
	static const struct {
		const char *rules, *began;
		enum keep_answer want;
	} t[] = {
		{RULE(VIA_A), A, KEEP_NOTHING},
		{RULE(VIA_B), A, KEEP_OPEN},
		{RULE("via: {gateway: there}"), A, KEEP_OPEN},
		{RULE("via: {gateway: there}"), C, KEEP_NOTHING},
		{RULE(VIA_A), C, KEEP_OPEN},
		{RULE(VIA_A), NULL, KEEP_OPEN},
		{"{action: Allow}", A, KEEP_OPEN},
		{"{action: Allow}", C, KEEP_OPEN},
		{"{action: Allow}", NULL, KEEP_NOTHING},
		{"{via: {node: {}}}", A, KEEP_OPEN},
		{NULL, A, KEEP_OPEN},
		{NULL, C, KEEP_OPEN},
		{NULL, NULL, KEEP_NOTHING},
		{RULE(VIA_B ", ports: [{protocol: TCP, port: 443}]"), A, KEEP_OPEN},
		{RULE(VIA_B ", ports: [{protocol: UDP}]"), NULL, KEEP_NOTHING},
		{RULE(VIA_B ", to: [{cidr: 198.51.100.0/29}]"), NULL, KEEP_NOTHING},
		{RULE("via: {gateway: here}"), A6, KEEP_NOTHING},
		{"{action: Allow}", A6, KEEP_OPEN},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct world w;
		struct ct_flow f;

		world_init(&w, t[i].rules, "");
		f = flow_of(&w, t[i].began);
		expect_answer(&w, &f, t[i].want);
		world_done(&w);
	}
}

static void what_is_dropped_now_is_not_kept_out_of_the_way(void **state)
{
	static const struct {
		const char *rules;
		uint32_t flags;
		const char *dst;
	} t[] = {
		{"{action: Deny}", 0, OUT},
		{"{action: Reject, " VIA_B "}", 0, OUT},
		{RULE("via: {gateway: nowhere}"), 0, OUT},
		{RULE("via: {gateway: closed}"), 0, OUT},
		{RULE(VIA_B), SLU_POD_QUARANTINE, OUT},
		{RULE(VIA_B), SLU_POD_NO_SOURCE_CHECK, OUT},
		{RULE(VIA_B), 0, "169.254.169.254"},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		static const char *const began[] = {A, C, NULL};

		for (size_t k = 0; k < 3; k++) {
			struct world w;
			struct ct_flow f;

			world_init(&w, t[i].rules, "");
			w.pods[0].flags = t[i].flags;
			f = flow_of(&w, began[k]);
			f.dst = addr_of(t[i].dst);
			expect_answer(&w, &f, KEEP_NOTHING);
			world_done(&w);
		}
	}
}

static void only_open_connections_of_pods_to_the_outside_count(void **state)
{
	struct world w;
	struct ct_flow f;

	world_init(&w, RULE(VIA_B), "");
	f = flow_of(&w, A);
	expect_answer(&w, &f, KEEP_OPEN);
	f.ended = true;
	expect_answer(&w, &f, KEEP_NOTHING);
	f = flow_of(&w, A);
	f.src = addr_of("10.244.1.6");
	expect_answer(&w, &f, KEEP_NOTHING);
	f = flow_of(&w, A);
	f.dst = addr_of("10.96.7.7");
	expect_answer(&w, &f, KEEP_NOTHING);
	f.dst = addr_of("192.0.2.2");
	expect_answer(&w, &f, KEEP_NOTHING);
	f.dst = addr_of("239.1.1.1");
	expect_answer(&w, &f, KEEP_NOTHING);
	f.dst = addr_of(DNS);
	expect_answer(&w, &f, KEEP_OPEN);
	f.dport = 53;
	expect_answer(&w, &f, KEEP_NOTHING);
	world_done(&w);
}

static void begins_anew_where_reset_is_said_or_the_address_is_gone(void **state)
{
	static const struct {
		const char *rules, *more, *began;
		enum keep_answer want;
	} t[] = {
		{RULE(VIA_B), "existingConnections: Reset,", A, KEEP_ANEW},
		{RULE(VIA_B), "existingConnections: Reset,", NULL, KEEP_ANEW},
		{RULE(VIA_B), "existingConnections: Reset,", B, KEEP_NOTHING},
		{"{action: Allow}", "existingConnections: Reset,", C, KEEP_ANEW},
		{"{action: Allow, to: [{cidr: 192.0.2.0/24}]}", "existingConnections: Reset,", C,
		 KEEP_OPEN},
		{"{action: Deny}", "existingConnections: Reset,", A, KEEP_NOTHING},
		{RULE(VIA_B), "", LOST, KEEP_ANEW},
		{NULL, "", LOST, KEEP_ANEW},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct world w;
		struct ct_flow f;

		world_init(&w, t[i].rules, t[i].more);
		f = flow_of(&w, t[i].began);
		expect_answer(&w, &f, t[i].want);
		f.dnat = true; /* a service's: its endpoint must not be picked anew */
		expect_answer(&w, &f, t[i].want == KEEP_ANEW ? KEEP_NOTHING : t[i].want);
		world_done(&w);
	}
}

static void a_service_that_leads_outside_is_its_endpoints_if_they_agree(void **state)
{
	static const struct {
		const char *rules, *more, *began;
		enum keep_answer want;
	} t[] = {
		{RULE(VIA_B), "", A, KEEP_OPEN},
		{RULE(VIA_B), "", C, KEEP_OPEN},
		{RULE(VIA_B), "", B, KEEP_NOTHING},
		{RULE(VIA_B), "", NULL, KEEP_OPEN},
		{RULE(VIA_B), "", LOST, KEEP_ANEW},
		{RULE(VIA_B), "existingConnections: Reset,", A, KEEP_ANEW},
		{RULE(VIA_B ", ports: [{protocol: TCP, port: 443}]"), "", A, KEEP_OPEN},
		{RULE(VIA_B ", ports: [{protocol: TCP, port: 53}]"), "", NULL, KEEP_NOTHING},
		{NULL, "", A, KEEP_OPEN},
		{"{action: Deny}", "", A, KEEP_NOTHING},
		/* they do not: what comes is dropped */
		{"{action: Deny, to: [{cidr: " OUT "/32}]}, " RULE(VIA_B), "", A, KEEP_NOTHING},
		{RULE(VIA_B ", to: [{cidr: " OUT "/32}]"), "", A, KEEP_NOTHING},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct world w;
		struct ct_flow f;

		world_init(&w, t[i].rules, t[i].more);
		f = flow_of(&w, t[i].began);
		f.dst = addr_of(SERVICE);
		f.dport = 53;
		f.dnat = true;
		expect_answer(&w, &f, t[i].want);
		f.dport = 54; /* by this port it leads nowhere outside */
		expect_answer(&w, &f, KEEP_NOTHING);
		world_done(&w);
	}
}

/* The pod knows the Service and not the endpoint that a reset would come from. */
static void
what_is_rejected_behind_a_translation_is_forgotten_to_be_answered_before_it(void **state)
{
	static const struct {
		const char *rules, *began;
		uint8_t proto;
		bool dnat, ended;
		uint16_t dport;
		enum keep_answer want;
	} t[] = {
		{"{action: Reject}", NULL, IPPROTO_TCP, true, false, 53, KEEP_ANEW},
		{"{action: Reject}", NULL, IPPROTO_TCP, true, true, 53, KEEP_ANEW},
		{"{action: Reject}", NULL, IPPROTO_TCP, false, false, 53, KEEP_NOTHING},
		{"{action: Reject}", NULL, IPPROTO_UDP, true, false, 53, KEEP_NOTHING},
		{"{action: Reject}", NULL, IPPROTO_TCP, true, false, 54, KEEP_NOTHING},
		{"{action: Deny}", NULL, IPPROTO_TCP, true, false, 53, KEEP_NOTHING},
		{"{action: Allow}", NULL, IPPROTO_TCP, true, true, 53, KEEP_NOTHING},
		{NULL, NULL, IPPROTO_TCP, true, false, 53, KEEP_NOTHING},
		/* of an identity: in the zone that it has without, it is new already */
		{"{action: Reject}", A, IPPROTO_TCP, true, false, 53, KEEP_NOTHING},
		/* endpoints that are judged in different ways: dropped */
		{"{action: Reject, to: [{cidr: " OUT "/32}]}", NULL, IPPROTO_TCP, true, false, 53,
		 KEEP_NOTHING},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct world w;
		struct ct_flow f;

		world_init(&w, t[i].rules, "");
		f = flow_of(&w, t[i].began);
		f.dst = addr_of(SERVICE);
		f.dport = t[i].dport;
		f.dnat = t[i].dnat;
		f.proto = t[i].proto;
		f.ended = t[i].ended;
		expect_answer(&w, &f, t[i].want);
		w.pods[0].flags = SLU_POD_QUARANTINE;
		expect_answer(&w, &f, KEEP_NOTHING);
		world_done(&w);
	}
}

static void an_id_that_stands_for_another_address_now_is_not_kept(void **state)
{
	struct world w;
	struct ct_flow f;

	world_init(&w, RULE(VIA_B), "");
	f = flow_of(&w, A);
	f.seen = addr_of("203.0.113.77");
	expect_answer(&w, &f, KEEP_ANEW);
	f = flow_of(&w, C);
	expect_answer(&w, &f, KEEP_OPEN);
	f = flow_of(&w, B); /* as it would be now, and bound while our rules were not there */
	f.seen = addr_of("203.0.113.1");
	expect_answer(&w, &f, KEEP_ANEW);
	world_done(&w);
}

/* It may have been sent while our table was gone, and ended in sluice0. */
static void what_nobody_answered_is_not_kept_as_the_node(void **state)
{
	static const char *const began[] = {A, C, NULL};
	struct keep_sets s;
	struct ct_flow flows[2];
	struct world w;

	world_init(&w, RULE(VIA_B), "");
	for (size_t i = 0; i < 3; i++) {
		struct ct_flow f = flow_of(&w, began[i]);

		f.answered = false;
		expect_answer(&w, &f, began[i] ? KEEP_OPEN : KEEP_NOTHING);
	}
	/* nor does it say anything of the same connection in another zone */
	for (size_t i = 0; i < 2; i++) {
		flows[i] = flow_of(&w, A);
		flows[!i] = flow_of(&w, NULL);
		flows[!i].answered = false;
		keep_select(&w.in, flows, 2, &s);
		assert_int_equal(s.n_open, 1);
		assert_int_equal(s.open[0].id, id_of(&w, A));
		assert_int_equal(s.n_anew, 0);
		keep_sets_done(&s);
	}
	world_done(&w);
}

static void what_a_predecessor_left_is_forgotten(void **state)
{
	struct world w;
	struct ct_flow f;

	world_init(&w, RULE(VIA_B), "");
	w.pods[0].stranger = true;
	f = flow_of(&w, A);
	expect_answer(&w, &f, KEEP_ANEW);
	f = flow_of(&w, B);
	expect_answer(&w, &f, KEEP_NOTHING);
	world_done(&w);
}

static void selects_each_connection_once_as_the_map_wants_it(void **state)
{
	struct keep_sets s;
	struct ct_flow flows[6];
	struct world w;

	world_init(&w, RULE(VIA_B), "");
	for (size_t i = 0; i < 6; i++)
		flows[i] = flow_of(&w, i == 1 ? NULL : A);
	flows[1].sport = 4001;
	flows[2].sport = 3000;
	flows[3] = flow_of(&w, B); /* sent as another one in between: what it is now, it is */
	flows[3].sport = 3000;
	flows[5].proto = IPPROTO_UDP;
	flows[5].zone = 900;
	keep_select(&w.in, flows, 6, &s);
	assert_int_equal(s.n_open, 2);
	for (size_t i = 0; i < 2; i++) {
		struct slu_flow want = {.local = slu_addr_make(addr_of(POD)),
					.remote = slu_addr_make(addr_of(OUT)),
					.lport = htons(i ? 4001 : 4000),
					.rport = htons(443),
					.proto = IPPROTO_TCP};

		assert_memory_equal(&s.open[i].flow, &want, sizeof(want));
		assert_int_equal(s.open[i].id, i ? 0 : id_of(&w, A));
	}
	assert_int_equal(s.n_anew, 1);
	assert_int_equal(s.anew[0].proto, IPPROTO_UDP);
	keep_sets_done(&s);
	keep_select(&w.in, NULL, 0, &s);
	assert_int_equal(s.n_open, 0);
	keep_sets_done(&s);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_identity_that_changed_is_kept_until_the_connection_ends),
		cmocka_unit_test(what_is_dropped_now_is_not_kept_out_of_the_way),
		cmocka_unit_test(only_open_connections_of_pods_to_the_outside_count),
		cmocka_unit_test(begins_anew_where_reset_is_said_or_the_address_is_gone),
		cmocka_unit_test(a_service_that_leads_outside_is_its_endpoints_if_they_agree),
		cmocka_unit_test(
			what_is_rejected_behind_a_translation_is_forgotten_to_be_answered_before_it),
		cmocka_unit_test(an_id_that_stands_for_another_address_now_is_not_kept),
		cmocka_unit_test(what_nobody_answered_is_not_kept_as_the_node),
		cmocka_unit_test(what_a_predecessor_left_is_forgotten),
		cmocka_unit_test(selects_each_connection_once_as_the_map_wants_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
