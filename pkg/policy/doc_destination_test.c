/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/cleanup.h"
#include "policy/doc_fixture.h"

static void reads_destinations_in_canonical_form(void **state)
{
	static const char text[] =
		"apiVersion: sluice.dev/v1alpha1\n"
		"kind: EgressDestination\n"
		"metadata: {name: bank, namespace: shop, labels: {feed: bank}}\n"
		"spec:\n"
		"  cidrs: [2001:db8::/32, 198.51.100.128/25, 10.1.0.0/16, 198.51.100.0/24,\n"
		"          10.0.0.0/8, 10.2.3.4/32, 2001:db8:1::/48, 10.0.0.0/8]\n"
		"  fqdns: [WWW.bank.example., '*.bank.example', www.bank.example]\n"
		"  ports: [{protocol: TCP, port: 443}, {protocol: TCP, port: 440, endPort: 442}]\n"
		"status: {conditions: []}\n"
		"---\n"
		"{apiVersion: sluice.dev/v1alpha1, kind: ClusterEgressDestination, metadata: "
		"{name: z},\n"
		"spec: {cidrs: [0.0.0.0/0, '::/0', 10.0.0.0/8, '2001:db8::/32']}}\n";
	static const char *const cidrs[] = {"10.0.0.0/8", "198.51.100.0/24", "2001:db8::/32"};
	__cleanup_doc_set struct doc_set *set = read_set("a.yaml", text);
	const struct doc_destination *z = set->destinations, *bank = z + 1;

	assert_int_equal(set->n_destinations, 2);
	assert_int_equal(z->meta.kind, DOC_CLUSTER_EGRESS_DESTINATION);
	assert_int_equal(z->n_cidrs, 2);
	assert_string_equal(cidr_str(z->cidrs[0]), "::/0");
	assert_string_equal(cidr_str(z->cidrs[1]), "0.0.0.0/0");
	assert_int_equal(bank->meta.kind, DOC_EGRESS_DESTINATION);
	assert_string_equal(bank->meta.namespace, "shop");
	assert_string_equal(labels_get(&bank->meta.labels, "feed"), "bank");
	assert_int_equal(bank->n_cidrs, COUNT(cidrs));
	for (size_t i = 0; i < COUNT(cidrs); i++)
		assert_string_equal(cidr_str(bank->cidrs[i]), cidrs[i]);
	assert_int_equal(bank->n_fqdns, 2);
	assert_string_equal(bank->fqdns[0], "*.bank.example");
	assert_string_equal(bank->fqdns[1], "www.bank.example");
	assert_int_equal(bank->n_ports, 1);
	assert_int_equal(bank->ports[0].lo, L4_KEY(6, 440));
	assert_int_equal(bank->ports[0].hi, L4_KEY(6, 443));
}

static void reads_rules_that_name_destinations(void **state)
{
	static const char text[] = RULE
		"{action: Allow, log: true, to: [{fqdn: '*.Example.COM.'}, {destination: {name: "
		"a}},\n"
		"{destination: {kind: ClusterEgressDestination, name: b.c}},\n"
		"{destination: {kind: EgressDestination, name: d}},\n"
		"{destinationSelector: {matchLabels: {feed: x}}}, {destinationSelector: "
		"{}}]}]}}\n---\n" CLUSTER
		"{subject: {podSelector: {}}, mode: Audit, rules: [{action: Deny,\n"
		"to: [{destination: {name: a}}, {destinationSelector: {}}]}]}}";
	__cleanup_doc_set struct doc_set *set = read_set("a.yaml", text);
	const struct doc_policy *cluster = set->policies[0], *p = set->policies[1];
	const struct doc_to *to = p->rules[0].to;

	assert_true(p->rules[0].log);
	assert_false(p->audit);
	assert_int_equal(to[0].kind, TO_FQDN);
	assert_string_equal(to[0].fqdn, "*.example.com");
	assert_int_equal(to[1].kind, TO_DESTINATION);
	assert_string_equal(to[1].destination, "a");
	assert_false(to[1].cluster_scope);
	assert_string_equal(to[2].destination, "b.c");
	assert_true(to[2].cluster_scope);
	assert_false(to[3].cluster_scope);
	assert_int_equal(to[4].kind, TO_DESTINATION_SELECTOR);
	assert_string_equal(to[4].destinations.reqs[0].key, "feed");
	assert_false(to[4].cluster_scope);
	assert_true(to[5].destinations.present);
	assert_true(cluster->audit);
	assert_false(cluster->rules[0].log);
	assert_true(cluster->rules[0].to[0].cluster_scope);
	assert_true(cluster->rules[0].to[1].cluster_scope);
}

static void reads_services_and_who_is_behind_them(void **state)
{
	static const char text[] = SUBJECT
		"{services: [web, api]}}}\n---\n"
		"{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop, "
		"generation: 2},\n"
		" spec: {selector: {tier: web, app: shop}, ports: [{port: 80}], clusterIP: "
		"10.96.0.9}}\n"
		"---\n{apiVersion: v1, kind: Service, metadata: {name: api}, spec: {type: "
		"ExternalName}}\n"
		"---\n{apiVersion: v1, kind: Service, metadata: {name: b}, spec: {selector: {}}}\n"
		"---\n{apiVersion: v1, kind: Service, metadata: {name: c}}\n";
	__cleanup_doc_set struct doc_set *set = read_set("a.yaml", text);
	const struct doc_policy *p = set->policies[0];
	const struct selector *s = &set->services[3].selector;
	struct labels labels = {0};

	assert_int_equal(p->n_services, 2);
	assert_string_equal(p->services[0], "api");
	assert_string_equal(p->services[1], "web");
	assert_false(p->pods.present);
	assert_int_equal(set->n_services, 4);
	for (size_t i = 0; i < 3; i++)
		assert_false(set->services[i].selector.present);
	assert_string_equal(set->services[3].meta.namespace, "shop");
	labels_set(&labels, "app", "shop");
	assert_false(selector_matches(s, &labels));
	labels_set(&labels, "tier", "web");
	assert_true(selector_matches(s, &labels));
	labels_done(&labels);
}

static void reads_what_concerns_names_and_audit(void **state)
{
	static const struct {
		const char *spec;
		uint32_t min_ttl, grace;
		bool audit;
	} t[] = {
		{"{clusterCIDRs: [10.0.0.0/8]}", DOC_MIN_TTL, DOC_GRACE, false},
		{"{dns: {resolvers: [10.0.0.1]}, audit: true}", DOC_MIN_TTL, DOC_GRACE, true},
		{"{dns: {resolvers: [10.0.0.1], minTTL: 0s, grace: 24h}}", 0, 86400, false},
		{"{dns: {resolvers: [10.0.0.1], minTTL: 1m30s, grace: 1h1s}}", 90, 3601, false},
	};

	for (size_t i = 0; i < COUNT(t); i++) {
		__cleanup_free char *text = mem_printf(CONFIG "%s}", t[i].spec);
		__cleanup_doc_set struct doc_set *set = read_set("a.yaml", text);

		assert_int_equal(set->configs[0].min_ttl, t[i].min_ttl);
		assert_int_equal(set->configs[0].grace, t[i].grace);
		assert_int_equal(set->configs[0].audit, t[i].audit);
	}
}

#define TO(item) RULE "{action: Deny, to: [" item "]}]}}"
#define TO_CLUSTER(item) \
	CLUSTER "{subject: {podSelector: {}}, rules: [\n{action: Deny, to: [" item "]}]}}"
#define AT   "a.yaml:3: spec.rules[0].to[0]"
#define NAME ".fqdn: expected a DNS name or '*.' before one, found string "

static void refuses_bad_destinations_of_rules(void **state)
{
	static const struct bad rows[] = {
		{TO("{fqdn: 7}"), AT ".fqdn: expected string, got integer 7 (put it in quotes)"},
		{TO("{fqdn: ''}"), AT NAME "'': empty"},
		{TO("{fqdn: '*'}"), AT NAME "'*': '*' stands only in front, as in '*.example.com'"},
		{TO("{fqdn: '*.com'}"),
		 AT NAME "'*.com': at least two labels must stand behind '*.'"},
		{TO("{fqdn: 10.0.0.1}"), AT NAME "'10.0.0.1': an address, or a name that ends in a "
						 "number; for addresses write cidr"},
		{TO("{fqdn: 'https://a.example'}"),
		 AT NAME "'https://a.example': only letters, digits, '-', '_' and dots"},
		{TO("{fqdn: a.example, except: [10.0.0.0/8]}"),
		 AT ".except: expected only together with cidr"},
		{TO("{fqdn: a.example, destination: {name: a}}"), AT
		 ": expected exactly one of cidr, nodes, fqdn, destination, destinationSelector, "
		 "found fqdn and destination"},
		{TO("{destination: {}}"), AT ".destination: expected a field 'name', found none"},
		{TO("{destination: bank}"), AT ".destination: expected object, got string 'bank'"},
		{TO("{destination: {name: A}}"),
		 AT ".destination.name: expected a DNS name of at most 253 lower-case characters, "
		    "found string 'A'"},
		{TO("{destination: {name: a, namespace: b}}"),
		 AT ".destination.namespace: unknown field, expected kind, name"},
		{TO("{destination: {name: a, kind: Service}}"),
		 AT ".destination.kind: expected one of EgressDestination, "
		    "ClusterEgressDestination, found string 'Service'"},
		{TO_CLUSTER("{destination: {name: a, kind: EgressDestination}}"),
		 AT ".destination.kind: expected one of ClusterEgressDestination, found string "
		    "'EgressDestination'"},
		{TO("{destinationSelector: {feed: x}}"),
		 AT ".destinationSelector.feed: unknown field, expected matchLabels, "
		    "matchExpressions"},
	};

	check_bad("a.yaml", rows, COUNT(rows));
}

static void refuses_bad_destination_objects(void **state)
{
	static const struct bad rows[] = {
		{DESTINATION "{}}", "a.yaml:2: spec: expected cidrs, fqdns, or both, found none"},
		{DESTINATION "{ports: [{protocol: TCP}]}}",
		 "a.yaml:2: spec: expected cidrs, fqdns, or both, found none"},
		{DESTINATION "{cidrs: []}}",
		 "a.yaml:2: spec.cidrs: expected 1 to 1048576 items, found 0"},
		{DESTINATION "{cidrs: 10.0.0.0/8}}",
		 "a.yaml:2: spec.cidrs: expected array, got string '10.0.0.0/8'"},
		{DESTINATION "{cidrs: [10.0.0.0/8,\n10.0.0.1/8]}}",
		 "a.yaml:3: spec.cidrs[1]: expected a CIDR, found string '10.0.0.1/8': host bits "
		 "set "
		 "right of the prefix length"},
		{DESTINATION "{cidrs: [10.0.0.1]}}",
		 "a.yaml:2: spec.cidrs[0]: expected a CIDR, found string '10.0.0.1': prefix length "
		 "missing or too long for the family (one address is /32, of IPv6 /128)"},
		{DESTINATION "{fqdns: []}}",
		 "a.yaml:2: spec.fqdns: expected 1 to 1024 items, found 0"},
		{DESTINATION "{fqdns: [a.example,\n'*']}}",
		 "a.yaml:3: spec.fqdns[1]: expected a DNS name or '*.' before one, found string "
		 "'*': "
		 "'*' stands only in front, as in '*.example.com'"},
		{DESTINATION "{cidrs: [10.0.0.0/8], ports: [{port: 80}]}}",
		 "a.yaml:2: spec.ports[0]: expected a field 'protocol', found none"},
		{DESTINATION "{cidrs: [10.0.0.0/8], cidr: 10.0.0.0/8}}",
		 "a.yaml:2: spec.cidr: unknown field, expected cidrs, fqdns, ports"},
		{"{apiVersion: v1, kind: EgressDestination, metadata: {name: x}}",
		 "a.yaml:1: apiVersion: expected sluice.dev/v1alpha1 for EgressDestination, found "
		 "string 'v1'"},
		{"{apiVersion: sluice.dev/v1alpha1, kind: ClusterEgressDestination, metadata:\n"
		 "{name: x, namespace: y}, spec: {cidrs: [10.0.0.0/8]}}",
		 "a.yaml:2: metadata.namespace: expected no namespace on a kind of cluster scope, "
		 "found string 'y'"},
		{DESTINATION "{cidrs: [10.0.0.0/8]}}\n---\n" DESTINATION "{cidrs: [10.0.0.0/8]}}",
		 "a.yaml:4: metadata.name: EgressDestination default/x given already in a.yaml:1"},
	};

	check_bad("a.yaml", rows, COUNT(rows));
}

/* A feed as a program writes it, one prefix a line. */
static void a_long_list_is_read_whatever_its_order(void **state)
{
	const size_t n = 20000;
	__cleanup_doc_set struct doc_set *set = doc_set_new();
	__cleanup_free char *text = mem_resize(NULL, n * 32 + 256, 1);
	struct err e = {0};
	size_t len = (size_t)snprintf(text, 256,
				      "apiVersion: sluice.dev/v1alpha1\nkind: "
				      "ClusterEgressDestination\nmetadata: {name: feed}\n"
				      "spec:\n  cidrs:\n");

	for (size_t i = 0; i < n; i++) {
		size_t x = i * 7919 % n;

		len += (size_t)snprintf(text + len, 32, "  - 10.%zu.%zu.%zu/32\n", x >> 16,
					x >> 8 & 255, x & 255);
	}
	if (doc_set_add_text(set, "feed.yaml", text, len, &e) < 0 || doc_set_finish(set, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(set->destinations[0].n_cidrs, n);
	for (size_t i = 1; i < n; i++)
		assert_true(cidr_cmp(set->destinations[0].cidrs[i - 1],
				     set->destinations[0].cidrs[i]) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_destinations_in_canonical_form),
		cmocka_unit_test(reads_rules_that_name_destinations),
		cmocka_unit_test(reads_services_and_who_is_behind_them),
		cmocka_unit_test(reads_what_concerns_names_and_audit),
		cmocka_unit_test(refuses_bad_destinations_of_rules),
		cmocka_unit_test(refuses_bad_destination_objects),
		cmocka_unit_test(a_long_list_is_read_whatever_its_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
