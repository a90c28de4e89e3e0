/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/moving.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "testkit/addr_fixture.h"
#include "testkit/netns_fixture.h"

#define A  addr_of
#define N1 "172.31.7.11"
#define G1 "172.31.7.21"
#define G2 "172.31.7.22"

static struct slu_addr S(const char *s) {
	struct slu_addr ret;

	memcpy(ret.w, A(s).b, sizeof(ret.w));
	return ret;
}

/* self, then the two others under the numbers that this node gave them */
static struct dp_model *
model(const char *self, const char *first, const char *second, uint32_t id)
{
	struct dp_model *m = dp_model_new();

	m->config = (struct slu_config){
		.mark_mask = 0xffe00000, .mark_shift = 21, .divert = 1u << 31, .self_v4 = S(self)};
	m->nodes[1].v4 = S(first);
	m->nodes[2].v4 = S(second);
	m->egress[id] = (struct slu_egress){.state = SLU_ADDR_LOCAL, .addr = S("203.0.113.10")};
	return m;
}

static struct ct_flow flow(uint16_t zone, uint32_t mark)
{
	return (struct ct_flow){
		.src = A("10.244.1.5"),
		.dst = A("198.51.100.7"),
		.seen = A("203.0.113.10"),
		.sport = 4000,
		.dport = 443,
		.seen_port = 4001,
		.proto = IPPROTO_TCP,
		.zone = zone,
		.mark = mark,
		.answered = true,
		.assured = true,
		.timeout = 600,
		.tcp_state = 3,
		.tcp_wscale = {7, TCP_WSCALE_NONE},
	};
}

struct gateways {
	struct dp_model *g1, *g2;
};

static int setup(void **state)
{
	static struct gateways g;

	g.g1 = model(G1, N1, G2, 20);
	g.g2 = model(G2, G1, N1, 33);
	*state = &g;
	return 0;
}

static int teardown(void **state)
{
	struct gateways *g = *state;

	dp_model_free(g->g1);
	dp_model_free(g->g2);
	return 0;
}

static void expect_moved(const struct gateways *g, uint32_t mark_there, uint32_t mark_here)
{
	struct ct_flow f = flow(20, mark_there), want = flow(33, mark_here), got;
	struct move_flow m;

	assert_true(moving_from_flow(g->g1, &f, &m));
	assert_int_equal(moving_to_flows(g->g2, &m, 1, &got), 1);
	assert_memory_equal(&got, &want, sizeof(got));
}

static void a_pod_of_a_third_node_stays_there(void **state)
{
	expect_moved(*state, 1u << 21, 2u << 21);
}

static void a_pod_of_the_old_gateway_is_now_far_away(void **state)
{
	expect_moved(*state, 1u << 31, 1u << 21);
}

static void a_pod_of_the_new_gateway_is_at_home(void **state)
{
	expect_moved(*state, 2u << 21, 1u << 31);
}

static void what_cannot_go_on_is_left_out(void **state)
{
	const struct gateways *g = *state;
	struct ct_flow f = flow(20, 1u << 31), got;
	struct move_flow m;

	f.ended = true;
	assert_false(moving_from_flow(g->g1, &f, &m));
	f = flow(20, 1u << 31);
	f.dnat = true;
	assert_false(moving_from_flow(g->g1, &f, &m));
	f = flow(21, 1u << 31); /* another address's zone */
	assert_false(moving_from_flow(g->g1, &f, &m));
	f = flow(20, 9u << 21); /* a node that is gone */
	assert_false(moving_from_flow(g->g1, &f, &m));
	f = flow(20, 1u << 31);
	assert_true(moving_from_flow(g->g1, &f, &m));
	m.node = A("172.31.7.99");
	assert_int_equal(moving_to_flows(g->g2, &m, 1, &got), 0);
	m.node = A(G1);
	m.seen = A("203.0.113.99");
	assert_int_equal(moving_to_flows(g->g2, &m, 1, &got), 0);
}

static void takes_over_and_forgets_in_the_kernel(void **state)
{
	const struct gateways *g = *state;
	struct move_flow *flows = NULL;
	struct addr a = A("203.0.113.10");
	struct err e = {0};
	size_t n = 0;

	netns_fresh();
	if (sh_status("conntrack -L") != 0) {
		print_message("skipped: no conntrack tool, or no conntrack in this kernel\n");
		skip();
	}
	sh("conntrack -I -s 10.244.1.5 -d 198.51.100.7 -p udp --sport 1 --dport 53 -t 60"
	   " --orig-zone 20 --src-nat 203.0.113.10:4001 -u SEEN_REPLY -m 2097152;"
	   "conntrack -I -s 10.244.1.5 -d 198.51.100.7 -p udp --sport 1 --dport 53 -t 60"
	   " --orig-zone 21 --src-nat 203.0.113.10:4002 -u SEEN_REPLY -m 2097152");
	expect_ok(moving_list(g->g1, &a, 1, &flows, &n, &e), &e);
	assert_int_equal(n, 1);
	sh("conntrack -F");
	expect_ok(moving_make(g->g2, flows, n, &n, &e), &e);
	assert_int_equal(n, 1);
	sh("conntrack -L | grep 'sport=1.*zone-orig=33.*dport=4001.*mark=4194304'");
	expect_ok(moving_forget(g->g2, &a, 1, &n, &e), &e);
	assert_int_equal(n, 1);
	sh("test $(conntrack -C) = 0");
	free(flows);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_pod_of_a_third_node_stays_there),
		TEST(a_pod_of_the_old_gateway_is_now_far_away),
		TEST(a_pod_of_the_new_gateway_is_at_home),
		TEST(what_cannot_go_on_is_left_out),
		TEST(takes_over_and_forgets_in_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
