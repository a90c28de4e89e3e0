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
#include "testkit/oracle.h"
#include "testkit/policy_fixture.h"
#include "testkit/policy_random.h"

#ifdef __SANITIZE_ADDRESS__ /* ten times slower */
#define SCALE 10
#else
#define SCALE 1
#endif

#define ROUNDS	(1200 / SCALE)
#define PODS	4
#define PACKETS 220

struct world {
	struct policy_fixture f;
	const char *const *names;
	size_t n_names;
};

static void world_init(struct world *w, const struct policy_texts *t)
{
	char *yaml = policy_texts_join(t);

	policy_fixture_node(&w->f, "n1", "eth0 203.0.113.250/24 2001:db8:ffff::fa/64");
	w->f.set = docs_from_yaml(yaml);
	w->f.node.now = RANDOM_NOW;
	policy_fixture_compile(&w->f);
	w->names = compiled_names(w->f.c, &w->n_names);
	free(yaml);
}

/* ---- a packet ---- */

#define MAX_NAMES 8

struct packet {
	struct oracle_packet o;
	uint32_t places[MAX_NAMES]; /* of its names among the compiled ones */
	const char *names[MAX_NAMES];
};

static void random_packet(const struct world *w, const struct pod_info *pod,
			  const struct labels *namespace, struct packet *ret)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP, 47};
	uint8_t proto = protos[random_below(5)];
	char text[ADDR_STRLEN];

	random_address(text, sizeof(text));
	*ret = (struct packet){};
	ret->o = (struct oracle_packet){
		.pod = pod,
		.namespace = namespace,
		.dst = addr_of(text),
		.key = L4_KEY(proto,
			      proto == IPPROTO_ICMP ? random_below(5) << 8 : random_below(20)),
		.names = ret->names,
		.now = RANDOM_NOW,
	};
	assert_in_range(w->n_names, 0, MAX_NAMES);
	for (uint32_t i = 0; i < w->n_names; i++) {
		if (random_below(3))
			continue;
		ret->places[ret->o.n_names] = i;
		ret->names[ret->o.n_names++] = w->names[i];
	}
}

static struct decision decide(const struct world *w, const struct program *p,
			      const struct packet *pkt)
{
	const struct program_dst dst = {pkt->o.dst, pkt->places, pkt->o.n_names};

	return program_decide(p, w->f.c, &dst, pkt->o.key);
}

/* ---- the comparison ---- */

/* What a via stands for, found again without identities.c: the reason, or one of its addresses. */
static void check_identity(const struct policy_fixture *f, const struct oracle_answer *a,
			   struct addr dst, uint32_t identity)
{
	size_t n, n_addrs, family = addr_is_v4(dst) ? 0 : 1;
	const struct identity *id = &compiled_identities(f->c, &n)[identity];
	const struct egress_addr *addrs = compiled_addrs(f->c, &n_addrs);
	bool cluster;
	int want;

	assert_in_range(identity, 0, n - 1);
	if (!a->via || a->via->kind == VIA_NODE) {
		assert_int_equal(identity, 0);
		return;
	}
	cluster = a->via_by.policy->meta.kind == DOC_CLUSTER_EGRESS_POLICY;
	assert_string_equal(id->gateway, a->via->gateway);
	if (strcmp(id->gateway, "g5") == 0)
		want = SLU_DROP_NO_GATEWAY;
	else if (!cluster && (strcmp(id->gateway, "g4") == 0 ||
			      (strcmp(id->gateway, "g1") == 0 &&
			       strcmp(a->via_by.policy->meta.namespace, "n0") != 0)))
		want = SLU_DROP_NOT_PERMITTED;
	else if (strcmp(id->gateway, "g1") != 0 && strcmp(id->gateway, "g6") != 0 &&
		 (strcmp(id->gateway, "g3") == 0) != family)
		want = SLU_DROP_FAMILY;
	else
		want = SLU_OK;
	if (want) {
		assert_int_equal(id->n_picks[family], 0);
		assert_int_equal(id->none[family], a->via->or_node ? SLU_OK : want);
		return;
	}
	assert_int_equal(id->n_picks[family], id->per_pod ? 8 : id->per_flow ? 256 : 1);
	for (size_t i = 0; i < id->n_picks[family]; i++) {
		assert_in_range(id->picks[family][i], 0, n_addrs - 1);
		assert_string_equal(addrs[id->picks[family][i]].gateway, id->gateway);
	}
}

static void check_by(const struct program *p, uint32_t rule, const struct oracle_by *by)
{
	const struct flat_rule *r = rule == UINT32_MAX ? NULL : p->rules[rule];

	assert_ptr_equal(r ? r->policy : NULL, by->policy);
	assert_ptr_equal(r ? r->rule : NULL, by->rule);
}

static void check_packet(const struct world *w, const struct program *p, const struct packet *pkt)
{
	struct oracle_answer a = oracle_evaluate(w->f.set, &pkt->o);
	struct decision d = decide(w, p, pkt);

	if (d.verdict != oracle_verdict(&a))
		fail_msg("%s key %#x of %s: verdict %d, expected %d", addr_str(pkt->o.dst),
			 pkt->o.key, pkt->o.pod->namespace, d.verdict, oracle_verdict(&a));
	check_by(p, d.verdict_rule, &a.verdict_by);
	check_by(p, d.identity_rule, &a.via_by);
	check_identity(&w->f, &a, pkt->o.dst, d.identity);
}

/* explain names rules by its own walk: what it says wins must say what the program says. */
static void check_explain(const struct world *w, const struct program *p, const struct packet *pkt)
{
	struct explain_query q = {.pod = *pkt->o.pod,
				  .dst = pkt->o.dst,
				  .l4_key = pkt->o.key,
				  .audit = pkt->o.audit,
				  .names = pkt->places,
				  .n_names = pkt->o.n_names};
	struct decision d = decide(w, p, pkt);
	const struct flat_rule *verdict = NULL, *identity = NULL;
	struct explain *x;

	assert_int_equal(policy_explain(w->f.c, &q, &x), 0);
	for (size_t i = 0; i < x->n_lines; i++) {
		if (x->lines[i].verdict == EXPLAIN_WINS)
			verdict = x->lines[i].rule;
		if (x->lines[i].identity == EXPLAIN_WINS)
			identity = x->lines[i].rule;
	}
	if (x->scope == EXPLAIN_OUTSIDE && x->n_lines) {
		assert_ptr_equal(verdict,
				 d.verdict_rule == UINT32_MAX ? NULL : p->rules[d.verdict_rule]);
		assert_ptr_equal(identity,
				 d.identity_rule == UINT32_MAX ? NULL : p->rules[d.identity_rule]);
	}
	explain_free(x);
}

/* The answers by range of ports are those of their first and last ports. */
static void check_ranges(const struct world *w, const struct program *p, const struct packet *pkt)
{
	const struct program_dst pp = {pkt->o.dst, pkt->places, pkt->o.n_names};
	struct program_range *list;
	size_t n;

	program_ranges(p, w->f.c, &pp, &list, &n);
	assert_int_equal(list[0].lo, 0);
	for (size_t i = 0; i < n; i++) {
		uint32_t last = i + 1 < n ? list[i + 1].lo - 1 : L4_MAX;
		struct packet at = *pkt;
		struct decision d;

		for (size_t j = 0; j < 2; j++) {
			at.o.key = j ? last : list[i].lo;
			d = decide(w, p, &at);
			assert_int_equal(d.verdict, list[i].decision.verdict);
			assert_int_equal(d.identity, list[i].decision.identity);
		}
	}
	free(list);
}

static size_t check_pod(const struct world *w, const struct pod_info *pod,
			const struct labels *namespace, bool audit)
{
	struct packet pkt;
	struct program *p;
	struct binding b;

	assert_int_equal(
		audit ? policy_resolve_audit(w->f.c, pod, &b) : policy_resolve(w->f.c, pod, &b), 0);
	random_packet(w, pod, namespace, &pkt);
	if (audit) {
		assert_int_equal(b.n > 0, oracle_evaluate(w->f.set, &pkt.o).audited);
		if (!b.n)
			return 0;
	}
	assert_int_equal(policy_flatten(w->f.c, &b, &p), 0);
	assert_in_range(p->n_sets, 0, PROGRAM_MAX_SETS);
	for (size_t i = 0; i < PACKETS; i++) {
		random_packet(w, pod, namespace, &pkt);
		pkt.o.names = pkt.names;
		pkt.o.audit = audit;
		check_packet(w, p, &pkt);
		if (i == 0)
			check_explain(w, p, &pkt);
		if (i == 1)
			check_ranges(w, p, &pkt);
	}
	program_free(p);
	binding_done(&b);
	return PACKETS;
}

static size_t round_of(const struct world *w)
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
		n += check_pod(w, &pod, &namespace, false);
		n += check_pod(w, &pod, &namespace, true);
		labels_done(&pod.labels);
		labels_done(&namespace);
	}
	return n;
}

static void program_equals_the_definition(void **state)
{
	size_t n = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct policy_texts t = {};
		struct world w;

		random_seed(i);
		random_policies(&t);
		world_init(&w, &t);
		n += round_of(&w);
		policy_fixture_done(&w.f);
		policy_texts_done(&t);
	}
	print_message("%zu decisions\n", n);
	assert_in_range(n, 1000000 / SCALE, SIZE_MAX);
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
	for (size_t i = 0; i < p->n_sets; i++)
		fprintf(s, "set %u %u\n", p->sets[i].index, p->sets[i].class);
	for (size_t i = 0; i < p->n_names; i++)
		fprintf(s, "name %u %u\n", p->names[i].index, p->names[i].class);
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
		struct bytes now;
		struct world w;

		shuffle(&t);
		world_init(&w, &t);
		now = everything_of(&w.f);
		if (!first.data)
			first = (struct bytes){mem_dup(now.data, now.len), now.len};
		assert_int_equal(first.len, now.len);
		assert_memory_equal(first.data, now.data, now.len);
		free(now.data);
		policy_fixture_done(&w.f);
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
