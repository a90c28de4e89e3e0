/* SPDX-License-Identifier: Apache-2.0 */
/* Two owners tell of their addresses: neither can do anything to what the other one has told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/kept.h"
#include "testkit/addr_fixture.h"
#include "testkit/gateway_fixture.h"

#define A "203.0.113.10"
#define B "203.0.113.11"

/* Only told apart, never spoken to. */
static char ends[2];
#define ONE   ((struct channel *)&ends[0])
#define OTHER ((struct channel *)&ends[1])

static void say(struct kept *k, struct channel *c, uint8_t type, const char *addr)
{
	struct addr a = addr_of(addr);

	assert_int_equal(kept_frame(k, c, type, &a, sizeof(a)), 0);
}

static void tell(struct kept *k, struct channel *c, uint8_t type, const char *addr, uint16_t port)
{
	struct move_flow f = gateway_flow(addr, port);
	uint8_t b[MOVE_FLOW_SIZE];

	move_flow_put(&f, b);
	assert_int_equal(kept_frame(k, c, type, b, sizeof(b)), 0);
}

static size_t taken(struct kept *k, const char *addr)
{
	struct move_flow *flows;
	size_t n = kept_take(k, addr_of(addr), &flows);

	free(flows);
	return n;
}

static void begin(struct kept *k)
{
	kept_init(k, 100);
	say(k, ONE, FRAME_OF, A);
	say(k, OTHER, FRAME_OF, B);
	tell(k, ONE, FRAME_KEEP, A, 1);
	tell(k, ONE, FRAME_KEEP, A, 2);
	tell(k, OTHER, FRAME_KEEP, B, 1);
}

static void only_who_tells_of_an_address_adds_to_it_and_takes_away(void **state)
{
	struct kept k;

	begin(&k);
	tell(&k, OTHER, FRAME_KEEP, A, 3);
	tell(&k, OTHER, FRAME_GONE, A, 1);
	say(&k, OTHER, FRAME_NOT, A);
	tell(&k, ONE, FRAME_GONE, A, 2);
	assert_int_equal(taken(&k, A), 1);
	assert_int_equal(taken(&k, A), 0); /* it is ours now */
	assert_int_equal(taken(&k, B), 1);
	kept_done(&k);
}

static void who_tells_of_it_last_is_its_owner(void **state)
{
	struct kept k;

	begin(&k);
	say(&k, OTHER, FRAME_OF, A);
	tell(&k, ONE, FRAME_KEEP, A, 3); /* under way still */
	say(&k, ONE, FRAME_NOT, A);
	tell(&k, OTHER, FRAME_KEEP, A, 4);
	assert_int_equal(k.n, 2);
	assert_int_equal(taken(&k, A), 1);
	kept_done(&k);
}

static void what_a_silent_owner_told_is_kept_for_a_while_and_only_that(void **state)
{
	struct kept k;

	begin(&k);
	assert_true(kept_closed(&k, ONE, 1000));
	assert_false(kept_closed(&k, ONE, 2000));
	kept_expire(&k, 999);
	assert_int_equal(k.n, 2);
	kept_expire(&k, 1000);
	assert_int_equal(taken(&k, A), 0);
	assert_int_equal(k.n, 1);
	assert_int_equal(k.flows.n, 1);
	assert_int_equal(taken(&k, B), 1);
	kept_done(&k);
}

/* As a peer of another version, or a forger, would. */
static void a_frame_that_is_none_is_refused_and_changes_nothing(void **state)
{
	struct move_flow f = gateway_flow(A, 3);
	struct addr a = addr_of(A);
	uint8_t b[MOVE_FLOW_SIZE + 1] = {0};
	struct kept k;

	begin(&k);
	move_flow_put(&f, b);
	assert_int_equal(kept_frame(&k, ONE, FRAME_KEEP, b, MOVE_FLOW_SIZE + 1), -EPROTO);
	memset(b, 0, sizeof(b)); /* no connection is like that */
	assert_int_equal(kept_frame(&k, ONE, FRAME_KEEP, b, MOVE_FLOW_SIZE), -EPROTO);
	assert_int_equal(kept_frame(&k, ONE, FRAME_NOT, &a, sizeof(a) - 1), -EPROTO);
	assert_int_equal(kept_frame(&k, ONE, 255, &a, sizeof(a)), -EPROTO);
	assert_int_equal(k.n, 2);
	assert_int_equal(taken(&k, A), 2);
	kept_done(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_who_tells_of_an_address_adds_to_it_and_takes_away),
		cmocka_unit_test(who_tells_of_it_last_is_its_owner),
		cmocka_unit_test(what_a_silent_owner_told_is_kept_for_a_while_and_only_that),
		cmocka_unit_test(a_frame_that_is_none_is_refused_and_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
