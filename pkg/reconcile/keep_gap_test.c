/* SPDX-License-Identifier: Apache-2.0 */
/* What conntrack says of a time in which somebody had deleted our table. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "testkit/keep_fixture.h"

static void what_began_without_our_table_is_believed_only_if_it_was_kept_before(void **state)
{
	struct kept known = {
		.flow = {.lport = htons(4000), .rport = htons(443), .proto = IPPROTO_TCP}};
	struct ct_flow f;
	struct world w;

	world_init(&w, RULE("via: {gateway: there}"), "");
	w.pods[0].gap = true;
	f = flow_of(&w, NULL);
	expect_answer(&w, &f, KEEP_ANEW);
	f.answered = false; /* it may be yet */
	expect_answer(&w, &f, KEEP_ANEW);
	f.ended = true;
	expect_answer(&w, &f, KEEP_NOTHING);
	f = flow_of(&w, NULL);
	known.flow.local = slu_addr_make(f.src);
	known.flow.remote = slu_addr_make(f.dst);
	w.in.kept = &known;
	w.in.n_kept = 1;
	expect_answer(&w, &f, KEEP_OPEN);
	known.id = id_of(&w, A);
	expect_answer(&w, &f, KEEP_ANEW);
	f = flow_of(&w, A); /* an identity is told by the zone, which our table gave it */
	expect_answer(&w, &f, KEEP_OPEN);
	world_done(&w);
}

static void what_goes_by_tunnel_as_somebody_else_begins_anew(void **state)
{
	struct ct_flow f;
	struct world w;

	world_init(&w, RULE("via: {gateway: there}"), "");
	f = flow_of(&w, C);
	expect_answer(&w, &f, KEEP_NOTHING);
	f.seen = addr_of("192.0.2.1"); /* masqueraded as our table went: the gateway drops it */
	expect_answer(&w, &f, KEEP_ANEW);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_began_without_our_table_is_believed_only_if_it_was_kept_before),
		cmocka_unit_test(what_goes_by_tunnel_as_somebody_else_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
