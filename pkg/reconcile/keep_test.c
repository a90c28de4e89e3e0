/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "testkit/keep_fixture.h"

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
