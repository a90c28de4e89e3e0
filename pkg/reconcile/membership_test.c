/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two nodes with their sockets, on two addresses of this machine's loopback: who is heard, and
 * what that decides. The loop and the clock are this file's.
 */
#include "reconcile/membership.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "testkit/policy_fixture.h"

#define NODE(NAME, ADDR)                                                                     \
	"---\napiVersion: v1\nkind: Node\nmetadata: {name: " NAME ", labels: {gw: 'yes'}}\n" \
	"status: {addresses: [{type: InternalIP, address: '" ADDR "'}]}\n"
#define OFFICE                                                                                  \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: {name: office}\n" \
	"spec: {allowedNamespaces: {}, addresses: [{range: 203.0.113.16/28}], "                 \
	"nodeSelector: {matchLabels: {gw: 'yes'}}}\n"

/* ---- the loop and the clock ---- */

struct loop_timer {
	int64_t at;
};

static int64_t now_ms;
static int listened; /* sockets that the loop waits for */
static struct loop_timer *armed;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	*ts = (struct timespec){.tv_sec = now_ms / 1000, .tv_nsec = now_ms % 1000 * 1000000};
	return 0;
}

int loop_add_fd(struct loop *l, int fd, uint32_t events,
		void (*fn)(int fd, uint32_t events, void *data), void *data, struct err *e)
{
	listened++;
	return 0;
}

void loop_del_fd(struct loop *l, int fd)
{
	listened--;
}

int loop_timer_new(struct loop *l, void (*fn)(void *data), void *data, struct loop_timer **ret,
		   struct err *e)
{
	*ret = mem_alloc0(sizeof(**ret));
	return 0;
}

void loop_timer_arm(struct loop_timer *t, int64_t ms)
{
	t->at = now_ms + ms;
	armed = t;
}

void loop_timer_free(struct loop_timer *t)
{
	free(t);
}

/* ---- two nodes ---- */

struct side {
	struct daemon_conf conf;
	struct membership *ms;
	struct policy_fixture f;
	struct link_info links[2];
	struct ifaddr addrs[2];
	struct node_state node;
	uint64_t passes; /* that membership asked for */
};

static struct world {
	struct side a, b;
} w;

static void on_changed(void *data)
{
	((struct side *)data)->passes++;
}

/* A port that is free at both addresses, most likely. */
static uint16_t free_port(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000003)};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	close(fd);
	return ntohs(sa.sin_port);
}

static void side_start(struct side *s, const char *name, uint16_t port)
{
	static char no_loop;
	const struct membership_in in = {.loop = (struct loop *)(void *)&no_loop,
					 .conf = &s->conf,
					 .changed = on_changed,
					 .data = s};

	s->conf.gateway_port = port;
	policy_fixture_init(&s->f, NODE("a", "127.0.0.3") NODE("b", "127.0.0.4") OFFICE, name,
			    "eth1 203.0.113.2/24");
	s->links[0] = (struct link_info){.ifindex = 7,
					 .name = "eth1",
					 .flags = IFF_UP | IFF_RUNNING,
					 .has_mac = true,
					 .mac = {2, 0, 0, 0, 0, (uint8_t)*name}};
	s->links[1] = (struct link_info){.ifindex = 8, .name = "sluice0"};
	s->node = (struct node_state){.links = s->links, .n_links = 2, .addrs = s->addrs};
	assert_int_equal(membership_new(&in, &s->ms, NULL), 0);
	assert_true(membership_settled(s->ms));
	membership_configure(s->ms, s->f.c, name, &s->node);
}

static bool speaks(const struct side *s)
{
	struct json *status = membership_status(s->ms);
	const char *text;
	bool on;

	assert_int_equal(json_string(json_get(status, "heartbeats"), &text, NULL), 0);
	on = strcmp(text, "on") == 0;
	json_free(status);
	return on;
}

static int end(void **state)
{
	membership_free(w.a.ms);
	membership_free(w.b.ms);
	policy_fixture_done(&w.a.f);
	policy_fixture_done(&w.b.f);
	return 0;
}

static int begin(void **state)
{
	now_ms = 1700000000000;
	for (int i = 0;; i++) {
		uint16_t port = free_port();

		memset(&w, 0, sizeof(w));
		listened = 0;
		side_start(&w.a, "a", port);
		side_start(&w.b, "b", port);
		if (speaks(&w.a) && speaks(&w.b))
			return 0;
		assert_true(i < 20); /* others on this machine take ports, too */
		end(state);
	}
}

/* Time passes; b is up or not. */
static void run(int64_t ms, bool b_up)
{
	for (int64_t until = now_ms + ms; now_ms < until; now_ms += 10) {
		if (b_up)
			membership_run(w.b.ms);
		membership_run(w.a.ms);
	}
}

static struct node_view view(struct side *s)
{
	struct node_view v = {0};

	membership_view(s->ms, &s->node, &v);
	return v;
}

/* The tier that s gives a node, -1: none. */
static int tier_of(struct side *s, const char *node)
{
	struct node_view v = view(s);

	for (size_t i = 0; i < v.n_tiers; i++)
		if (strcmp(v.tiers[i].name, node) == 0)
			return v.tiers[i].tier;
	return -1;
}

static void two_that_hear_each_other_both_live(void **state)
{
	struct node_view v;

	assert_false(membership_settled(w.a.ms));
	run(3000, true);
	assert_true(membership_settled(w.a.ms));
	assert_false(membership_alone(w.a.ms));
	v = view(&w.a);
	assert_int_equal(v.n_tiers, 2);
	assert_string_equal(v.tiers[0].name, "a");
	assert_string_equal(v.tiers[1].name, "b");
	assert_int_equal(v.n_kept, 0);
	assert_int_equal(tier_of(&w.b, "a"), RANK_LIVE);
	assert_int_equal(tier_of(&w.b, "b"), RANK_LIVE);
	assert_false(membership_gone(w.a.ms, "b"));
	assert_true(membership_returns(w.a.ms) >= 1);
}

static void who_is_silent_is_away_and_comes_back_as_one_that_returns(void **state)
{
	uint64_t serial, returns;

	run(3000, true);
	serial = membership_serial(w.a.ms);
	returns = membership_returns(w.a.ms);
	run(2000, false);
	assert_int_equal(tier_of(&w.a, "b"), RANK_AWAY);
	assert_true(membership_serial(w.a.ms) > serial);
	assert_true(membership_alone(w.a.ms) && membership_gone(w.a.ms, "b"));
	run(3000, true);
	assert_int_equal(tier_of(&w.a, "b"), RANK_LIVE);
	assert_true(membership_returns(w.a.ms) > returns);
	assert_false(membership_alone(w.a.ms));
}

/* Until who is there is known, who starts keeps what a daemon before had put on. */
static void what_was_there_is_kept_until_the_others_had_time(void **state)
{
	struct node_view v;

	w.a.addrs[0] = (struct ifaddr){
		.ifindex = 7, .addr = addr_of("203.0.113.20"), .prefix_len = 24, .ours = true};
	w.a.addrs[1] = (struct ifaddr){
		.ifindex = 8, .addr = addr_of("203.0.113.21"), .prefix_len = 32, .ours = true};
	w.a.node.n_addrs = 2;
	v = view(&w.a);
	assert_int_equal(v.n_tiers, 1); /* b could not be heard yet: taken to be there */
	assert_int_equal(v.n_kept, 1);
	assert_true(addr_eq(v.kept[0], addr_of("203.0.113.20")));
	run(3000, false);
	v = view(&w.a);
	assert_int_equal(v.n_kept, 0);
	assert_int_equal(tier_of(&w.a, "b"), RANK_AWAY);
}

static void who_is_drained_is_there_and_owns_nothing(void **state)
{
	run(3000, true);
	membership_drain(w.b.ms, true);
	run(1000, true);
	assert_int_equal(tier_of(&w.a, "b"), RANK_JOINING);
	assert_int_equal(tier_of(&w.b, "b"), RANK_JOINING);
	assert_false(membership_gone(w.a.ms, "b")); /* it has its addresses to hand over */
	membership_drain(w.b.ms, false);
	run(4000, true);
	assert_int_equal(tier_of(&w.a, "b"), RANK_LIVE);
}

static void a_mac_tells_whose_it_is_and_whether_its_daemon_is_heard(void **state)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 'b'}, other[6] = {2, 0, 0, 0, 0, 'x'};
	const struct egress_addr *addrs;
	bool heard = false;
	size_t n;

	addrs = compiled_addrs(w.b.f.c, &n);
	assert_true(n > 0 && addrs[0].assign);
	membership_holds(w.b.ms, w.b.f.c, &w.b.node); /* says its uplink's */
	run(3000, true);
	assert_string_equal(membership_mac(w.a.ms, mac, &heard), "b");
	assert_true(heard);
	assert_null(membership_mac(w.a.ms, other, &heard));
	run(2000, false);
	assert_string_equal(membership_mac(w.a.ms, mac, &heard), "b");
	assert_false(heard);
}

static void who_has_no_carrier_is_none_of_the_owners(void **state)
{
	membership_holds(w.b.ms, w.b.f.c, &w.b.node);
	run(3000, true);
	assert_int_equal(tier_of(&w.a, "b"), RANK_LIVE);
	w.b.links[0].flags = IFF_UP;
	membership_holds(w.b.ms, w.b.f.c, &w.b.node);
	run(500, true);
	assert_int_equal(tier_of(&w.a, "b"), RANK_AWAY);
	assert_int_equal(tier_of(&w.a, "a"), RANK_LIVE);
}

static int64_t packets(const struct json *status, const char *fate)
{
	int64_t n;

	assert_int_equal(
		json_int(json_get(json_get(status, "packets"), fate), 0, INT64_MAX, &n, NULL), 0);
	return n;
}

static void garbage_send(const struct side *s, int n)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(0x7f000003),
				 .sin_port = htons(s->conf.gateway_port)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	while (n--)
		assert_int_equal(sendto(fd, "hello", 5, 0, (struct sockaddr *)&sa, sizeof(sa)), 5);
	close(fd);
}

static void a_packet_under_another_key_is_counted_and_worth_nothing(void **state)
{
	struct json *status;

	run(3000, true);
	garbage_send(&w.a, 1);
	run(20, true);
	status = membership_status(w.a.ms);
	assert_int_equal(packets(status, "garbage"), 1);
	assert_int_equal(packets(status, "wrongKey"), 0);
	json_free(status);
}

static void of_many_peers_packets_gather_but_for_a_flood(void **state)
{
	char text[4096];
	size_t at = (size_t)snprintf(text, sizeof(text), "%s", NODE("a", "127.0.0.3") OFFICE);

	membership_free(w.b.ms);
	w.b.ms = NULL;
	for (int i = 0; i < 12; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, NODE("n%d", "127.0.1.%d"), i,
				       i + 1);
	assert_int_equal(listened, 1); /* with one peer each is an event */
	policy_fixture_done(&w.a.f);
	policy_fixture_init(&w.a.f, text, "a", "eth1 203.0.113.2/24");
	membership_configure(w.a.ms, w.a.f.c, "a", &w.a.node);
	run(500, false);
	assert_int_equal(listened, 0);
	assert_in_range(armed->at, now_ms - 10, now_ms + 20);
	garbage_send(&w.a, 200);
	run(20, false);
	assert_int_equal(listened, 1);
	run(900, false);
	assert_int_equal(listened, 1);
	run(200, false);
	assert_int_equal(listened, 0);
}

static void without_heartbeats_everybody_lives(void **state)
{
	struct node_view v = {0};
	bool heard;

	assert_true(membership_settled(NULL));
	assert_false(membership_alone(NULL) || membership_gone(NULL, "b"));
	assert_null(membership_mac(NULL, (const uint8_t[6]){2}, &heard));
	assert_int_equal(membership_serial(NULL) | membership_returns(NULL), 0);
	membership_view(NULL, &w.a.node, &v);
	assert_int_equal(v.n_tiers | v.n_kept, 0);
	assert_false(membership_configure(NULL, w.a.f.c, "a", &w.a.node));
}

int main(void)
{
#define TWO(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TWO(two_that_hear_each_other_both_live),
		TWO(who_is_silent_is_away_and_comes_back_as_one_that_returns),
		TWO(what_was_there_is_kept_until_the_others_had_time),
		TWO(who_is_drained_is_there_and_owns_nothing),
		TWO(a_mac_tells_whose_it_is_and_whether_its_daemon_is_heard),
		TWO(who_has_no_carrier_is_none_of_the_owners),
		TWO(a_packet_under_another_key_is_counted_and_worth_nothing),
		TWO(of_many_peers_packets_gather_but_for_a_flood),
		TWO(without_heartbeats_everybody_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
