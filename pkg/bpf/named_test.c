/* SPDX-License-Identifier: Apache-2.0 */
/* What slu_from_pod makes of names that were learned. */
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "testkit/dns_world.h"
#include "testkit/netns_fixture.h"

#define PROG   BPF_PROG_FROM_POD
#define ADDR   "198.51.100.7"
#define POLICY 60
#define ALLOWS 0 /* rules of the policy: api.example.com … */
#define DENIES 1 /* … and everything else */

static struct slu_policy policy;

/* A pod that may reach api.example.com on TCP port 443 and by UDP, and nothing else outside. */
static void start(void)
{
	const struct slu_cell nothing = world_cell(SLU_STEPS - 1, SLU_NO_RULE, SLU_NO_RULE);
	const struct slu_cell allowed = world_cell(1, ALLOWS, SLU_NO_RULE);
	const struct slu_range ranges[] = {
		{0, nothing},
		{IPPROTO_TCP << 16 | 443, allowed},
		{IPPROTO_TCP << 16 | 444, nothing},
		{IPPROTO_UDP << 16, allowed},
		{(IPPROTO_UDP + 1) << 16, nothing},
	};

	names_world();
	policy = world_policy_of("ad", 0, world_cell(3, DENIES, SLU_NO_RULE));
	policy.flags = SLU_POLICY_NAMES;
	names_class(&policy, 1, world_class(ranges, sizeof(ranges) / sizeof(ranges[0])));
	world_policy(POLICY, &policy);
	world_pod_of(POLICY, 0);
}

static void tell(uint32_t ttl)
{
	struct dns_message m;

	dns_answer(&m, "api.example.com");
	dns_addr(&m, NULL, ADDR, ttl);
	names_tell(&m);
	assert_int_equal(names_of(ADDR) & 1, 1);
}

/* As if its time were over; the world's clock cannot be turned. */
static void expire(void)
{
	struct slu_named v;

	assert_true(names_known(ADDR, &v));
	for (int i = 0; i < SLU_MAX_NAMES_AT; i++)
		v.at[i].until = v.at[i].name ? names_now() : 0;
	names_known_set(ADDR, &v);
}

static void tcp(struct packet *p, uint16_t sport, uint16_t dport, uint8_t flags)
{
	*p = (struct packet){.len = 0};
	world_frame(p, POD_V4, ADDR);
	packet_tcp(p, sport, dport, flags);
	packet_finish(p);
}

static void sends(uint16_t sport, uint16_t dport, uint8_t flags, bool passes)
{
	struct packet p;

	tcp(&p, sport, dport, flags);
	world_expect_mark(PROG, &p, world_mark(passes ? SLU_ID_CHECK : SLU_DROP_DENIED), "tcp");
}

static void sends_udp(bool passes)
{
	struct packet p = {.len = 0};

	world_udp(&p, POD_V4, ADDR, 5000);
	world_expect_mark(PROG, &p, world_mark(passes ? SLU_ID_CHECK : SLU_DROP_DENIED), "udp");
}

static void a_name_opens_its_ports_once_it_is_known(void **state)
{
	start();
	sends(1000, 443, PACKET_TCP_SYN, false);
	tell(300);
	sends(1000, 443, PACKET_TCP_SYN, true);
	sends(1000, 442, PACKET_TCP_SYN, false);
	sends(1000, 444, PACKET_TCP_SYN, false);
	sends_udp(true);
}

static void an_expired_name_closes_for_new_connections_alone(void **state)
{
	start();
	tell(300);
	sends(1001, 443, PACKET_TCP_SYN, true);
	sends_udp(true);
	expire();
	sends(1001, 443, PACKET_TCP_ACK, true);
	sends(1001, 443, PACKET_TCP_ACK | PACKET_TCP_FIN, true);
	sends_udp(true);
	sends(1002, 443, PACKET_TCP_ACK, false); /* not one that was open */
	sends(1001, 443, PACKET_TCP_SYN, false); /* a new one with the same ports */
	tell(300);
	sends(1001, 443, PACKET_TCP_SYN, true);
}

static void a_connection_that_was_denied_is_not_kept(void **state)
{
	start();
	tell(300);
	sends(1003, 80, PACKET_TCP_SYN, false);
	expire();
	sends(1003, 80, PACKET_TCP_ACK, false);
}

static void an_edit_that_takes_the_rule_away_ends_what_is_open(void **state)
{
	start();
	tell(300);
	sends(1004, 443, PACKET_TCP_SYN, true);
	expire();
	sends(1004, 443, PACKET_TCP_ACK, true);
	names_class(&policy, 1, 0);
	sends(1004, 443, PACKET_TCP_ACK, false);
}

static void what_has_been_silent_for_long_is_over(void **state)
{
	struct slu_flow key = {.local = world_addr(POD_V4),
			       .remote = world_addr(ADDR),
			       .proto = IPPROTO_UDP,
			       .lport = htons(40000),
			       .rport = htons(5000)};
	struct slu_name_flow v;
	struct err e = {0};

	start();
	tell(300);
	sends_udp(true);
	expire();
	expect_ok(bpf_map_lookup(world_pins(), BPF_MAP_NAME_FLOWS, &key, &v, &e), &e);
	v.seen = names_now() - SLU_FLOW_IDLE + 10;
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_NAME_FLOWS, &key, &v, &e), &e);
	sends_udp(true);
	v.seen = names_now() - SLU_FLOW_IDLE - 1;
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_NAME_FLOWS, &key, &v, &e), &e);
	world_epoch(); /* the second in which it was asked last is over, too */
	sends_udp(false);
}

static void two_names_of_one_address_are_judged_by_the_order_of_rules(void **state)
{
	struct dns_message m;

	start();
	names_class(&policy, 4,
		    world_class_one(world_cell(0, DENIES, SLU_NO_RULE))); /* an earlier step */
	tell(300);
	sends(1005, 443, PACKET_TCP_SYN, true);
	dns_answer(&m, "edge.cdn.example.net");
	dns_addr(&m, NULL, ADDR, 300);
	names_tell(&m);
	sends(1005, 443, PACKET_TCP_ACK, false);
	sends(1006, 443, PACKET_TCP_SYN, false);
}

static void the_probe_of_explain_opens_nothing(void **state)
{
	struct world_run r;
	struct packet p;

	start();
	tell(300);
	tcp(&p, 1007, 443, PACKET_TCP_SYN);
	world_probe(PROG, &p, &r);
	expire();
	sends(1007, 443, PACKET_TCP_ACK, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_opens_its_ports_once_it_is_known),
		cmocka_unit_test(an_expired_name_closes_for_new_connections_alone),
		cmocka_unit_test(a_connection_that_was_denied_is_not_kept),
		cmocka_unit_test(an_edit_that_takes_the_rule_away_ends_what_is_open),
		cmocka_unit_test(what_has_been_silent_for_long_is_over),
		cmocka_unit_test(two_names_of_one_address_are_judged_by_the_order_of_rules),
		cmocka_unit_test(the_probe_of_explain_opens_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
