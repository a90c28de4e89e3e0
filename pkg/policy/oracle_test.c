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

/* ---- random policies ---- */

struct text {
	char *docs[64];
	size_t n;
	char *buf;
	size_t len;
	FILE *f;
};

static uint64_t seed;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static void doc_begin(struct text *t, const char *kind)
{
	t->f = open_memstream(&t->buf, &t->len);
	fprintf(t->f, "---\napiVersion: sluice.dev/v1alpha1\nkind: %s\n", kind);
}

static void doc_end(struct text *t)
{
	fclose(t->f);
	t->docs[t->n++] = t->buf;
	t->buf = NULL;
}

/* Few bits vary, so that prefixes nest, meet and overlap. */
static void write_cidr(FILE *f, bool v4, uint32_t bits, uint32_t fixed)
{
	uint32_t len = bits, value = fixed & (bits ? ~0u << (8 - bits) : 0) & 0xff;

	if (v4)
		fprintf(f, "198.51.%u.%u/%u", value >> 4, (value & 15) << 4, 20 + len);
	else
		fprintf(f, "'2001:db8:%x::/%u'", value << 8, 32 + len);
}

static void write_to(FILE *f)
{
	bool v4 = rnd(2);
	uint32_t bits = rnd(9), value = rnd(256);

	if (rnd(12) == 0) {
		fprintf(f, "{nodes: {matchLabels: {zone: z%u}}}", rnd(2));
		return;
	}
	if (rnd(10) == 0) {
		fprintf(f, "{cidr: %s}", v4 ? "0.0.0.0/0" : "'::/0'");
		return;
	}
	fprintf(f, "{cidr: ");
	write_cidr(f, v4, bits, value);
	if (bits < 8 && rnd(3) == 0) {
		fprintf(f, ", except: [");
		write_cidr(f, v4, bits + 1 + rnd(8 - bits), value);
		fprintf(f, "]");
	}
	fprintf(f, "}");
}

static void write_ports(FILE *f)
{
	static const char *const protos[] = {"TCP", "UDP", "SCTP"};

	fprintf(f, ", ports: [");
	for (uint32_t i = 0, n = 1 + rnd(3); i < n; i++) {
		uint32_t port = 1 + rnd(12);

		fprintf(f, "%s", i ? ", " : "");
		if (rnd(4) == 0)
			fprintf(f, "{protocol: ICMP, type: %u}", rnd(4));
		else if (rnd(4) == 0)
			fprintf(f, "{protocol: %s}", protos[rnd(3)]);
		else
			fprintf(f, "{protocol: %s, port: %u, endPort: %u}", protos[rnd(3)], port,
				port + rnd(6));
	}
	fprintf(f, "]");
}

static void write_via(FILE *f)
{
	if (rnd(4) == 0)
		fprintf(f, ", via: {node: {}}");
	else
		fprintf(f, ", via: {gateway: g%u%s}", rnd(6), rnd(3) ? "" : ", unavailable: Node");
}

static void write_rule(FILE *f, uint32_t i)
{
	static const char *const actions[] = {"Allow", "Deny", "Reject", "Pass"};
	bool action = rnd(4) > 0;

	fprintf(f, "  - {name: r%u", i);
	if (action)
		fprintf(f, ", action: %s", actions[rnd(4)]);
	if (rnd(4)) {
		fprintf(f, ", to: [");
		write_to(f);
		for (uint32_t n = rnd(3); n; n--) {
			fprintf(f, ", ");
			write_to(f);
		}
		fprintf(f, "]");
	}
	if (rnd(2))
		write_ports(f);
	if (!action || rnd(3) == 0)
		write_via(f);
	fprintf(f, "}\n");
}

static void write_selector(FILE *f, const char *key, char value)
{
	switch (rnd(6)) {
	case 0:
		fprintf(f, "{}");
		break;
	case 1:
		fprintf(f, "{matchExpressions: [{key: %s, operator: NotIn, values: [%c%u]}]}", key,
			value, rnd(2));
		break;
	case 2:
		fprintf(f, "{matchExpressions: [{key: %s, operator: %s}]}", key,
			rnd(2) ? "Exists" : "DoesNotExist");
		break;
	case 3:
		fprintf(f, "{matchExpressions: [{key: %s, operator: In, values: [%c0, %c%u]}]}",
			key, value, value, 1 + rnd(2));
		break;
	default:
		fprintf(f, "{matchLabels: {%s: %c%u}}", key, value, rnd(3));
	}
}

static void write_policy(struct text *t, uint32_t i)
{
	bool cluster = rnd(2);
	FILE *f;

	doc_begin(t, cluster ? "ClusterEgressPolicy" : "EgressPolicy");
	f = t->f;
	if (cluster)
		fprintf(f, "metadata: {name: p%u}\nspec:\n  tier: %s\n", i,
			rnd(2) ? "Admin" : "Baseline");
	else
		fprintf(f, "metadata: {name: p%u, namespace: n%u}\nspec:\n", i, rnd(2));
	fprintf(f, "  priority: %u\n  subject:\n    podSelector: ", rnd(3));
	write_selector(f, "app", 'a');
	if (cluster && rnd(2)) {
		fprintf(f, "\n    namespaceSelector: ");
		write_selector(f, "team", 't');
	}
	fprintf(f, "\n  rules:\n");
	for (uint32_t j = 0, n = 1 + rnd(4); j < n; j++)
		write_rule(f, j);
	if (!cluster && rnd(2)) {
		bool via = rnd(3) == 0;

		fprintf(f, "  default: {action: %s", rnd(2) ? "Deny" : "Allow");
		if (via)
			write_via(f);
		fprintf(f, "}\n");
	}
	doc_end(t);
}

static void write_gateways(struct text *t)
{
	static const char *const specs[] = {
		"{addresses: [{range: 203.0.113.10}], allowedNamespaces: {}}",
		"{addresses: [{range: 203.0.113.16-203.0.113.19}, {range: '2001:db8:ffff::1'}], "
		"allowedNamespaces: {matchLabels: {team: t0}}}",
		"{addresses: [{range: 203.0.113.32/29}], spread: Pod, allowedNamespaces: {}}",
		"{addresses: [{range: '2001:db8:ffff::10'}], allowedNamespaces: {}}",
		"{addresses: [{range: 203.0.113.50}]}",
	};

	for (uint32_t i = 0; i < sizeof(specs) / sizeof(*specs); i++) {
		doc_begin(t, "EgressGateway");
		fprintf(t->f, "metadata: {name: g%u}\nspec: %s\n", i, specs[i]);
		doc_end(t);
	}
}

static void write_core(struct text *t, const char *kind, const char *rest)
{
	t->f = open_memstream(&t->buf, &t->len);
	fprintf(t->f, "---\napiVersion: v1\nkind: %s\n%s\n", kind, rest);
	doc_end(t);
}

static void write_docs(struct text *t)
{
	write_gateways(t);
	write_core(t, "Node",
		   "metadata: {name: n1, labels: {zone: z0}}\nstatus: {addresses: [{type: "
		   "InternalIP, address: 203.0.113.250}, {type: ExternalIP, address: "
		   "198.51.3.16}]}");
	write_core(t, "Node",
		   "metadata: {name: n2, labels: {zone: z1}}\nstatus: {addresses: [{type: "
		   "InternalIP, address: 203.0.113.251}, {type: ExternalIP, address: "
		   "'2001:db8:4000::'}]}");
	write_core(t, "Namespace", "metadata: {name: n0, labels: {team: t0}}");
	for (uint32_t i = 0, n = 1 + rnd(8); i < n; i++)
		write_policy(t, i);
}

static void text_done(struct text *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->docs[i]);
	t->n = 0;
}

static char *text_join(const struct text *t)
{
	char *out = mem_strdup("");

	for (size_t i = 0; i < t->n; i++) {
		char *longer = mem_printf("%s%s", out, t->docs[i]);

		free(out);
		out = longer;
	}
	return out;
}

/* ---- the comparison ---- */

static struct packet random_packet(const struct pod_info *pod, const struct labels *namespace)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP, 47};
	uint8_t proto = protos[rnd(5)];
	uint32_t value = rnd(256);
	char text[ADDR_STRLEN];

	if (rnd(2))
		snprintf(text, sizeof(text), "198.51.%u.%u", value >> 4, (value & 15) << 4);
	else
		snprintf(text, sizeof(text), "2001:db8:%x::%s", value << 8, rnd(2) ? "" : "7");
	return (struct packet){
		.pod = pod,
		.namespace = namespace,
		.dst = addr_of(text),
		.key = L4_KEY(proto, proto == IPPROTO_ICMP ? rnd(5) << 8 : rnd(20)),
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
	const struct decision *d = program_decide(p, pkt->dst, pkt->key);
	struct answer a = evaluate(f->set, pkt);

	if (d->verdict != verdict_of(&a))
		fail_msg("%s key %#x of %s: verdict %d, expected %d", addr_str(pkt->dst), pkt->key,
			 pkt->pod->namespace, d->verdict, verdict_of(&a));
	check_identity(f, &a, pkt, d->identity);
}

/* explain names rules by its own walk: what it says wins must say what the program says. */
static void check_explain(const struct policy_fixture *f, const struct program *p,
			  const struct packet *pkt)
{
	struct explain_query q = {.pod = *pkt->pod, .dst = pkt->dst, .l4_key = pkt->key};
	const struct decision *d = program_decide(p, pkt->dst, pkt->key);
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
		assert_int_equal(verdict_of(&(struct answer){.verdict = action}), d->verdict);
		assert_int_equal(identity, d->identity);
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
		struct pod_info pod = {.namespace = rnd(2) ? "n0" : "n1", .name = "p"};
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
		struct text t = {};
		char *yaml;

		seed = i;
		write_docs(&t);
		yaml = text_join(&t);
		policy_fixture_init(&f, yaml, "n1", "eth0 203.0.113.250/24 2001:db8:ffff::fa/64");
		n += round_of(&f);
		policy_fixture_done(&f);
		free(yaml);
		text_done(&t);
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

			fprintf(s, "%zu %u: %u %u %u %u\n", i, r.lo, r.decision.verdict,
				r.decision.identity, r.decision.verdict_rule,
				r.decision.identity_rule);
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

static void shuffle(struct text *t)
{
	for (size_t i = t->n; i > 1; i--) {
		size_t j = rnd((uint32_t)i);
		char *tmp = t->docs[i - 1];

		t->docs[i - 1] = t->docs[j];
		t->docs[j] = tmp;
	}
}

static void order_of_arrival_changes_no_byte(void **state)
{
	struct bytes first = {};
	struct text t = {};

	seed = 4711;
	write_docs(&t);
	for (uint32_t i = 0; i < 8; i++)
		write_policy(&t, 100 + i);
	for (uint32_t i = 0; i < 100; i++) {
		struct policy_fixture f;
		struct bytes now;
		char *yaml;

		shuffle(&t);
		yaml = text_join(&t);
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
	text_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(program_equals_the_definition),
		cmocka_unit_test(order_of_arrival_changes_no_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
