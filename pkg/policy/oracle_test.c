/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definition, word for word and slowly, against the compiled program: random
 * policies, random packets, no disagreement. And one answer, byte for byte, in
 * whatever order the objects arrive.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bpf/drop_reasons.h"
#include "policy/explain.h"
#include "policy/image.h"
#include "testkit/policy_fixture.h"
#include "testkit/policy_random.h"

#define ROUNDS	600
#define PODS	4
#define PACKETS 100

/* ---- the definition ---- */

struct packet {
	const struct pod_info *pod;
	const struct labels *namespace;
	struct addr dst;
	uint32_t key;
};

static bool selects(const struct doc_policy *p, const struct packet *pkt)
{
	if (p->meta.kind == DOC_EGRESS_POLICY)
		return strcmp(p->meta.namespace, pkt->pod->namespace) == 0 &&
		       selector_matches(&p->pods, &pkt->pod->labels);
	return (!p->namespaces.present || selector_matches(&p->namespaces, pkt->namespace)) &&
	       selector_matches(&p->pods, &pkt->pod->labels);
}

static bool to_matches(const struct doc_set *set, const struct doc_to *to, struct addr dst)
{
	for (size_t i = 0; to->kind == TO_NODES && i < set->n_nodes; i++)
		for (size_t j = 0; j < set->nodes[i].n_addrs; j++)
			if (selector_matches(&to->nodes, &set->nodes[i].meta.labels) &&
			    addr_eq(set->nodes[i].addrs[j].addr, dst))
				return true;
	if (to->kind == TO_NODES || !cidr_contains_addr(to->cidr, dst))
		return false;
	for (size_t i = 0; i < to->n_except; i++)
		if (cidr_contains_addr(to->except[i], dst))
			return false;
	return true;
}

static bool rule_matches(const struct doc_set *set, const struct doc_rule *r,
			 const struct packet *pkt)
{
	bool to = !r->n_to, port = !r->n_ports;

	for (size_t i = 0; i < r->n_to; i++)
		to = to || to_matches(set, &r->to[i], pkt->dst);
	for (size_t i = 0; i < r->n_ports; i++)
		port = port || (pkt->key >= r->ports[i].lo && pkt->key <= r->ports[i].hi);
	return to && port;
}

/* Step of a policy's rules; its default block is in STEP_DEFAULTS. */
static int step_of(const struct doc_policy *p)
{
	if (p->meta.kind == DOC_EGRESS_POLICY)
		return STEP_PODS;
	return p->tier == TIER_ADMIN ? STEP_ADMIN : STEP_BASELINE;
}

static int compare_order(const void *va, const void *vb)
{
	const struct doc_policy *a = *(const struct doc_policy *const *)va;
	const struct doc_policy *b = *(const struct doc_policy *const *)vb;
	int order = a->priority - b->priority;

	if (!order)
		order = strcmp(a->meta.namespace, b->meta.namespace);
	return order ? order : strcmp(a->meta.name, b->meta.name);
}

struct answer {
	enum rule_action verdict; /* NONE: nothing matched */
	const struct doc_via *via;
	const struct doc_policy *via_policy;
};

static void consider(struct answer *a, bool *step_over, enum rule_action action,
		     const struct doc_via *via, const struct doc_policy *p)
{
	if (!a->via && via->kind != VIA_NONE) {
		a->via = via;
		a->via_policy = p;
	}
	if (a->verdict != ACTION_NONE || *step_over)
		return;
	if (action == ACTION_PASS)
		*step_over = true;
	else
		a->verdict = action;
}

static struct answer evaluate(const struct doc_set *set, const struct packet *pkt)
{
	__cleanup_free const struct doc_policy **order = mem_alloc0((set->n_policies + 1) *
								    sizeof(*order));
	struct answer a = {};

	for (size_t i = 0; i < set->n_policies; i++)
		order[i] = &set->policies[i];
	qsort(order, set->n_policies, sizeof(*order), compare_order);
	for (int step = STEP_ADMIN; step <= STEP_BASELINE; step++) {
		bool step_over = false;

		for (size_t i = 0; i < set->n_policies; i++) {
			const struct doc_policy *p = order[i];

			if (!selects(p, pkt))
				continue;
			for (size_t j = 0; step == step_of(p) && j < p->n_rules; j++)
				if (rule_matches(set, &p->rules[j], pkt))
					consider(&a, &step_over, p->rules[j].action,
						 &p->rules[j].via, p);
			if (step == STEP_DEFAULTS && p->has_default)
				consider(&a, &step_over, p->default_action, &p->default_via, p);
		}
	}
	return a;
}

static enum verdict verdict_of(const struct answer *a)
{
	return a->verdict == ACTION_DENY     ? VERDICT_DENY
	       : a->verdict == ACTION_REJECT ? VERDICT_REJECT
					     : VERDICT_ALLOW;
}

/* ---- the comparison ---- */

static struct packet random_packet(const struct pod_info *pod, const struct labels *namespace)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP, 47};
	uint8_t proto = protos[random_below(5)];
	uint32_t value = random_below(256);
	char text[ADDR_STRLEN];

	if (random_below(2))
		snprintf(text, sizeof(text), "198.51.%u.%u", value >> 4, (value & 15) << 4);
	else
		snprintf(text, sizeof(text), "2001:db8:%x::%s", value << 8,
			 random_below(2) ? "" : "7");
	return (struct packet){
		.pod = pod,
		.namespace = namespace,
		.dst = addr_of(text),
		.key = L4_KEY(proto,
			      proto == IPPROTO_ICMP ? random_below(5) << 8 : random_below(20)),
	};
}

/* What a via stands for, found again without identities.c: the reason, or one of its addresses. */
static void check_identity(const struct policy_fixture *f, const struct answer *a,
			   const struct packet *pkt, uint32_t identity)
{
	size_t n, n_addrs, family = addr_is_v4(pkt->dst) ? 0 : 1;
	const struct identity *id = &compiled_identities(f->c, &n)[identity];
	const struct egress_addr *addrs = compiled_addrs(f->c, &n_addrs);
	bool cluster;
	int want;

	assert_in_range(identity, 0, n - 1);
	if (!a->via || a->via->kind == VIA_NODE) {
		assert_int_equal(identity, 0);
		return;
	}
	cluster = a->via_policy->meta.kind == DOC_CLUSTER_EGRESS_POLICY;
	assert_string_equal(id->gateway, a->via->gateway);
	if (strcmp(id->gateway, "g5") == 0)
		want = SLU_DROP_NO_GATEWAY;
	else if (!cluster && (strcmp(id->gateway, "g4") == 0 ||
			      (strcmp(id->gateway, "g1") == 0 &&
			       strcmp(a->via_policy->meta.namespace, "n0") != 0)))
		want = SLU_DROP_NOT_PERMITTED;
	else if (strcmp(id->gateway, "g1") != 0 && (strcmp(id->gateway, "g3") == 0) != family)
		want = SLU_DROP_FAMILY;
	else
		want = SLU_OK;
	if (want) {
		assert_int_equal(id->n_picks[family], 0);
		assert_int_equal(id->none[family], a->via->or_node ? SLU_OK : want);
		return;
	}
	assert_int_equal(id->n_picks[family], id->per_pod ? 8 : 1);
	for (size_t i = 0; i < id->n_picks[family]; i++) {
		assert_in_range(id->picks[family][i], 0, n_addrs - 1);
		assert_string_equal(addrs[id->picks[family][i]].gateway, id->gateway);
	}
}

static void check_packet(const struct policy_fixture *f, const struct program *p,
			 const struct packet *pkt)
{
	struct decision d = program_decide(p, f->c, pkt->dst, pkt->key, NULL, 0);
	struct answer a = evaluate(f->set, pkt);

	if (d.verdict != verdict_of(&a))
		fail_msg("%s key %#x of %s: verdict %d, expected %d", addr_str(pkt->dst), pkt->key,
			 pkt->pod->namespace, d.verdict, verdict_of(&a));
	check_identity(f, &a, pkt, d.identity);
}

/* explain names rules by its own walk: what it says wins must say what the program says. */
static void check_explain(const struct policy_fixture *f, const struct program *p,
			  const struct packet *pkt)
{
	struct explain_query q = {.pod = *pkt->pod, .dst = pkt->dst, .l4_key = pkt->key};
	struct decision d = program_decide(p, f->c, pkt->dst, pkt->key, NULL, 0);
	enum rule_action action = ACTION_NONE;
	uint32_t identity = 0;
	struct explain *x;

	assert_int_equal(policy_explain(f->c, &q, &x), 0);
	for (size_t i = 0; i < x->n_lines; i++) {
		const struct flat_rule *r = x->lines[i].rule;

		if (x->lines[i].verdict == EXPLAIN_WINS)
			action = r->rule ? r->rule->action : r->policy->default_action;
		if (x->lines[i].identity == EXPLAIN_WINS)
			identity = r->identity;
	}
	if (x->scope == EXPLAIN_OUTSIDE && x->n_lines) {
		assert_int_equal(verdict_of(&(struct answer){.verdict = action}), d.verdict);
		assert_int_equal(identity, d.identity);
	}
	explain_free(x);
}

static size_t check_pod(const struct policy_fixture *f, const struct pod_info *pod,
			const struct labels *namespace)
{
	struct binding b;
	struct program *p;

	assert_int_equal(policy_resolve(f->c, pod, &b), 0);
	assert_int_equal(policy_flatten(f->c, &b, &p), 0);
	for (size_t i = 0; i < PACKETS; i++) {
		struct packet pkt = random_packet(pod, namespace);

		check_packet(f, p, &pkt);
		if (i == 0)
			check_explain(f, p, &pkt);
	}
	program_free(p);
	binding_done(&b);
	return PACKETS;
}

static size_t round_of(const struct policy_fixture *f)
{
	static const char *const pod_labels[] = {"app=a0", "app=a1 x=y", "app=a2", ""};
	size_t n = 0;

	for (uint32_t i = 0; i < PODS; i++) {
		struct pod_info pod = {.namespace = random_below(2) ? "n0" : "n1", .name = "p"};
		struct labels namespace = labels_from_text(
			pod.namespace[1] == '0' ? "kubernetes.io/metadata.name=n0 team=t0"
						: "kubernetes.io/metadata.name=n1");

		pod.labels = labels_from_text(pod_labels[i]);
		pod.labels_known = true;
		n += check_pod(f, &pod, &namespace);
		labels_done(&pod.labels);
		labels_done(&namespace);
	}
	return n;
}

static void program_equals_the_definition(void **state)
{
	size_t n = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct policy_fixture f;
		struct policy_texts t = {};
		char *yaml;

		random_seed(i);
		random_policies(&t);
		yaml = policy_texts_join(&t);
		policy_fixture_init(&f, yaml, "n1", "eth0 203.0.113.250/24 2001:db8:ffff::fa/64");
		n += round_of(&f);
		policy_fixture_done(&f);
		free(yaml);
		policy_texts_done(&t);
	}
	assert_in_range(n, 200000, SIZE_MAX);
}

/* ---- order of arrival ---- */

struct bytes {
	uint8_t *data;
	size_t len;
};

static struct bytes everything_of(const struct policy_fixture *f)
{
	struct image_info info = {.generation = 1, .digest = compiled_digest(f->c)};
	struct pod_info pod = {.namespace = "n0", .name = "p", .labels_known = true};
	struct program *p;
	struct binding b;
	struct bytes out;
	char *programs;
	size_t size;
	FILE *s = open_memstream(&programs, &size);

	pod.labels = labels_from_text("app=a0");
	assert_int_equal(image_build(f->c, &info, NULL, 0, &out.data, &out.len), 0);
	assert_int_equal(policy_resolve(f->c, &pod, &b), 0);
	assert_int_equal(policy_flatten(f->c, &b, &p), 0);
	for (size_t i = 0; i < p->n_entries; i++)
		fprintf(s, "%s %u %u\n", cidr_str(p->entries[i].prefix), p->entries[i].class,
			p->entries[i].parent);
	for (size_t i = 0; i < p->n_classes; i++)
		for (size_t j = 0; j < p->classes[i].n; j++) {
			struct class_range r = p->classes[i].ranges[j];

			fprintf(s, "%zu %u:", i, r.lo);
			for (size_t k = 0; k < CELL_STEPS; k++)
				fprintf(s, " %u", r.cell.verdict[k]);
			fprintf(s, " %u\n", r.cell.identity);
		}
	fclose(s);
	out.data = mem_resize(out.data, out.len + size, 1);
	memcpy(out.data + out.len, programs, size);
	out.len += size;
	free(programs);
	program_free(p);
	binding_done(&b);
	labels_done(&pod.labels);
	return out;
}

static void shuffle(struct policy_texts *t)
{
	for (size_t i = t->n; i > 1; i--) {
		size_t j = random_below((uint32_t)i);
		char *tmp = t->docs[i - 1];

		t->docs[i - 1] = t->docs[j];
		t->docs[j] = tmp;
	}
}

static void order_of_arrival_changes_no_byte(void **state)
{
	struct bytes first = {};
	struct policy_texts t = {};

	random_seed(4711);
	random_policies(&t);
	for (uint32_t i = 0; i < 8; i++)
		random_policy(&t, 100 + i);
	for (uint32_t i = 0; i < 100; i++) {
		struct policy_fixture f;
		struct bytes now;
		char *yaml;

		shuffle(&t);
		yaml = policy_texts_join(&t);
		policy_fixture_init(&f, yaml, "n1", "eth0 203.0.113.250/24 2001:db8:ffff::fa/64");
		now = everything_of(&f);
		if (!first.data)
			first = (struct bytes){mem_dup(now.data, now.len), now.len};
		assert_int_equal(first.len, now.len);
		assert_memory_equal(first.data, now.data, now.len);
		free(now.data);
		policy_fixture_done(&f);
		free(yaml);
	}
	free(first.data);
	policy_texts_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(program_equals_the_definition),
		cmocka_unit_test(order_of_arrival_changes_no_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
