/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/events.h"

#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"

#define LOGGED 700 /* counter of the rule */
#define QUIET  701

static struct slu_event seen[8];
static size_t n_seen;
static struct bpf_events *events;
static struct err e;

static void on_event(const struct slu_event *event, void *data)
{
	if (n_seen < sizeof(seen) / sizeof(seen[0]))
		seen[n_seen] = *event;
	n_seen++;
}

/* Pod of policy 40: its one rule has this action and these flags. audit: another such policy. */
static void start(uint8_t action, uint8_t flags, uint8_t audit)
{
	const struct slu_rule rule = {.action = action, .flags = flags, .counter = LOGGED};
	const struct slu_rule other = {.action = audit, .counter = QUIET};
	struct slu_pod pod;
	uint32_t ifindex = 1, class;

	world();
	if (!events)
		expect_ok(bpf_events_open(world_pins(), on_event, NULL, &events, &e), &e);
	class = world_class_one(world_cell(0, 0, SLU_NO_RULE));
	const struct world_prefix all[] = {{world_prefix("0.0.0.0", 0), class},
					   {world_prefix("::", 0), class}};
	const uint32_t root = world_tree(all, 2);
	const struct slu_policy enforced = {
		.root = root, .first_rule = world_rules(&rule, 1), .n_rules = 1};
	const struct slu_policy audited = {
		.root = root, .first_rule = world_rules(&other, 1), .n_rules = 1};

	world_policy(40, &enforced);
	world_policy(41, &audited);
	pod = world_pod_make(POD_GOVERNED, 0);
	pod.policy = 40;
	pod.audit = audit ? 41 : 0;
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_PODS, &ifindex, &pod, &e), &e);
	n_seen = 0;
}

static void pod_sends(const char *dst, uint16_t port)
{
	struct world_run run;
	struct packet p;

	world_udp(&p, strchr(dst, ':') ? POD_V6 : POD_V4, dst, port);
	world_run(BPF_PROG_FROM_POD, &p, 0, &run);
}

static void read_all(void)
{
	int n;

	do {
		n = bpf_events_read(events, &e);
		assert_true(n >= 0);
	} while (n);
}

static void a_connection_is_told_once(void **state)
{
	static const char *const dsts[] = {"198.18.200.1", "2001:db8:200::1"};

	start(SLU_DENY, SLU_RULE_LOG, 0);
	for (size_t i = 0; i < 2; i++) {
		n_seen = 0;
		for (int k = 0; k < 5; k++)
			pod_sends(dsts[i], 4711);
		read_all();
		assert_int_equal(n_seen, 1);
		assert_int_equal(seen[0].verdict, SLU_DENY);
		assert_int_equal(seen[0].would, SLU_DENY);
		assert_int_equal(seen[0].counter, LOGGED);
		assert_int_equal(seen[0].proto, IPPROTO_UDP);
		assert_int_equal(ntohs(seen[0].dport), 4711);
		assert_int_equal(seen[0].ifindex, 1);
		pod_sends(dsts[i], 4712);
		read_all();
		assert_int_equal(n_seen, 2);
	}
}

static void a_rule_without_log_tells_nothing(void **state)
{
	start(SLU_DENY, 0, 0);
	pod_sends("198.18.201.1", 1);
	read_all();
	assert_int_equal(n_seen, 0);
}

static void what_audit_would_do_is_told_without_log(void **state)
{
	start(SLU_ALLOW, 0, SLU_DENY);
	pod_sends("198.18.202.1", 1);
	read_all();
	assert_int_equal(n_seen, 1);
	assert_int_equal(seen[0].verdict, SLU_ALLOW);
	assert_int_equal(seen[0].would, SLU_DENY);
}

static void another_answer_for_the_same_flow_is_told(void **state)
{
	start(SLU_ALLOW, SLU_RULE_LOG, 0);
	pod_sends("198.18.203.1", 1);
	start(SLU_DENY, SLU_RULE_LOG, 0);
	pod_sends("198.18.203.1", 1);
	read_all();
	assert_int_equal(n_seen, 2);
	assert_int_equal(seen[1].verdict, SLU_DENY);
}

static void a_flood_is_told_in_samples_and_the_rest_counted(void **state)
{
	struct slu_event_limit before, after;

	start(SLU_DENY, SLU_RULE_LOG, 0);
	expect_ok(bpf_event_limits(world_pins(), LOGGED, 1, &before, &e), &e);
	for (uint16_t port = 1; port <= 3000; port++) {
		char dst[32];

		snprintf(dst, sizeof(dst), "198.18.204.%d", port % 250 + 1);
		pod_sends(dst, port);
	}
	read_all();
	expect_ok(bpf_event_limits(world_pins(), LOGGED, 1, &after, &e), &e);
	assert_true(n_seen < 3000);
	assert_int_equal(after.told - before.told, n_seen);
	assert_int_equal(after.told - before.told + after.lost - before.lost, 3000);
}

static void a_probe_leaves_no_trace(void **state)
{
	struct slu_hit before, after;
	struct world_run run;
	struct packet p;

	start(SLU_DENY, SLU_RULE_LOG, SLU_ALLOW);
	expect_ok(bpf_hits(world_pins(), LOGGED, 1, &before, &e), &e);
	world_udp(&p, POD_V4, "198.18.205.1", 9);
	world_probe(BPF_PROG_FROM_POD, &p, &run);
	assert_int_equal(run.mark & ~WORLD_DIVERT, world_mark(SLU_DROP_DENIED));
	read_all();
	assert_int_equal(n_seen, 0);
	expect_ok(bpf_hits(world_pins(), LOGGED, 1, &after, &e), &e);
	assert_int_equal(after.packets, before.packets);
}

/* However fast they come, who reads them gets to its other work. */
static void a_flood_of_many_rules_is_read_in_portions(void **state)
{
	const struct slu_rule none = {.action = SLU_DENY, .flags = SLU_RULE_LOG};
	struct slu_policy policy = {.n_rules = 1};
	size_t total = 0;
	int n, portions = 0;

	start(SLU_DENY, SLU_RULE_LOG, 0);
	policy.root = world_policy_of("d", 0, world_cell(0, 0, SLU_NO_RULE)).root;
	for (uint16_t i = 0; i < 1200; i++) {
		struct slu_rule rule = none;

		if (i % 40 == 0) { /* less than what one rule may tell in a second */
			rule.counter = 800 + i / 40;
			policy.first_rule = world_rules(&rule, 1);
			world_policy(40, &policy);
		}
		pod_sends("198.18.206.1", (uint16_t)(10000 + i));
	}
	do {
		n = bpf_events_read(events, &e);
		assert_in_range(n, 0, 600);
		total += (size_t)n;
		portions += n > 0;
	} while (n);
	assert_int_equal(total, 1200);
	assert_true(portions > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_told_once),
		cmocka_unit_test(a_rule_without_log_tells_nothing),
		cmocka_unit_test(what_audit_would_do_is_told_without_log),
		cmocka_unit_test(another_answer_for_the_same_flow_is_told),
		cmocka_unit_test(a_flood_is_told_in_samples_and_the_rest_counted),
		cmocka_unit_test(a_flood_of_many_rules_is_read_in_portions),
		cmocka_unit_test(a_probe_leaves_no_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
