/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted of a packet, and what audit does and does not do to it. */
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"

#define POLICY	200
#define AUDIT	201
#define COUNTER 500 /* rule i of a policy counts in COUNTER + i */
#define CHECK	world_mark(SLU_ID_CHECK)
#define DENIED	world_mark(SLU_DROP_DENIED)
#define NONE	SLU_NO_RULE

static const char *const outside[] = {"198.18.77.1", "2001:db8:77::1"};

struct counts {
	struct slu_hit hits[4];
	struct slu_count audits[SLU_AUDIT_MAX];
};

static struct counts counts_read(void)
{
	struct counts c;
	struct err e = {};

	expect_ok(bpf_hits(world_pins(), COUNTER, 4, c.hits, &e), &e);
	expect_ok(bpf_audits(world_pins(), c.audits, &e), &e);
	return c;
}

static void expect_hit(const struct counts *before, size_t rule, uint64_t packets,
		       uint64_t connections)
{
	struct counts now = counts_read();

	assert_int_equal(now.hits[rule].packets - before->hits[rule].packets, packets);
	assert_int_equal(now.hits[rule].connections - before->hits[rule].connections, connections);
}

static void counts_what_rules_decide(void **state)
{
	struct world_prefix v[] = {{world_prefix("198.18.77.0", 24), 0},
				   {world_prefix("198.18.78.0", 24), 0}};
	struct slu_policy policy;
	struct counts c;
	struct packet p;

	world();
	world_pod_of(POLICY, 0);
	policy = world_policy_of("aPd", COUNTER, world_no_rule());
	v[0].value = world_class_one(world_cell(1, 0, 1));
	v[1].value = world_class_one(world_cell(1, 2, 1));
	policy.root = world_tree(v, 2);
	world_policy(POLICY, &policy);
	c = counts_read();
	world_frame(&p, POD_V4, "198.18.77.9");
	packet_tcp(&p, 5000, 443, PACKET_TCP_SYN);
	packet_finish(&p);
	for (int i = 0; i < 2; i++)
		pod_passes(&p, world_remote(0), "SYN");
	world_frame(&p, POD_V4, "198.18.77.9");
	packet_tcp(&p, 5000, 443, PACKET_TCP_ACK);
	packet_finish(&p);
	pod_passes(&p, world_remote(0), "ACK");
	expect_hit(&c, 0, 3, 2);
	expect_hit(&c, 1, 3, 2);
	assert_int_equal(counts_read().hits[0].bytes - c.hits[0].bytes, 3 * p.len);
	for (int i = 0; i < 3; i++)
		pod_udp("198.18.78.9", DENIED, "UDP");
	expect_hit(&c, 2, 3, 1);
	expect_hit(&c, 1, 3, 2); /* nobody's identity when it is denied */
	pod_udp("198.18.79.9", CHECK, "no rule");
	pod_udp("10.2.0.1", CHECK, "inside");
	expect_hit(&c, 0, 3, 2);
	expect_hit(&c, 2, 3, 1);
}

static void counts_a_rule_with_verdict_and_identity_once(void **state)
{
	struct slu_policy policy;
	struct counts c;

	world();
	policy = world_policy_of("A", COUNTER, world_cell(1, 0, 0));
	world_pod_of(POLICY, 0);
	world_policy(POLICY, &policy);
	c = counts_read();
	pod_udp(outside[0], world_remote(0), "UDP");
	expect_hit(&c, 0, 1, 1);
}

static void expect_audits(const struct counts *before, uint64_t allow, uint64_t deny)
{
	struct counts now = counts_read();

	assert_int_equal(now.audits[SLU_AUDIT_WOULD_ALLOW].packets -
				 before->audits[SLU_AUDIT_WOULD_ALLOW].packets,
			 allow);
	assert_int_equal(now.audits[SLU_AUDIT_WOULD_DENY].packets -
				 before->audits[SLU_AUDIT_WOULD_DENY].packets,
			 deny);
}

/* What the policies in mode Audit would do is counted and not done. */
static void counts_what_audit_would_decide(void **state)
{
	static const struct {
		uint32_t policy; /* 0: none */
		const char *rule, *audit_rule;
		uint32_t mark;
		uint64_t allow, deny;
	} rows[] = {
		{POLICY, "a", "a", SLU_ID_CHECK, 0, 0},
		{POLICY, "a", "d", SLU_ID_CHECK, 0, 1},
		{POLICY, "a", "r", SLU_ID_CHECK, 0, 1},
		{POLICY, "d", "a", SLU_DROP_DENIED, 1, 0},
		{POLICY, "r", "p", SLU_DROP_REJECTED, 1, 0},
		{POLICY, "d", "d", SLU_DROP_DENIED, 0, 0},
		{POLICY, "d", "r", SLU_DROP_DENIED, 0, 0},
		{0, "a", "d", 0, 0, 1},
		{0, "a", "a", 0, 0, 0},
	};

	world();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct counts c;

		world_policy_one(POLICY, rows[i].rule, world_cell(1, 0, NONE));
		world_policy_one(AUDIT, rows[i].audit_rule, world_cell(1, 0, NONE));
		world_pod_of(rows[i].policy, AUDIT);
		for (int v6 = 0; v6 < 2; v6++) {
			c = counts_read();
			pod_udp(outside[v6], world_mark(rows[i].mark), rows[i].audit_rule);
			expect_audits(&c, rows[i].allow, rows[i].deny);
		}
		c = counts_read();
		pod_udp("10.2.0.1", rows[i].policy ? CHECK : 0, "inside");
		pod_udp("224.0.0.251", 0, "multicast");
		expect_audits(&c, 0, 0);
	}
	world_pod_of(POLICY, 9999);
	pod_udp(outside[0], CHECK, "an audit policy that is not there changes nothing");
}

static void config_audit(uint8_t on)
{
	struct slu_config config;
	struct err e = {};
	uint32_t zero = 0;

	expect_ok(bpf_map_lookup(world_pins(), BPF_MAP_CONFIG, &zero, &config, &e), &e);
	config.audit = on;
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_CONFIG, &zero, &config, &e), &e);
}

/* The cluster-wide switch suspends what rules deny, and nothing that fails closed. */
static void suspends_denials_and_counts_them(void **state)
{
	struct counts c;

	world();
	world_pod_of(POLICY, 0);
	config_audit(1);
	c = counts_read();
	world_policy_one(POLICY, "d", world_cell(1, 0, NONE));
	pod_udp(outside[0], CHECK, "denied, suspended");
	world_policy_one(POLICY, "rA", world_cell(1, 0, 1));
	pod_udp(outside[1], world_remote(1), "rejected, suspended, with its identity");
	expect_audits(&c, 0, 2);
	world_policy_one(POLICY, "a", world_cell(1, 0, NONE));
	pod_udp(outside[0], CHECK, "allowed");
	expect_audits(&c, 0, 2);
	world_policy_delete(POLICY);
	pod_udp(outside[0], world_mark(SLU_DROP_NO_POLICY), "closed");
	expect_audits(&c, 0, 2);
	world_pod_set(POD_QUARANTINED, 0);
	pod_udp(outside[0], world_mark(SLU_DROP_QUARANTINE), "quarantine");
	config_audit(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_what_rules_decide),
		cmocka_unit_test(counts_a_rule_with_verdict_and_identity_once),
		cmocka_unit_test(counts_what_audit_would_decide),
		cmocka_unit_test(suspends_denials_and_counts_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
