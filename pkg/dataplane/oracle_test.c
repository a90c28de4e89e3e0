/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definition against the BPF program: random policies go the whole way, compiled,
 * flattened, planned and written into the maps, each set over the one before; random
 * packets are run through slu_from_pod. What it decides, which rules it counts and what it
 * says of audit must be what the definition says. And after any edits the maps hold what
 * they would hold had they been written at once.
 */
#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "dataplane/programs_tables.h"
#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"
#include "testkit/oracle.h"
#include "testkit/policy_fixture.h"
#include "testkit/policy_random.h"

#ifdef __SANITIZE_ADDRESS__
#define SCALE 4
#else
#define SCALE 1
#endif

#define ROUNDS	     (64 / SCALE)
#define EDITS	     (60 / SCALE)
#define PODS	     4
#define PACKETS	     400
#define MAX_NAMES    8
#define FIRST_ID     40 /* of the addresses, behind those of the world */
#define FIRST_NAME   1000
#define FIRST_POLICY 10	 /* one of each pod, then one for its audit */
#define MAX_RULES    256 /* of one program */
#define FIRST_HIT    200

static const uint32_t world_policy_id = 1;

struct subject {
	struct pod_info pod;
	struct labels namespace;
	struct binding bindings[2]; /* enforced, audit */
	struct program *programs[2];
};

struct round {
	struct policy_fixture f;
	struct subject subjects[PODS];
	const char *const *names;
	size_t n_names;
	struct dp_identity *identities;
	size_t n_identities;
	uint32_t counters[2 * PODS][MAX_RULES];
	struct slu_hit hits[2 * PODS * MAX_RULES]; /* that are expected */
	uint64_t audits[SLU_AUDIT_MAX];
};

/* ---- what is to be in the kernel ---- */

/* Ids that stay when others come and go, as the daemon's do. */
static uint32_t address_id(const struct round *r, uint32_t pick)
{
	size_t n;
	const struct egress_addr *a = &compiled_addrs(r->f.c, &n)[pick];

	return FIRST_ID + (addr_is_v4(a->addr) ? 0 : 64) + a->addr.b[15];
}

static uint32_t name_id(const char *pattern)
{
	return FIRST_NAME + (uint32_t)hash_str(pattern, 0) % 100000;
}

static void identities_make(struct round *r)
{
	const struct identity *list = compiled_identities(r->f.c, &r->n_identities);

	r->identities = mem_alloc0(r->n_identities * sizeof(*r->identities));
	for (size_t i = 0; i < r->n_identities; i++) {
		struct dp_identity *to = &r->identities[i];

		to->or_node = list[i].or_node;
		for (int f = 0; f < 2; f++) {
			to->n[f] = (uint16_t)list[i].n_picks[f];
			to->none[f] = list[i].none[f];
			to->picks[f] = mem_alloc0(to->n[f] * sizeof(uint32_t));
			for (size_t k = 0; k < to->n[f]; k++)
				to->picks[f][k] = address_id(r, list[i].picks[f][k]);
		}
	}
}

static void subject_make(struct round *r, uint32_t i)
{
	static const char *const labels[] = {"app=a0", "app=a1 x=y", "app=a2", ""};
	struct subject *s = &r->subjects[i];

	s->pod = (struct pod_info){.namespace = i % 2 ? "n0" : "n1",
				   .name = "p",
				   .labels = labels_from_text(labels[i]),
				   .labels_known = true};
	s->namespace = labels_from_text(s->pod.namespace[1] == '0'
						? "kubernetes.io/metadata.name=n0 team=t0"
						: "kubernetes.io/metadata.name=n1");
	assert_int_equal(policy_resolve(r->f.c, &s->pod, &s->bindings[0]), 0);
	assert_int_equal(policy_resolve_audit(r->f.c, &s->pod, &s->bindings[1]), 0);
	for (uint32_t k = 0; k < 2; k++) {
		uint32_t *counters = r->counters[2 * i + k];

		if (!s->bindings[k].n)
			continue;
		assert_int_equal(policy_flatten(r->f.c, &s->bindings[k], &s->programs[k]), 0);
		assert_in_range(s->programs[k]->n_rules, 0, MAX_RULES);
		for (uint32_t j = 0; j < MAX_RULES; j++)
			counters[j] = FIRST_HIT + (2 * i + k) * MAX_RULES + j;
	}
}

static void round_init(struct round *r, const struct policy_texts *t)
{
	char *yaml = policy_texts_join(t);

	*r = (struct round){};
	policy_fixture_node(&r->f, "n1", "eth0 203.0.113.250/24 2001:db8:ffff::fa/64");
	r->f.set = docs_from_yaml(yaml);
	r->f.node.now = RANDOM_NOW;
	policy_fixture_compile(&r->f);
	r->names = compiled_names(r->f.c, &r->n_names);
	assert_in_range(r->n_names, 0, MAX_NAMES);
	identities_make(r);
	for (uint32_t i = 0; i < PODS; i++)
		subject_make(r, i);
	free(yaml);
}

static void round_done(struct round *r)
{
	for (size_t i = 0; i < r->n_identities; i++) {
		free(r->identities[i].picks[0]);
		free(r->identities[i].picks[1]);
	}
	free(r->identities);
	for (size_t i = 0; i < PODS; i++) {
		struct subject *s = &r->subjects[i];

		labels_done(&s->pod.labels);
		labels_done(&s->namespace);
		for (size_t k = 0; k < 2; k++) {
			program_free(s->programs[k]);
			binding_done(&s->bindings[k]);
		}
	}
	policy_fixture_done(&r->f);
}

static struct programs_plan *round_plan(const struct round *r, const struct dp_tables *t)
{
	uint32_t names[MAX_NAMES];
	struct dp_program items[2 * PODS];
	struct dp_programs want = {.identities = r->identities,
				   .n_identities = r->n_identities,
				   .names = names,
				   .items = items,
				   .keep = &world_policy_id,
				   .n_keep = 1};
	struct programs_plan *plan = NULL;
	struct err e = {};

	want.sets = compiled_sets(r->f.c, &want.n_sets);
	for (uint32_t i = 0; i < r->n_names; i++)
		names[i] = name_id(r->names[i]);
	for (uint32_t i = 0; i < 2 * PODS; i++)
		if (r->subjects[i / 2].programs[i % 2])
			items[want.n++] = (struct dp_program){
				.id = FIRST_POLICY + i,
				.program = r->subjects[i / 2].programs[i % 2],
				.counters = r->counters[i],
			};
	expect_ok(programs_plan_new(t, &want, &plan, &e), &e);
	return plan;
}

static void round_apply(const struct round *r, struct dp_tables *t)
{
	struct programs_plan *plan = round_plan(r, t);
	struct err e = {};

	expect_ok(programs_apply(world_pins(), plan, &e), &e);
	expect_ok(programs_retire(world_pins(), plan, &e), &e);
	programs_commit(t, plan);
	programs_plan_free(plan);
	expect_ok(tables_settle(world_pins(), t, &e), &e);
}

/* The pod of the world is this one. */
static void pod_write(const struct subject *s, uint32_t i)
{
	struct slu_pod pod = world_pod_make(POD_GOVERNED, pod_spread(s->pod.namespace, "p"));
	uint32_t lo = 1;
	struct err e = {};

	pod.policy = s->programs[0] ? FIRST_POLICY + 2 * i : 0;
	pod.audit = s->programs[1] ? FIRST_POLICY + 2 * i + 1 : 0;
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_PODS, &lo, &pod, &e), &e);
}

static void addresses_write(void)
{
	for (uint32_t id = FIRST_ID; id < FIRST_ID + 128; id++) {
		struct slu_addr a = world_addr("203.0.113.77");
		struct slu_egress egress = {SLU_ADDR_LOCAL, SLU_VNI_ADDRESS, a, a};
		struct err e = {};

		expect_ok(bpf_map_set(world_pins(), BPF_MAP_ADDRS, &id, &egress, &e), &e);
	}
}

/* ---- packets ---- */

struct sent {
	struct packet frame;
	struct oracle_packet o;
	const char *names[MAX_NAMES];
	bool probe; /* a flow that could be taken for an earlier one */
};

static void names_write(const struct sent *s, const struct round *r)
{
	struct slu_addr addr;
	struct slu_named named = {};
	struct err e = {};
	size_t n = 0;

	memcpy(&addr, s->o.dst.b, sizeof(addr));
	for (size_t i = 0; i < s->o.n_names; i++) {
		named.at[n].name = name_id(s->names[i]);
		named.at[n++].until = UINT32_MAX / 2;
	}
	for (uint32_t i = 0; i < r->n_names && n < SLU_MAX_NAMES_AT; i++)
		named.at[n++].name = name_id(r->names[i]); /* these ended long ago */
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_NAMED, &addr, &named, &e), &e);
}

static uint32_t add_transport(struct packet *p, uint8_t proto, bool v4)
{
	static uint16_t sport = 1024;
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

static void random_packet(struct sent *s, const struct round *r, const struct subject *who)
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
static uint32_t expected_id(const struct round *r, const struct subject *s,
			    const struct oracle_answer *a, struct addr dst)
{
	uint32_t rule = rule_index(s->programs[0], &a->via_by);
	const struct dp_identity *who;
	int f = !addr_is_v4(dst);

	if (a->verdict == ACTION_DENY || a->verdict == ACTION_REJECT)
		return a->verdict == ACTION_DENY ? SLU_DROP_DENIED : SLU_DROP_REJECTED;
	if (!a->via || a->via->kind == VIA_NODE)
		return SLU_ID_CHECK;
	who = &r->identities[s->programs[0]->rules[rule]->identity];
	if (!who->n[f])
		return who->none[f] ?: SLU_ID_CHECK;
	return who->picks[f][pod_spread(s->pod.namespace, "p") % who->n[f]];
}

static void expect_hit(struct round *r, const struct sent *s, const uint32_t *counters,
		       uint32_t rule)
{
	struct slu_hit *h = &r->hits[counters[rule] - FIRST_HIT];

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

static void expect_hits(struct round *r, uint32_t i, const struct sent *s,
			const struct oracle_answer *a)
{
	const struct program *p = r->subjects[i].programs[0];
	uint32_t names[MAX_NAMES], n = 0, verdict, via;
	struct decision d;

	for (uint32_t k = 0; k < r->n_names; k++)
		for (size_t j = 0; j < s->o.n_names; j++)
			if (s->names[j] == r->names[k])
				names[n++] = k;
	d = program_decide(p, r->f.c, s->o.dst, s->o.key, names, n);
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

static void expect_audit(struct round *r, const struct sent *s, const struct oracle_answer *a)
{
	struct oracle_packet o = s->o;
	struct oracle_answer would;

	o.audit = true;
	would = oracle_evaluate(r->f.set, &o);
	if (denies(&would) != denies(a))
		r->audits[denies(&would) ? SLU_AUDIT_WOULD_DENY : SLU_AUDIT_WOULD_ALLOW]++;
}

static void check_packet(struct round *r, uint32_t i, const struct sent *s)
{
	const struct subject *who = &r->subjects[i];
	struct oracle_answer a = oracle_evaluate(r->f.set, &s->o);
	uint32_t want = WORLD_DIVERT | world_mark(expected_id(r, who, &a, s->o.dst));
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

static void check_counts(struct round *r, const struct slu_hit *hits_before,
			 const struct slu_count *audits_before)
{
	static struct slu_hit hits[2 * PODS * MAX_RULES];
	struct slu_count audits[SLU_AUDIT_MAX];
	struct err e = {};

	expect_ok(bpf_hits(world_pins(), FIRST_HIT, 2 * PODS * MAX_RULES, hits, &e), &e);
	for (size_t i = 0; i < 2 * PODS * MAX_RULES; i++) {
		assert_int_equal(hits[i].packets - hits_before[i].packets, r->hits[i].packets);
		assert_int_equal(hits[i].bytes - hits_before[i].bytes, r->hits[i].bytes);
	}
	expect_ok(bpf_audits(world_pins(), audits, &e), &e);
	for (size_t i = 0; i < SLU_AUDIT_MAX; i++)
		assert_int_equal(audits[i].packets - audits_before[i].packets, r->audits[i]);
}

static size_t round_run(struct round *r)
{
	static struct slu_hit hits[2 * PODS * MAX_RULES];
	struct slu_count audits[SLU_AUDIT_MAX];
	struct err e = {};
	struct sent s;
	size_t n = 0;

	expect_ok(bpf_hits(world_pins(), FIRST_HIT, 2 * PODS * MAX_RULES, hits, &e), &e);
	expect_ok(bpf_audits(world_pins(), audits, &e), &e);
	for (uint32_t i = 0; i < PODS; i++) {
		pod_write(&r->subjects[i], i);
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
	static struct round r;
	struct err e = {};
	size_t n = 0;

	world();
	addresses_write();
	expect_ok(tables_load(world_pins(), &t, &e), &e);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct policy_texts texts = {};

		random_seed(100000 + i);
		random_policies(&texts);
		round_init(&r, &texts);
		policy_texts_done(&texts);
		round_apply(&r, t);
		n += round_run(&r);
		round_done(&r);
	}
	print_message("%zu decisions\n", n);
	assert_in_range(n, 100000 / SCALE, SIZE_MAX);
	tables_free(t);
}

/* ---- after edits ---- */

/* What a compile of the same thing into empty maps would say. */
static struct dp_tables *cold_tables(const struct round *r)
{
	struct dp_tables *t = tables_new();
	struct programs_plan *plan = round_plan(r, t);

	programs_commit(t, plan);
	programs_plan_free(plan);
	return t;
}

static void check_tables(const struct round *r, const struct dp_tables *before,
			 const struct dp_tables *t)
{
	struct dp_tables *cold = cold_tables(r), *empty = tables_new(), *now = NULL;
	struct err e = {};

	expect_ok(tables_load(world_pins(), &now, &e), &e);
	assert_int_equal(now->n_policies, cold->n_policies + before->n_policies);
	for (size_t i = 0; i < cold->n_policies; i++) {
		const struct table_policy *p = tables_find(now, cold->policies[i]->id);

		assert_non_null(p);
		assert_true(p->meaning == cold->policies[i]->meaning);
	}
	/* and nothing is left of what was there before; a class that no interval has is not found
	 * by who reads the maps */
	for (int i = 0; i < PLACE_COUNT; i++) {
		assert_int_equal(t->spaces[i].used - before->spaces[i].used,
				 cold->spaces[i].used - empty->spaces[i].used);
		assert_in_range(now->spaces[i].used, 0, t->spaces[i].used);
	}
	tables_free(now);
	tables_free(cold);
	tables_free(empty);
}

/* Programs whose bindings have other keys than before, or are new. */
static size_t changed(const struct round *r, uint64_t keys[2 * PODS])
{
	size_t n = 0;

	for (size_t i = 0; i < 2 * PODS; i++) {
		uint64_t key = r->subjects[i / 2].bindings[i % 2].key;

		n += key && key != keys[i];
		keys[i] = key;
	}
	return n;
}

static void after_any_edits_the_maps_are_as_if_written_at_once(void **state)
{
	uint64_t keys[2 * PODS] = {};
	struct dp_tables *t = NULL, *before = NULL;
	struct policy_texts texts = {};
	static struct round r;
	struct err e = {};

	world();
	addresses_write();
	random_seed(4242);
	random_policies(&texts);
	expect_ok(tables_load(world_pins(), &t, &e), &e);
	round_init(&r, &(struct policy_texts){});
	round_apply(&r, t); /* what the other test left goes */
	round_done(&r);
	expect_ok(tables_load(world_pins(), &before, &e), &e);
	for (uint32_t i = 0; i < EDITS; i++) {
		struct programs_plan *plan;

		random_edit(&texts);
		round_init(&r, &texts);
		plan = round_plan(&r, t);
		assert_in_range(programs_plan_sets(plan), 0, changed(&r, keys));
		programs_plan_free(plan);
		round_apply(&r, t);
		check_tables(&r, before, t);
		round_done(&r);
	}
	policy_texts_done(&texts);
	tables_free(before);
	tables_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bpf_program_equals_the_definition),
		cmocka_unit_test(after_any_edits_the_maps_are_as_if_written_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
