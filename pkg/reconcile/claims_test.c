/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of addresses that this node is to own, by what the segment answers. The segment
 * and the clock are this file's; the other gateways are heartbeats that are made here.
 */
#include "reconcile/claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <linux/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "gateway/announce.h"
#include "reconcile/membership_priv.h"
#include "testkit/addr_fixture.h"

#define A      addr_of
#define UPLINK 7
#define ADDRS  3

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2},
		     stranger_mac[6] = {2, 0, 0, 0, 0, 9};

/* ---- the clock ---- */

static int64_t now_ms;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	*ts = (struct timespec){.tv_sec = now_ms / 1000, .tv_nsec = now_ms % 1000 * 1000000};
	return 0;
}

/* ---- the segment ---- */

static struct {
	struct addr addr;
	const uint8_t *mac; /* who answers for it; NULL: nobody */
	bool broken;	    /* it cannot be asked for */
} segment[ADDRS + 2];
static size_t n_asked, n_sent;

static bool on_segment(struct addr a, size_t *ret)
{
	for (*ret = 0; *ret < ADDRS + 2; ++*ret)
		if (addr_eq(segment[*ret].addr, a))
			return true;
	return false;
}

struct announcer *announcer_new(void)
{
	return mem_alloc0(1);
}

void announcer_free(struct announcer *an)
{
	free(an);
}

void announcer_rest(struct announcer *an)
{
}

void announce_probe_all(struct announcer *an, const struct probe_round *round)
{
	struct probe *list = round->list;

	for (size_t i = round->n; i-- > 0;) {
		size_t at;

		assert_int_equal(list[i].ifindex, UPLINK);
		assert_memory_equal(list[i].own_mac, own_mac, sizeof(own_mac));
		assert_true(on_segment(list[i].addr, &at));
		n_asked++;
		if (segment[at].broken)
			err_set(&list[i].err, -5, "the socket says no");
		list[i].taken = segment[at].mac;
		if (segment[at].mac)
			memcpy(list[i].mac, segment[at].mac, 6);
	}
}

int announce_send(struct announcer *an, uint32_t ifindex, const uint8_t mac[6], struct addr addr,
		  struct err *e)
{
	n_sent++;
	return 0;
}

/* ---- the node ---- */

static struct link_info uplink;
static struct ifaddr on_node[ADDRS];
static struct node_state node;
static struct egress_addr addrs[ADDRS];
static struct place places[ADDRS];
static struct claims claims;

static int begin(void **state)
{
	static const char *const texts[ADDRS] = {"203.0.113.10", "203.0.113.11", "2001:db8::10"};

	now_ms = 1000000;
	n_asked = n_sent = 0;
	memset(segment, 0, sizeof(segment));
	uplink = (struct link_info){.ifindex = UPLINK,
				    .name = "eth0",
				    .flags = IFF_UP | IFF_RUNNING,
				    .has_mac = true,
				    .mac = {2, 0, 0, 0, 0, 1}};
	node = (struct node_state){.links = &uplink, .n_links = 1, .addrs = on_node};
	memset(addrs, 0, sizeof(addrs));
	for (size_t i = 0; i < ADDRS; i++) {
		addrs[i] = (struct egress_addr){.addr = A(texts[i]),
						.local = true,
						.assign = true,
						.announce = true,
						.interface = (char *)(uintptr_t) "eth0"};
		segment[i].addr = addrs[i].addr;
	}
	segment[ADDRS].addr = A("203.0.113.1");
	segment[ADDRS + 1].addr = A("203.0.113.2");
	claims = (struct claims){0};
	return 0;
}

static int end(void **state)
{
	claims_done(&claims);
	return 0;
}

static void update(void)
{
	n_asked = 0;
	claims_update(&claims, addrs, ADDRS, &node, places);
}

static const struct claim *claim(size_t i)
{
	const struct claim *k = claims_find(&claims, addrs[i].addr);

	assert_non_null(k);
	return k;
}

static void put_there(size_t i)
{
	on_node[node.n_addrs++] = (struct ifaddr){UPLINK, addrs[i].addr, 24, .ours = true};
}

/* What a pass does with what is held. */
static void put_on(void)
{
	for (size_t i = 0; i < ADDRS; i++) {
		if (!places[i].held || node_addr(&node, UPLINK, addrs[i].addr))
			continue;
		put_there(i);
		claims_added(&claims, addrs[i].addr);
	}
}

/* A pass in between does not begin anew. */
static void expect_announced_four_times(size_t addresses)
{
	static const int64_t at[] = {0, 100, 1100, 2200};
	int64_t began = now_ms, next;

	n_sent = 0;
	for (size_t i = 0; i < 4; i++) {
		now_ms = began + at[i];
		update();
		next = claims_run(&claims, now_ms);
		assert_int_equal(n_sent, (i + 1) * addresses);
		assert_int_equal(next, i < 3 ? began + at[i + 1] : 0);
	}
	assert_int_equal(n_asked, 0);
	assert_true(places[0].held);
}

static void what_nobody_has_is_claimed_at_once_and_announced_four_times(void **state)
{
	update();
	assert_int_equal(n_asked, ADDRS);
	for (size_t i = 0; i < ADDRS; i++)
		assert_true(places[i].held && !places[i].comes);
	put_on();
	expect_announced_four_times(ADDRS);
}

static void an_address_of_a_stranger_is_a_conflict_and_asked_for_ever_more_rarely(void **state)
{
	static const int64_t waits[] = {250, 500, 1000, 2000, 4000, 8000, 10000, 10000};

	segment[0].mac = stranger_mac;
	for (size_t i = 0; i < 8; i++) {
		update();
		assert_false(places[0].held || places[0].comes);
		assert_true(places[1].held);
		assert_int_equal(claim(0)->state, CLAIM_CONFLICT);
		assert_string_equal(claim(0)->problem, "02:00:00:00:00:09 has it");
		assert_int_equal(claim(0)->retry_at, now_ms + waits[i]);
		assert_int_equal(claims_retry_at(&claims), now_ms + waits[i]);
		put_on();
		now_ms += waits[i] - 1;
		update();
		assert_int_equal(n_asked, 0);
		now_ms++;
	}
	segment[0].mac = NULL;
	update();
	assert_true(places[0].held);
	assert_string_equal(claim(0)->problem, "");
	assert_int_equal(claims_retry_at(&claims), 0);
}

static void what_cannot_be_asked_for_is_asked_for_again_in_a_second(void **state)
{
	segment[1].broken = true;
	update();
	assert_true(places[0].held && !places[1].held);
	assert_ptr_equal(claims_failed(&claims), claim(1));
	assert_int_equal(claim(1)->state, CLAIM_BLOCKED);
	assert_string_equal(claim(1)->problem, "the socket says no");
	put_on();
	segment[1].broken = false;
	now_ms += 999;
	update(); /* a pass for another reason: it is not due yet, and still not ours */
	assert_int_equal(n_asked, 0);
	assert_false(places[1].held);
	assert_ptr_equal(claims_failed(&claims), claim(1));
	now_ms++;
	update();
	assert_true(places[1].held);
	assert_null(claims_failed(&claims));
}

static void without_an_interface_with_carrier_nothing_is_asked(void **state)
{
	static const struct {
		uint32_t flags;
		const char *problem;
	} cases[] = {{IFF_UP, "its interface has no carrier"}, {0, "its interface is down"}};

	for (size_t i = 0; i < 2; i++) {
		uplink.flags = cases[i].flags;
		update();
		assert_int_equal(n_asked, 0);
		assert_false(places[0].held);
		assert_string_equal(claim(0)->problem, cases[i].problem);
		assert_null(claims_failed(&claims)); /* trying again would change nothing */
		now_ms += 10000;
	}
	uplink.flags = IFF_UP | IFF_RUNNING;
	update();
	assert_true(places[0].held);
	node.n_links = 0;
	now_ms += 10000;
	update();
	assert_string_equal(claim(0)->problem, "its interface is gone");
}

static void an_address_that_is_not_announced_is_not_asked_for(void **state)
{
	addrs[0].announce = false;
	segment[0].mac = stranger_mac;
	update();
	assert_int_equal(n_asked, ADDRS - 1);
	assert_true(places[0].held);
	put_on();
	claims_run(&claims, now_ms);
	assert_int_equal(n_sent, ADDRS - 1);
}

static void what_was_taken_off_is_asked_for_before_it_is_put_back(void **state)
{
	update();
	put_on();
	node.n_addrs = 0;
	segment[2].mac = stranger_mac;
	update();
	assert_int_equal(n_asked, ADDRS);
	assert_true(places[0].held && !places[2].held);
}

static void an_interface_that_is_back_announces_again(void **state)
{
	static const uint32_t flags[] = {IFF_UP, 0}; /* without carrier, and down */

	update();
	put_on();
	for (size_t i = 0; i < 2; i++) {
		expect_announced_four_times(ADDRS);
		uplink.flags = flags[i];
		update();
		assert_int_equal(claims_run(&claims, now_ms), 0); /* nobody would hear it */
		uplink.flags = IFF_UP | IFF_RUNNING;
	}
	expect_announced_four_times(ADDRS);
}

/* Who put it there may have ended before it said so. */
static void what_a_start_finds_in_place_is_announced_and_not_asked_for(void **state)
{
	for (size_t i = 0; i < ADDRS; i++)
		put_there(i);
	expect_announced_four_times(ADDRS);
}

static void what_is_wanted_no_more_is_forgotten(void **state)
{
	segment[0].mac = stranger_mac;
	update();
	addrs[0].local = false;
	addrs[0].owner = (char *)(uintptr_t) "b";
	update();
	assert_null(claims_find(&claims, addrs[0].addr));
	assert_int_equal(claims_retry_at(&claims), 0);
}

/* ---- among gateways ---- */

static const struct member_conf list[] = {{"a", 100, 300, 1}, {"b", 100, 300, 1}};
static struct membership ms;
static struct members *other;

/* This node is a; b is heard, or has never been. */
static int begin_two(void **state)
{
	struct members_self self = {0};

	begin(state);
	ms = (struct membership){.n = 1, .fds = {-1, -1}};
	ms.m = members_new(1, &self, now_ms);
	members_configure(ms.m, "a", list, 2, now_ms);
	self.n_macs = 1;
	memcpy(self.macs[0], peer_mac, 6);
	other = members_new(1, &self, now_ms);
	members_configure(other, "b", list, 2, now_ms);
	claims.membership = &ms;
	return 0;
}

static int end_two(void **state)
{
	members_free(ms.m);
	members_free(other);
	return end(state);
}

/* Both speak for so long; only a hears when b is cut off. */
static void talk(int64_t ms_long, bool b_speaks)
{
	for (int64_t until = now_ms + ms_long; now_ms < until; now_ms += 10) {
		struct heartbeat h;
		size_t peer;

		members_tick(ms.m, now_ms);
		members_tick(other, now_ms);
		while (members_send(other, now_ms, &peer, &h))
			if (b_speaks)
				members_receive(ms.m, &h, now_ms);
		while (members_send(ms.m, now_ms, &peer, &h))
			members_receive(other, &h, now_ms);
	}
}

static void a_gateway_that_is_heard_lets_go_in_its_time(void **state)
{
	talk(3000, true);
	segment[0].mac = segment[1].mac = peer_mac;
	update();
	assert_int_equal(claim(0)->state, CLAIM_PEER);
	assert_true(places[0].comes && !places[0].held);
	assert_true(places[2].held);
	assert_string_equal(claim(0)->problem, "b has it still");
	/* 100 ms, and 2 for each of the two */
	assert_int_equal(claim(0)->retry_at, now_ms + 104);
	segment[0].mac = NULL;
	now_ms += 104;
	update();
	assert_true(places[0].held && !places[1].held);
}

static void a_gateway_that_is_heard_and_does_not_let_go_is_a_conflict_in_the_end(void **state)
{
	int turns = 0;

	talk(3000, true);
	segment[0].mac = peer_mac;
	for (; turns < 200; turns++) {
		update();
		if (claim(0)->state == CLAIM_CONFLICT)
			break;
		put_on();
		talk(110, true);
	}
	assert_int_equal(turns, 100);
}

static void a_gateway_whose_daemon_is_away_keeps_its_address(void **state)
{
	talk(3000, true);
	talk(3000, false);
	segment[0].mac = peer_mac;
	for (int i = 0; i < 200; i++) {
		update();
		assert_int_equal(claim(0)->state, CLAIM_PEER);
		assert_string_equal(claim(0)->problem, "b has it, only its daemon is away");
		put_on();
		talk(110, false);
	}
}

static void nothing_is_asked_for_or_announced_before_the_others_could_be_heard(void **state)
{
	put_there(1);
	update();
	claims_run(&claims, now_ms);
	assert_int_equal(n_asked + n_sent, 0); /* another one may have taken it over */
	assert_true(!places[0].held && places[1].held);
	talk(3000, false);
	update();
	claims_run(&claims, now_ms);
	assert_int_equal(n_asked, ADDRS - 1);
	assert_int_equal(n_sent, 1);
	assert_true(places[0].held);
}

static bool must_see;

static size_t witnesses(void *data, uint32_t ifindex, bool v4, struct addr ret[CLAIMS_WITNESSES],
			bool *ret_must)
{
	*ret_must = must_see;
	if (!v4)
		return 0;
	ret[0] = segment[ADDRS].addr;
	ret[1] = segment[ADDRS + 1].addr;
	return 2;
}

static void who_hears_nobody_claims_only_where_a_witness_answers(void **state)
{
	claims.segment.witnesses = witnesses;
	must_see = true;
	talk(3000, false);
	assert_true(membership_alone(&ms));
	update();
	assert_int_equal(n_asked, ADDRS + 2);
	assert_false(places[0].held);
	assert_string_equal(claim(0)->problem,
			    "nobody on the segment is seen, no other gateway is heard");
	assert_int_equal(claim(0)->retry_at, now_ms + 250);
	now_ms += 250;
	segment[ADDRS + 1].mac = stranger_mac;
	update();
	assert_true(places[0].held && places[2].held);
}

static void where_no_witness_is_known_silence_is_enough(void **state)
{
	claims.segment.witnesses = witnesses;
	must_see = false;
	talk(3000, false);
	update();
	assert_true(places[0].held);
}

int main(void)
{
#define ALONE(f) cmocka_unit_test_setup_teardown(f, begin, end)
#define TWO(f)	 cmocka_unit_test_setup_teardown(f, begin_two, end_two)
	const struct CMUnitTest tests[] = {
		ALONE(what_nobody_has_is_claimed_at_once_and_announced_four_times),
		ALONE(an_address_of_a_stranger_is_a_conflict_and_asked_for_ever_more_rarely),
		ALONE(what_cannot_be_asked_for_is_asked_for_again_in_a_second),
		ALONE(without_an_interface_with_carrier_nothing_is_asked),
		ALONE(an_address_that_is_not_announced_is_not_asked_for),
		ALONE(what_was_taken_off_is_asked_for_before_it_is_put_back),
		ALONE(an_interface_that_is_back_announces_again),
		ALONE(what_a_start_finds_in_place_is_announced_and_not_asked_for),
		ALONE(what_is_wanted_no_more_is_forgotten),
		TWO(a_gateway_that_is_heard_lets_go_in_its_time),
		TWO(a_gateway_that_is_heard_and_does_not_let_go_is_a_conflict_in_the_end),
		TWO(a_gateway_whose_daemon_is_away_keeps_its_address),
		TWO(nothing_is_asked_for_or_announced_before_the_others_could_be_heard),
		TWO(who_hears_nobody_claims_only_where_a_witness_answers),
		TWO(where_no_witness_is_known_silence_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
