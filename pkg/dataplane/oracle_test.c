/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definition against the BPF program: random policies go the whole way into the maps,
 * each set over the one before; random packets are run through slu_from_pod. What it
 * decides, which rules it counts and what it says of audit must be what the definition says.
 */
#include <arpa/inet.h>
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
#include "testkit/oracle.h"
#include "testkit/policy_lab.h"

#ifdef __SANITIZE_ADDRESS__
#define SCALE 40
#else
#define SCALE 1
#endif

#define ROUNDS	(640 / SCALE)
#define PACKETS 400

/* ---- packets ---- */

struct sent {
	struct packet frame;
	struct oracle_packet o;
	const char *names[LAB_NAMES];
	uint32_t place; /* of its connection, for spread Connection */
	bool probe;	/* a flow that could be taken for an earlier one */
};

static void names_write(const struct sent *s, const struct policy_lab *r)
{
	struct slu_named_key key = {};
	struct slu_named named = {};
	struct err e = {};
	size_t n = 0;

	memcpy(&key.addr, s->o.dst.b, sizeof(key.addr));
	for (size_t i = 0; i < s->o.n_names; i++) {
		named.at[n].name = policy_lab_name(s->names[i]);
		named.at[n++].until = UINT32_MAX / 2;
	}
	for (uint32_t i = 0; i < r->n_names && n < SLU_MAX_NAMES_AT; i++)
		named.at[n++].name = policy_lab_name(r->names[i]); /* these ended long ago */
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_NAMED, &key, &named, &e), &e);
}

static uint32_t place_of(struct addr dst, uint32_t key, uint16_t sport)
{
	struct slu_addr to, from = world_addr(addr_is_v4(dst) ? POD_V4 : POD_V6);
	uint8_t proto = (uint8_t)(key >> 16);
	bool ports = proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;

	memcpy(&to, dst.b, sizeof(to));
	return slu_flow_spread(&from, &to,
			       ports ? SLU_PORTS(htons(sport), htons((uint16_t)key)) : 0, proto);
}

static uint16_t sport = 1024;

static uint32_t add_transport(struct packet *p, uint8_t proto, bool v4)
{
	uint16_t port = (uint16_t)random_below(20);
	uint8_t ports[12] = {};

	sport = sport == UINT16_MAX ? 1024 : sport + 1;
	switch (proto) {
	case IPPROTO_TCP:
		packet_tcp(p, sport, port, PACKET_TCP_SYN);
		return L4_KEY(proto, port);
	case IPPROTO_UDP:
		packet_udp(p, sport, port, 4);
		return L4_KEY(proto, port);
	case IPPROTO_SCTP:
		ports[0] = (uint8_t)(sport >> 8);
		ports[1] = (uint8_t)sport;
		ports[3] = (uint8_t)port;
		packet_payload(p, proto, ports, sizeof(ports));
		return L4_KEY(proto, port);
	case IPPROTO_ICMP: /* types that are no errors */
		port = v4 ? port % 3 : 128 + port % 2;
		packet_icmp(p, (uint8_t)port, 0, 7);
		return L4_KEY(v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, port << 8);
	}
	packet_payload(p, proto, ports, sizeof(ports));
	return L4_KEY(proto, 0);
}

static void random_packet(struct sent *s, const struct policy_lab *r, const struct lab_subject *who)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP, 47};
	uint8_t proto = protos[random_below(5)];
	char dst[ADDR_STRLEN];
	bool v4;

	*s = (struct sent){};
	random_address(dst, sizeof(dst));
	s->o = (struct oracle_packet){.pod = &who->pod,
				      .namespace = &who->namespace,
				      .dst = addr_of(dst),
				      .names = s->names,
				      .now = RANDOM_NOW};
	v4 = addr_is_v4(s->o.dst);
	world_frame(&s->frame, v4 ? POD_V4 : POD_V6, dst);
	s->o.key = add_transport(&s->frame, proto, v4);
	s->place = place_of(s->o.dst, s->o.key, sport);
	packet_finish(&s->frame);
	for (uint32_t i = 0; i < r->n_names; i++)
		if (random_below(3) == 0)
			s->names[s->o.n_names++] = r->names[i];
	s->probe = proto == IPPROTO_ICMP || proto == 47;
	if (r->n_names)
		names_write(s, r);
}

/* ---- what the definition says ---- */

static uint32_t rule_index(const struct program *p, const struct oracle_by *by)
{
	for (uint32_t i = 0; p && by->policy && i < p->n_rules; i++)
		if (p->rules[i]->policy == by->policy && p->rules[i]->rule == by->rule)
			return i;
	return UINT32_MAX;
}

/* The id in the mark: an address, CHECK or a reason. */
static uint32_t expected_id(const struct policy_lab *r, const struct lab_subject *s,
			    const struct oracle_answer *a, const struct sent *sent)
{
	uint32_t rule = rule_index(s->programs[0], &a->via_by);
	const struct dp_identity *who;
	int f = !addr_is_v4(sent->o.dst);

	if (a->verdict == ACTION_DENY || a->verdict == ACTION_REJECT)
		return a->verdict == ACTION_DENY ? SLU_DROP_DENIED : SLU_DROP_REJECTED;
	if (!a->via || a->via->kind == VIA_NODE)
		return SLU_ID_CHECK;
	who = &r->identities[s->programs[0]->rules[rule]->identity];
	if (!who->n[f])
		return who->none[f] ?: SLU_ID_CHECK;
	return who->picks[f][(who->by_flow ? sent->place : pod_spread(s->pod.namespace, "p")) %
			     who->n[f]];
}

static void expect_hit(struct policy_lab *r, const struct sent *s, const uint32_t *counters,
		       uint32_t rule)
{
	struct slu_hit *h = &r->hits[counters[rule] - LAB_FIRST_HIT];

	h->packets++;
	h->bytes += s->frame.len;
}

/*
 * A rule whose items differ in ports is several in the kernel: which of them was first is
 * for the compiled form to say; it must be a part of the rule that the definition names.
 */
static uint32_t decided_by(const struct program *p, uint32_t said, const struct oracle_by *by)
{
	assert_true((said == UINT32_MAX) == !by->policy);
	if (said == UINT32_MAX)
		return said;
	assert_ptr_equal(p->rules[said]->policy, by->policy);
	assert_ptr_equal(p->rules[said]->rule, by->rule);
	return said;
}

static void expect_hits(struct policy_lab *r, uint32_t i, const struct sent *s,
			const struct oracle_answer *a)
{
	const struct program *p = r->subjects[i].programs[0];
	uint32_t names[LAB_NAMES], n = 0, verdict, via;
	struct decision d;

	for (uint32_t k = 0; k < r->n_names; k++)
		for (size_t j = 0; j < s->o.n_names; j++)
			if (s->names[j] == r->names[k])
				names[n++] = k;
	d = program_decide(p, r->f.c, &(struct program_dst){s->o.dst, names, n}, s->o.key);
	verdict = decided_by(p, d.verdict_rule, &a->verdict_by);
	via = decided_by(p, d.identity_rule, &a->via_by);
	if (verdict != UINT32_MAX)
		expect_hit(r, s, r->counters[2 * i], verdict);
	if (d.verdict == VERDICT_ALLOW && via != UINT32_MAX && via != verdict)
		expect_hit(r, s, r->counters[2 * i], via);
}

static bool denies(const struct oracle_answer *a)
{
	return a->verdict == ACTION_DENY || a->verdict == ACTION_REJECT;
}

static void expect_audit(struct policy_lab *r, const struct sent *s, const struct oracle_answer *a)
{
	struct oracle_packet o = s->o;
	struct oracle_answer would;

	o.audit = true;
	would = oracle_evaluate(r->f.set, &o);
	if (denies(&would) != denies(a))
		r->audits[denies(&would) ? SLU_AUDIT_WOULD_DENY : SLU_AUDIT_WOULD_ALLOW]++;
}

static void check_packet(struct policy_lab *r, uint32_t i, const struct sent *s)
{
	const struct lab_subject *who = &r->subjects[i];
	struct oracle_answer a = oracle_evaluate(r->f.set, &s->o);
	uint32_t want = WORLD_DIVERT | world_mark(expected_id(r, who, &a, s));
	struct world_run run;

	if (!who->programs[0])
		want = 0; /* nobody's business */
	if (s->probe)
		world_probe(BPF_PROG_FROM_POD, &s->frame, &run);
	else
		world_run(BPF_PROG_FROM_POD, &s->frame, 0, &run);
	if (run.verdict != (uint32_t)TC_ACT_UNSPEC || run.mark != want)
		fail_msg("%s key %#x of %s: verdict %d mark %#x, expected mark %#x",
			 addr_str(s->o.dst), s->o.key, who->pod.namespace, (int)run.verdict,
			 run.mark, want);
	if (s->probe)
		return;
	if (who->programs[0])
		expect_hits(r, i, s, &a);
	if (who->programs[1])
		expect_audit(r, s, &a);
}

static void check_counts(struct policy_lab *r, const struct slu_hit *hits_before,
			 const struct slu_count *audits_before)
{
	static struct slu_hit hits[2 * LAB_PODS * LAB_RULES];
	struct slu_count audits[SLU_AUDIT_MAX];
	struct err e = {};

	expect_ok(bpf_hits(world_pins(), LAB_FIRST_HIT, 2 * LAB_PODS * LAB_RULES, hits, &e), &e);
	for (size_t i = 0; i < 2 * LAB_PODS * LAB_RULES; i++) {
		assert_int_equal(hits[i].packets - hits_before[i].packets, r->hits[i].packets);
		assert_int_equal(hits[i].bytes - hits_before[i].bytes, r->hits[i].bytes);
	}
	expect_ok(bpf_audits(world_pins(), audits, &e), &e);
	for (size_t i = 0; i < SLU_AUDIT_MAX; i++)
		assert_int_equal(audits[i].packets - audits_before[i].packets, r->audits[i]);
}

static size_t lab_run(struct policy_lab *r)
{
	static struct slu_hit hits[2 * LAB_PODS * LAB_RULES];
	struct slu_count audits[SLU_AUDIT_MAX];
	struct err e = {};
	struct sent s;
	size_t n = 0;

	expect_ok(bpf_hits(world_pins(), LAB_FIRST_HIT, 2 * LAB_PODS * LAB_RULES, hits, &e), &e);
	expect_ok(bpf_audits(world_pins(), audits, &e), &e);
	for (uint32_t i = 0; i < LAB_PODS; i++) {
		policy_lab_pod(&r->subjects[i], i);
		for (; n < (i + 1) * PACKETS; n++) {
			random_packet(&s, r, &r->subjects[i]);
			s.o.names = s.names;
			check_packet(r, i, &s);
		}
	}
	check_counts(r, hits, audits);
	return n;
}

static void the_bpf_program_equals_the_definition(void **state)
{
	struct dp_tables *t = NULL;
	static struct policy_lab lab;
	struct err e = {};
	size_t n = 0;

	world();
	policy_lab_addresses();
	expect_ok(tables_load(world_pins(), &t, &e), &e);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct policy_texts texts = {};

		random_seed(100000 + i);
		random_policies(&texts);
		policy_lab_init(&lab, &texts);
		policy_texts_done(&texts);
		policy_lab_apply(&lab, t);
		n += lab_run(&lab);
		policy_lab_done(&lab);
	}
	print_message("%zu decisions\n", n);
	assert_in_range(n, 1000000 / SCALE, SIZE_MAX);
	tables_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bpf_program_equals_the_definition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
