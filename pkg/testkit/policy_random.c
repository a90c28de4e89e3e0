/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/policy_random.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/compile.h"

static uint64_t seed;

void random_seed(uint64_t value)
{
	seed = value;
}

uint32_t random_below(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static void doc_begin(struct policy_texts *t, const char *kind)
{
	t->f = open_memstream(&t->buf, &t->len);
	fprintf(t->f, "---\napiVersion: sluice.dev/v1alpha1\nkind: %s\n", kind);
}

static void doc_end(struct policy_texts *t)
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

static void write_fqdn(FILE *f)
{
	static const char *const names[] = {"a.example.com", "b.example.com", "'*.example.com'",
					    "c.example.net", "'*.a.example.com'"};

	fprintf(f, "%s", names[random_below(5)]);
}

/* All of them of the cluster for a cluster policy, which can mean no others. */
static void write_destination(FILE *f, bool cluster)
{
	if (cluster || random_below(2))
		fprintf(f, "{destination: {kind: ClusterEgressDestination, name: d%u}}",
			random_below(7));
	else
		fprintf(f, "{destination: {name: d%u}}", random_below(7));
}

static void write_destination_selector(FILE *f)
{
	static const char *const selectors[] = {
		"{}", "{matchLabels: {set: s0}}", "{matchLabels: {set: s1}}",
		"{matchExpressions: [{key: set, operator: In, values: [s0, s1]}]}",
		"{matchExpressions: [{key: set, operator: DoesNotExist}]}"};

	fprintf(f, "{destinationSelector: %s}", selectors[random_below(5)]);
}

static void write_to(FILE *f, bool cluster)
{
	bool v4 = random_below(2);
	uint32_t bits = random_below(9), value = random_below(256);

	switch (random_below(10)) {
	case 0:
		fprintf(f, "{fqdn: ");
		write_fqdn(f);
		fprintf(f, "}");
		return;
	case 1:
	case 2:
		write_destination(f, cluster);
		return;
	case 3:
		write_destination_selector(f);
		return;
	}

	if (random_below(12) == 0) {
		fprintf(f, "{nodes: {matchLabels: {zone: z%u}}}", random_below(2));
		return;
	}
	if (random_below(10) == 0) {
		fprintf(f, "{cidr: %s}", v4 ? "0.0.0.0/0" : "'::/0'");
		return;
	}
	fprintf(f, "{cidr: ");
	write_cidr(f, v4, bits, value);
	if (bits < 8 && random_below(3) == 0) {
		fprintf(f, ", except: [");
		write_cidr(f, v4, bits + 1 + random_below(8 - bits), value);
		fprintf(f, "]");
	}
	fprintf(f, "}");
}

static void write_ports(FILE *f)
{
	static const char *const protos[] = {"TCP", "UDP", "SCTP"};

	fprintf(f, "ports: [");
	for (uint32_t i = 0, n = 1 + random_below(3); i < n; i++) {
		uint32_t port = 1 + random_below(12);

		fprintf(f, "%s", i ? ", " : "");
		if (random_below(4) == 0)
			fprintf(f, "{protocol: ICMP, type: %u}", random_below(4));
		else if (random_below(4) == 0)
			fprintf(f, "{protocol: %s}", protos[random_below(3)]);
		else
			fprintf(f, "{protocol: %s, port: %u, endPort: %u}", protos[random_below(3)],
				port, port + random_below(6));
	}
	fprintf(f, "]");
}

static void write_via(FILE *f)
{
	if (random_below(4) == 0)
		fprintf(f, ", via: {node: {}}");
	else
		fprintf(f, ", via: {gateway: g%u%s}", random_below(7),
			random_below(3) ? "" : ", unavailable: Node");
}

static void write_schedule(FILE *f)
{
	static const char *const days[] = {"", "days: [Mon], ", "days: [Sun, Tue], "};
	uint32_t kind = random_below(4);

	fprintf(f, ", schedule: {");
	if (kind != 1)
		fprintf(f, "windows: [{%sfrom: \"%02u:%02u\", to: \"%02u:30\"}]",
			days[random_below(3)], random_below(24), random_below(30),
			random_below(24));
	if (kind == 1 || kind == 2)
		fprintf(f, "%sstartAt: \"2026-09-21T14:13:%02uZ\"", kind == 2 ? ", " : "",
			19 + random_below(3));
	if (kind == 3)
		fprintf(f, ", endAt: \"2026-09-21T14:13:%02uZ\"", 19 + random_below(3));
	fprintf(f, "}");
}

static void write_rule(FILE *f, uint32_t i, bool cluster)
{
	static const char *const actions[] = {"Allow", "Deny", "Reject", "Pass"};
	bool action = random_below(4) > 0;

	fprintf(f, "  - {name: r%u", i);
	if (action)
		fprintf(f, ", action: %s", actions[random_below(4)]);
	if (random_below(4)) {
		fprintf(f, ", to: [");
		write_to(f, cluster);
		for (uint32_t n = random_below(4); n; n--) {
			fprintf(f, ", ");
			write_to(f, cluster);
		}
		fprintf(f, "]");
	}
	if (random_below(2)) {
		fprintf(f, ", ");
		write_ports(f);
	}
	if (random_below(8) == 0)
		write_schedule(f);
	if (!action || random_below(3) == 0)
		write_via(f);
	fprintf(f, "}\n");
}

static void write_selector(FILE *f, const char *key, char value)
{
	switch (random_below(6)) {
	case 0:
		fprintf(f, "{}");
		break;
	case 1:
		fprintf(f, "{matchExpressions: [{key: %s, operator: NotIn, values: [%c%u]}]}", key,
			value, random_below(2));
		break;
	case 2:
		fprintf(f, "{matchExpressions: [{key: %s, operator: %s}]}", key,
			random_below(2) ? "Exists" : "DoesNotExist");
		break;
	case 3:
		fprintf(f, "{matchExpressions: [{key: %s, operator: In, values: [%c0, %c%u]}]}",
			key, value, value, 1 + random_below(2));
		break;
	default:
		fprintf(f, "{matchLabels: {%s: %c%u}}", key, value, random_below(3));
	}
}

void random_policy(struct policy_texts *t, uint32_t i)
{
	bool cluster = random_below(2), services = !cluster && random_below(3) == 0;
	FILE *f;

	doc_begin(t, cluster ? "ClusterEgressPolicy" : "EgressPolicy");
	f = t->f;
	if (cluster)
		fprintf(f, "metadata: {name: p%u}\nspec:\n  tier: %s\n", i,
			random_below(2) ? "Admin" : "Baseline");
	else
		fprintf(f, "metadata: {name: p%u, namespace: n%u}\nspec:\n", i, random_below(2));
	fprintf(f, "  priority: %u\n  mode: %s\n  subject:\n", random_below(3),
		random_below(6) ? "Enforce" : "Audit");
	if (services) {
		fprintf(f, "    services: [s%u, s%u]", random_below(2), 2 + random_below(3));
	} else {
		fprintf(f, "    podSelector: ");
		write_selector(f, "app", 'a');
	}
	if (cluster && random_below(2)) {
		fprintf(f, "\n    namespaceSelector: ");
		write_selector(f, "team", 't');
	}
	fprintf(f, "\n  rules:\n");
	for (uint32_t j = 0, n = 1 + random_below(4); j < n; j++)
		write_rule(f, j, cluster);
	if (!cluster && random_below(2)) {
		bool via = random_below(3) == 0;

		fprintf(f, "  default: {action: %s", random_below(2) ? "Deny" : "Allow");
		if (via)
			write_via(f);
		fprintf(f, "}\n");
	}
	doc_end(t);
}

static void write_gateways(struct policy_texts *t)
{
	static const char *const specs[] = {
		"{addresses: [{range: 203.0.113.10}], allowedNamespaces: {}}",
		"{addresses: [{range: 203.0.113.16-203.0.113.19}, {range: '2001:db8:ffff::1'}], "
		"allowedNamespaces: {matchLabels: {team: t0}}}",
		"{addresses: [{range: 203.0.113.32/29}], spread: Pod, allowedNamespaces: {}}",
		"{addresses: [{range: '2001:db8:ffff::10'}], allowedNamespaces: {}}",
		"{addresses: [{range: 203.0.113.50}]}",
		"{addresses: [{range: 203.0.113.64/30}, {range: '2001:db8:ffff::20/126'}], "
		"spread: Connection, allowedNamespaces: {}}",
	};

	for (uint32_t i = 0; i < sizeof(specs) / sizeof(*specs); i++) {
		doc_begin(t, "EgressGateway");
		fprintf(t->f, "metadata: {name: g%u}\nspec: %s\n",
			i < 5 ? i : i + 1 /* g5 is missing */, specs[i]);
		doc_end(t);
	}
}

static void write_core(struct policy_texts *t, const char *kind, const char *rest)
{
	t->f = open_memstream(&t->buf, &t->len);
	fprintf(t->f, "---\napiVersion: v1\nkind: %s\n%s\n", kind, rest);
	doc_end(t);
}

/* s3 selects nobody, s4 is missing. */
static void write_services(struct policy_texts *t)
{
	static const char *const specs[] = {"{selector: {app: a0}}", "{selector: {app: a1, x: y}}",
					    "{selector: {app: a2}}", "{}"};

	for (uint32_t i = 0; i < 8; i++) {
		char text[128];

		snprintf(text, sizeof(text), "metadata: {name: s%u, namespace: n%u}\nspec: %s",
			 i % 4, i / 4, specs[i % 4]);
		write_core(t, "Service", text);
	}
}

/* Large: so many prefixes that the destination is a layer of its own. */
static void write_destination_doc(struct policy_texts *t, uint32_t i, bool large)
{
	uint32_t scope = random_below(3);

	doc_begin(t, scope ? "EgressDestination" : "ClusterEgressDestination");
	fprintf(t->f, "metadata: {name: d%u", i);
	if (scope)
		fprintf(t->f, ", namespace: n%u", scope - 1);
	if (random_below(3))
		fprintf(t->f, ", labels: {set: s%u}", random_below(2));
	fprintf(t->f, "}\nspec:\n  cidrs: [");
	for (uint32_t n = 1 + random_below(6); n; n--) {
		write_cidr(t->f, random_below(2), random_below(9), random_below(256));
		fprintf(t->f, ", ");
	}
	for (uint32_t j = 0; large && j < COMPILED_SET_MIN; j++)
		fprintf(t->f, "192.0.2.%u/32, 192.0.3.%u/32, ", j, j); /* every one may nest */
	fprintf(t->f, "%s]\n", random_below(9) ? "192.0.2.1/32" : "'::/0'");
	if (random_below(3) == 0) {
		fprintf(t->f, "  fqdns: [");
		write_fqdn(t->f);
		fprintf(t->f, "]\n");
	}
	if (random_below(3) == 0) {
		fprintf(t->f, "  ");
		write_ports(t->f);
		fprintf(t->f, "\n");
	}
	doc_end(t);
}

static void write_destinations(struct policy_texts *t)
{
	bool all = random_below(30) == 0; /* more large ones than a program has layers for */

	for (uint32_t i = 0, n = all ? 18 : random_below(8); i < n; i++)
		write_destination_doc(t, i % 6 + 100 * (i / 6), all || random_below(6) == 0);
}

void random_address(char *buf, size_t size)
{
	uint32_t value = random_below(256);

	if (random_below(32) == 0)
		snprintf(buf, size, "192.0.2.%u", value);
	else if (random_below(2))
		snprintf(buf, size, "198.51.%u.%u", value >> 4, (value & 15) << 4);
	else
		snprintf(buf, size, "2001:db8:%x::%s", value << 8, random_below(2) ? "" : "7");
}

void random_policies(struct policy_texts *t)
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
	write_services(t);
	write_destinations(t);
	for (uint32_t i = 0, n = 1 + random_below(8); i < n; i++)
		random_policy(t, i);
}

static void doc_remove(struct policy_texts *t, size_t i)
{
	free(t->docs[i]);
	t->docs[i] = t->docs[--t->n];
}

void random_edit(struct policy_texts *t)
{
	size_t i = random_below((uint32_t)t->n);
	const char *name;

	while (!strstr(t->docs[i], "EgressPolicy") && !strstr(t->docs[i], "EgressDestination\n"))
		i = random_below((uint32_t)t->n);
	name = strstr(t->docs[i], "{name: ") + strlen("{name: ");
	if (*name == 'd') {
		write_destination_doc(t, (uint32_t)strtoul(name + 1, NULL, 10),
				      random_below(4) == 0);
		doc_remove(t, i);
	} else if (random_below(5) == 0) {
		random_policy(t, 1000 + random_below(1000000));
		if (random_below(2) && t->n > 20)
			doc_remove(t, i);
	} else {
		random_policy(t, (uint32_t)strtoul(name + 1, NULL, 10));
		doc_remove(t, i);
	}
}

void policy_texts_done(struct policy_texts *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->docs[i]);
	t->n = 0;
}

char *policy_texts_join(const struct policy_texts *t)
{
	char *out = mem_strdup("");

	for (size_t i = 0; i < t->n; i++) {
		char *longer = mem_printf("%s%s", out, t->docs[i]);

		free(out);
		out = longer;
	}
	return out;
}
