/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/conntrack.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "testkit/addr_fixture.h"
#include "testkit/netns_fixture.h"

#define A addr_of

static void need_conntrack(void)
{
	netns_fresh();
	if (sh_status("conntrack -L") != 0) {
		print_message("skipped: no conntrack tool, or no conntrack in this kernel\n");
		skip();
	}
}

static int forget(struct addr a, size_t *ret_n, struct err *e)
{
	return conntrack_forget_sources(&a, 1, ret_n, e);
}

static void forgets_a_source_in_every_zone_and_nobody_else(void **state)
{
	struct err e = {0};
	size_t n = 99;

	need_conntrack();
	sh("for s in 10.0.0.5 10.0.0.6 fd00::5 fd00::6; do for z in '--sport 1' '--sport 1 -w 7' "
	   "'--sport 3 --orig-zone 9'; do"
	   " case $s in fd*) d=fd00::99;; *) d=10.0.0.5;; esac;"
	   " conntrack -I -s $s -d $d -p udp $z --dport 2 -t 60 || exit 1;"
	   " done; done; conntrack -I -s 10.0.0.5 -d 192.0.2.1 -p icmp --icmp-type 8 --icmp-code 0"
	   " --icmp-id 5 -t 60");
	expect_ok(forget(A("10.0.0.5"), &n, &e), &e);
	assert_int_equal(n, 4);
	expect_ok(forget(A("10.0.0.5"), &n, &e), &e);
	assert_int_equal(n, 0);
	expect_ok(forget(A("fd00::5"), &n, &e), &e);
	assert_int_equal(n, 3);
	sh("test $(conntrack -L -f ipv4 2>/dev/null | wc -l) = 3");
	sh("test $(conntrack -L -f ipv6 2>/dev/null | wc -l) = 3");
}

static void forgets_more_than_one_buffer_holds(void **state)
{
	struct err e = {0};
	size_t n = 0;

	need_conntrack();
	sh("for i in $(seq 600); do echo -I -s 10.0.0.5 -d 192.0.2.1 -p udp --sport $i --dport 2"
	   " -t 60; done >/tmp/ct-test-$$ && conntrack -R /tmp/ct-test-$$; rm /tmp/ct-test-$$;"
	   " test $(conntrack -C) = 600");
	expect_ok(forget(A("10.0.0.5"), &n, &e), &e);
	assert_int_equal(n, 600);
	sh("test $(conntrack -C) = 0");
}

static const struct ct_flow *flow_find(const struct ct_flow *flows, size_t n, const char *src,
				       uint16_t sport, uint16_t zone)
{
	for (size_t i = 0; i < n; i++)
		if (addr_eq(flows[i].src, A(src)) && flows[i].sport == sport &&
		    flows[i].zone == zone)
			return &flows[i];
	return NULL;
}

static void expect_flow(const struct ct_flow *have, const struct ct_flow *want)
{
	assert_non_null(have);
	assert_string_equal(addr_str(have->dst), addr_str(want->dst));
	assert_string_equal(addr_str(have->seen), addr_str(want->seen));
	assert_int_equal(have->dport, want->dport);
	assert_int_equal(have->proto, want->proto);
	assert_int_equal(have->mark, want->mark);
	assert_int_equal(have->ended, want->ended);
	assert_int_equal(have->dnat, want->dnat);
}

static void make_flows(void)
{
	sh("conntrack -I -s 10.0.0.5 -d 192.0.2.1 -p udp --sport 1 --dport 53 -t 60 -m 0x82000000;"
	   "conntrack -I -s 10.0.0.5 -d 192.0.2.1 -p udp --sport 1 --dport 53 -t 60 -w 7;"
	   "conntrack -I -s 10.0.0.5 -d 192.0.2.1 -p udp --sport 1 --dport 53 -t 60 --orig-zone 17"
	   " --src-nat 203.0.113.9 -m 5;"
	   "conntrack -I -s 10.0.0.5 -d 192.0.2.1 -p udp --sport 4 --dport 53 -t 60"
	   " --reply-zone 18;"
	   "conntrack -I -s 10.0.0.5 -d 192.0.2.1 -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 5"
	   " -t 60");
	sh("conntrack -I -s 10.0.0.6 -d 192.0.2.1 -p udp --sport 1 --dport 53 -t 60;"
	   "conntrack -I -s 10.0.0.4 -d 10.0.0.5 -p udp --sport 1 --dport 53 -t 60;"
	   "for s in ESTABLISHED TIME_WAIT CLOSE; do i=$((i + 1));"
	   " conntrack -I -s fd00::5 -d fd00::99 -p tcp --sport $i --dport 80 -t 60 --state $s"
	   " --orig-zone 16 || exit 1; done;"
	   "conntrack -I -s fd00::7 -d fd00::99 -p udp --sport 9 --dport 80 -t 60"
	   " --dst-nat fd00::100");
}

static void lists_what_each_connection_began_as(void **state)
{
	struct addr sources[] = {A("10.0.0.5"), A("fd00::5"), A("fd00::7"), A("fd00::8")};
	struct ct_flow want = {
		.dst = A("192.0.2.1"), .seen = A("10.0.0.5"), .dport = 53, .proto = 17};
	struct ct_flow *flows = NULL;
	struct err e = {0};
	size_t n = 99;

	need_conntrack();
	make_flows();
	expect_ok(conntrack_list(sources, 4, &flows, &n, &e), &e);
	assert_int_equal(n, 8);
	want.mark = 0x82000000;
	expect_flow(flow_find(flows, n, "10.0.0.5", 1, 0), &want);
	want.mark = 0;
	expect_flow(flow_find(flows, n, "10.0.0.5", 4, 0), &want);
	expect_flow(flow_find(flows, n, "10.0.0.5", 1, 7), &want);
	want.mark = 5;
	want.seen = A("203.0.113.9");
	expect_flow(flow_find(flows, n, "10.0.0.5", 1, 17), &want);
	want = (struct ct_flow){
		.dst = A("fd00::99"), .seen = A("fd00::5"), .dport = 80, .proto = 6};
	expect_flow(flow_find(flows, n, "fd00::5", 1, 16), &want);
	want.ended = true;
	expect_flow(flow_find(flows, n, "fd00::5", 2, 16), &want);
	expect_flow(flow_find(flows, n, "fd00::5", 3, 16), &want);
	want = (struct ct_flow){
		.dst = A("fd00::99"), .seen = A("fd00::7"), .dport = 80, .proto = 17, .dnat = true};
	expect_flow(flow_find(flows, n, "fd00::7", 9, 0), &want);
	free(flows);
}

static bool held_as(const struct ct_holding *list, size_t n, uint8_t proto, uint16_t port,
		    uint16_t zone)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		found += list[i].proto == proto && list[i].port == port && list[i].zone == zone;
	return found == 1;
}

static void lists_what_pods_hold_whose_mark_has_a_bit(void **state)
{
	struct addr pods[] = {A("10.0.0.5"), A("fd00::5")};
	struct ct_holding *list = NULL;
	struct err e = {0};
	size_t n = 99;

	need_conntrack();
	make_flows();
	sh("conntrack -I -s 10.0.0.5 -d 192.0.2.1 -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 6"
	   " -t 60 -m 0x82000000 --orig-zone 9;"
	   "for s in ESTABLISHED CLOSE; do i=$((i + 1));"
	   " conntrack -I -s fd00::5 -d fd00::99 -p tcp --sport $i --dport 443 -t 60 --state $s"
	   " --orig-zone 20 -m 0x80000000 || exit 1; done;"
	   "conntrack -I -s 10.0.0.6 -d 192.0.2.1 -p udp --sport 7 --dport 53 -t 60 -m 0x80000000");
	expect_ok(conntrack_list_pods(pods, 2, 0x80000000, &list, &n, &e), &e);
	assert_int_equal(n, 3);
	assert_true(held_as(list, n, 17, 1, 0));
	assert_true(held_as(list, n, 1, 8 << 8, 9));
	assert_true(held_as(list, n, 6, 1, 20));
	free(list);
	list = NULL;
	/* one IPv4 source is picked by the kernel, too */
	expect_ok(conntrack_list_pods(pods, 1, 0x80000000, &list, &n, &e), &e);
	assert_int_equal(n, 2);
	free(list);
}

static void forgets_one_connection_and_not_its_twin_in_another_zone(void **state)
{
	struct addr source = A("10.0.0.5");
	struct ct_flow *flows = NULL, gone;
	struct err e = {0};
	size_t n = 0, all, done = 9;

	need_conntrack();
	make_flows();
	expect_ok(conntrack_list(&source, 1, &flows, &all, &e), &e);
	gone = *flow_find(flows, all, "10.0.0.5", 1, 17);
	free(flows);
	expect_ok(conntrack_forget(&gone, 1, &done, &e), &e);
	assert_int_equal(done, 1);
	expect_ok(conntrack_forget(&gone, 1, &done, &e), &e);
	assert_int_equal(done, 0);
	expect_ok(conntrack_forget(NULL, 0, &done, &e), &e);
	expect_ok(conntrack_list(&source, 1, &flows, &n, &e), &e);
	assert_int_equal(n, all - 1);
	assert_null(flow_find(flows, n, "10.0.0.5", 1, 17));
	free(flows);
}

static int flow_cmp(const void *a, const void *b)
{
	const struct ct_flow *x = a, *y = b;
	int r = addr_cmp(x->src, y->src);

	return r ? r : (int)x->sport - (int)y->sport;
}

static void make_translated_flows(void)
{
	sh("conntrack -I -s 10.0.0.5 -d 192.0.2.1 -p udp --sport 1 --dport 53 -t 60 --orig-zone 17"
	   " --src-nat 203.0.113.9:4001 -u SEEN_REPLY,ASSURED -m 5;"
	   "conntrack -I -s 10.0.0.6 -d 192.0.2.1 -p tcp --sport 2 --dport 80 -t 600 --orig-zone 17"
	   " --src-nat 203.0.113.9:4002 --state ESTABLISHED -u SEEN_REPLY,ASSURED -m 0x80000000;"
	   "conntrack -I -s fd00::5 -d fd00::99 -p tcp --sport 3 --dport 80 -t 60 --orig-zone 18"
	   " --src-nat [2001:db8::9]:4003 --state SYN_SENT -m 7;"
	   "conntrack -I -s 10.0.0.5 -d 192.0.2.1 -p udp --sport 9 --dport 53 -t 60"
	   " --src-nat 203.0.113.10:4001");
}

static void makes_what_another_gateway_had(void **state)
{
	struct addr seen[] = {A("203.0.113.9"), A("2001:db8::9")};
	struct ct_flow *before = NULL, *after = NULL;
	size_t n = 99, made = 99, again = 99;
	struct err e = {0};

	need_conntrack();
	make_translated_flows();
	expect_ok(conntrack_list_seen(seen, 2, &before, &n, &e), &e);
	assert_int_equal(n, 3);
	sh("conntrack -F");
	expect_ok(conntrack_make(before, n, &made, &e), &e);
	assert_int_equal(made, 3);
	expect_ok(conntrack_list_seen(seen, 2, &after, &n, &e), &e);
	assert_int_equal(n, 3);
	qsort(before, n, sizeof(*before), flow_cmp);
	qsort(after, n, sizeof(*after), flow_cmp);
	for (size_t i = 0; i < n; i++) {
		after[i].id = before[i].id;
		after[i].timeout = before[i].timeout;
		assert_memory_equal(&after[i], &before[i], sizeof(*before));
	}
	expect_ok(conntrack_make(before, n, &again, &e), &e);
	assert_int_equal(again, 0);
	free(before);
	free(after);
}

static void leaves_out_a_connection_whose_port_is_taken(void **state)
{
	struct addr seen = A("203.0.113.9");
	struct ct_flow *flows = NULL;
	size_t n = 0, made = 99;
	struct err e = {0};

	need_conntrack();
	make_translated_flows();
	expect_ok(conntrack_list_seen(&seen, 1, &flows, &n, &e), &e);
	assert_int_equal(n, 2);
	sh("conntrack -D -p tcp; conntrack -I -s 10.0.0.7 -d 192.0.2.1 -p tcp --sport 8 --dport 80"
	   " -t 600 --src-nat 203.0.113.9:4002 --state ESTABLISHED");
	expect_ok(conntrack_make(flows, n, &made, &e), &e);
	assert_int_equal(made, 0);
	free(flows);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* More than one batch, some of which are there: each answer finds the one that it is about. */
static void makes_and_forgets_thousands_that_are_partly_there(void **state)
{
	enum { N = 5000 };
	struct ct_flow *flows = calloc(N, sizeof(*flows));
	size_t made = 0, gone = 0;
	struct err e = {0};
	uint64_t began;

	need_conntrack();
	for (size_t i = 0; i < N; i++)
		flows[i] = (struct ct_flow){.src = A(i % 2 ? "10.0.0.5" : "fd00::5"),
					    .dst = A(i % 2 ? "192.0.2.1" : "fd00::99"),
					    .seen = A(i % 2 ? "203.0.113.9" : "2001:db8::9"),
					    .sport = (uint16_t)(1000 + i),
					    .dport = 443,
					    .seen_port = (uint16_t)(1000 + i),
					    .proto = i % 3 ? IPPROTO_TCP : IPPROTO_UDP,
					    .zone = 17,
					    .answered = true,
					    .assured = true,
					    .timeout = 600,
					    .tcp_state = 3,
					    .tcp_wscale = {7, 7}};
	expect_ok(conntrack_make(&flows[100], 63, &made, &e), &e);
	assert_int_equal(made, 63);
	expect_ok(conntrack_make(&flows[400], 1, &made, &e), &e);
	assert_int_equal(made, 1);
	began = now_ns();
	expect_ok(conntrack_make(flows, N, &made, &e), &e);
	print_message("# %.1f us a connection\n", (double)(now_ns() - began) / 1e3 / N);
	assert_int_equal(made, N - 64);
	sh("test $(conntrack -C) = %d", N);
	expect_ok(conntrack_forget(&flows[200], 300, &gone, &e), &e);
	assert_int_equal(gone, 300);
	expect_ok(conntrack_forget(flows, N, &gone, &e), &e);
	assert_int_equal(gone, N - 300);
	sh("test $(conntrack -C) = 0");
	free(flows);
}

static void knows_none_where_there_is_none(void **state)
{
	struct err e = {0};
	size_t n = 99;

	need_conntrack();
	expect_ok(forget(A("2001:db8::1"), &n, &e), &e);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forgets_a_source_in_every_zone_and_nobody_else),
		cmocka_unit_test(forgets_more_than_one_buffer_holds),
		cmocka_unit_test(lists_what_each_connection_began_as),
		cmocka_unit_test(lists_what_pods_hold_whose_mark_has_a_bit),
		cmocka_unit_test(forgets_one_connection_and_not_its_twin_in_another_zone),
		cmocka_unit_test(makes_what_another_gateway_had),
		cmocka_unit_test(leaves_out_a_connection_whose_port_is_taken),
		cmocka_unit_test(makes_and_forgets_thousands_that_are_partly_there),
		cmocka_unit_test(knows_none_where_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
