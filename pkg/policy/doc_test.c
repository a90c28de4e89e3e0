/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "policy/doc_fixture.h"

static void assert_cidr(struct cidr c, const char *text)
{
	assert_string_equal(cidr_str(c), text);
}

static void reads_a_gateway(void **state)
{
	static const char text[] =
		"apiVersion: sluice.dev/v1alpha1\n"
		"kind: EgressGateway\n"
		"metadata: {name: office, uid: u, creationTimestamp: null, labels: {b: '2', a: "
		"'1'}}\n"
		"spec:\n"
		"  addresses:\n"
		"  - range: 203.0.113.10\n"
		"  - {range: 203.0.113.16-203.0.113.31, nodeSelector: {matchLabels: {z: a}}}\n"
		"  - range: 2001:db8::/126\n"
		"  nodeSelector: {matchLabels: {sluice.dev/gateway: 'true'}}\n"
		"  allowedNamespaces: {}\n"
		"  interface: eth1\n"
		"  announce: None\n"
		"  transport: Auto\n"
		"  tunnel: {endpoint: EgressAddress, mtu: 1400}\n"
		"  spread: Pod\n"
		"  encryption: None\n"
		"  failover: {interval: 1s50ms, missed: 5, holdDown: 2m}\n"
		"status: {anything: [1]}\n";
	__cleanup_doc_set struct doc_set *set = read_set("a.yaml", text);
	const struct doc_gateway *g = set->gateways;

	assert_int_equal(set->n_gateways, 1);
	assert_string_equal(g->meta.name, "office");
	assert_string_equal(g->meta.namespace, "");
	assert_int_equal(g->meta.kind, DOC_EGRESS_GATEWAY);
	assert_string_equal(doc_src_file(&g->meta.src), "a.yaml");
	assert_int_equal(g->meta.src.line, 1);
	assert_string_equal(labels_get(&g->meta.labels, "b"), "2");
	assert_int_equal(g->n_ranges, 3);
	assert_int_equal(addr_range_count(g->ranges[1].range), 16);
	assert_int_equal(g->ranges[1].src.line, 7);
	assert_true(g->ranges[1].node_selector.present);
	assert_false(g->ranges[0].node_selector.present);
	assert_int_equal(addr_range_count(g->ranges[2].range), 4);
	assert_true(g->node_selector.present);
	assert_true(g->allowed_namespaces.present);
	assert_int_equal(g->allowed_namespaces.n, 0);
	assert_string_equal(g->interface, "eth1");
	assert_int_equal(g->announce, ANNOUNCE_NONE);
	assert_int_equal(g->spread, SPREAD_POD);
	assert_int_equal(g->tunnel_mtu, 1400);
	assert_int_equal(g->failover.interval_ms, 1050);
	assert_int_equal(g->failover.missed, 5);
	assert_int_equal(g->failover.hold_down_ms, 120000);
}

static void a_gateway_has_defaults(void **state)
{
	__cleanup_doc_set struct doc_set *set = read_set("a.yaml", GATEWAY
							 "{addressFrom: {interface: eth1}}}");
	const struct doc_gateway *g = set->gateways;

	assert_string_equal(g->address_from, "eth1");
	assert_int_equal(g->n_ranges, 0);
	assert_false(g->node_selector.present);
	assert_false(g->allowed_namespaces.present);
	assert_null(g->interface);
	assert_int_equal(g->spread, SPREAD_POLICY);
	assert_int_equal(g->announce, ANNOUNCE_ARP);
	assert_int_equal(g->tunnel_mtu, 0);
	assert_int_equal(g->failover.interval_ms, 100);
	assert_int_equal(g->failover.missed, 3);
	assert_int_equal(g->failover.hold_down_ms, 10000);
}

static const char policy_text[] =
	"apiVersion: sluice.dev/v1alpha1\n"
	"kind: EgressPolicy\n"
	"metadata: {name: payments, namespace: shop}\n"
	"spec:\n"
	"  mode: Enforce\n"
	"  existingConnections: Keep\n"
	"  subject: {podSelector: {matchLabels: {app: payments}}}\n"
	"  rules:\n"
	"  - name: bank\n"
	"    action: Allow\n"
	"    to:\n"
	"    - {cidr: 198.51.100.0/24, except: [198.51.100.192/26, 198.51.100.0/26]}\n"
	"    - nodes: {matchLabels: {role: db}}\n"
	"    ports: [{protocol: TCP, port: 8000, endPort: 8100}, {protocol: TCP, port: 443},\n"
	"            {protocol: TCP, port: 8101}, {protocol: ICMP, type: 8}, {protocol: UDP}]\n"
	"    via: {gateway: office, addresses: [203.0.113.11, 203.0.113.10], unavailable: Node}\n"
	"  - via: {node: {}}\n"
	"    log: false\n"
	"  default: {action: Deny, via: {gateway: other}}\n";

static void reads_a_policy(void **state)
{
	__cleanup_doc_set struct doc_set *set = read_set("b.yaml", policy_text);
	const struct doc_policy *p = set->policies[0];

	assert_int_equal(set->n_policies, 1);
	assert_int_equal(p->meta.kind, DOC_EGRESS_POLICY);
	assert_string_equal(p->meta.namespace, "shop");
	assert_int_equal(p->priority, 500);
	assert_true(p->pods.present);
	assert_string_equal(p->pods.reqs[0].key, "app");
	assert_string_equal(p->pods.reqs[0].values[0], "payments");
	assert_false(p->namespaces.present);
	assert_int_equal(p->n_rules, 2);
	assert_true(p->has_default);
	assert_int_equal(p->default_action, ACTION_DENY);
	assert_string_equal(p->default_via.gateway, "other");
	assert_int_equal(p->default_src.line, 19);
	assert_int_equal(p->rules[1].via.kind, VIA_NODE);
	assert_int_equal(p->rules[1].action, ACTION_NONE);
	assert_null(p->rules[1].name);
	assert_int_equal(p->rules[1].n_to, 0);
}

static void reads_what_becomes_of_open_connections(void **state)
{
	static const struct {
		const char *spec;
		bool reset;
	} t[] = {
		{"subject: {podSelector: {}}", false},
		{"subject: {podSelector: {}}, existingConnections: Keep", false},
		{"subject: {podSelector: {}}, existingConnections: Reset", true},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		__cleanup_free char *text = mem_printf("apiVersion: sluice.dev/v1alpha1\n"
						       "kind: ClusterEgressPolicy\n"
						       "metadata: {name: a}\nspec: {%s}\n",
						       t[i].spec);
		__cleanup_doc_set struct doc_set *set = read_set("a.yaml", text);

		assert_int_equal(set->policies[0]->reset, t[i].reset);
	}
}

static void reads_a_rule_in_canonical_form(void **state)
{
	__cleanup_doc_set struct doc_set *set = read_set("b.yaml", policy_text);
	const struct doc_rule *r = set->policies[0]->rules;
	static const struct l4_range ranges[] = {
		{L4_KEY(1, 0x800), L4_KEY(1, 0x8ff)},
		{L4_KEY(6, 443), L4_KEY(6, 443)},
		{L4_KEY(6, 8000), L4_KEY(6, 8101)},
		{L4_KEY(17, 0), L4_KEY(17, 65535)},
	};

	assert_string_equal(r->name, "bank");
	assert_int_equal(r->action, ACTION_ALLOW);
	assert_int_equal(r->src.line, 9);
	assert_int_equal(r->n_to, 2);
	assert_int_equal(r->to[0].kind, TO_CIDR);
	assert_cidr(r->to[0].cidr, "198.51.100.0/24");
	assert_cidr(r->to[0].except[0], "198.51.100.0/26");
	assert_cidr(r->to[0].except[1], "198.51.100.192/26");
	assert_int_equal(r->to[1].kind, TO_NODES);
	assert_true(r->to[1].nodes.present);
	assert_int_equal(r->n_ports, COUNT(ranges));
	assert_memory_equal(r->ports, ranges, sizeof(ranges));
	assert_int_equal(r->via.kind, VIA_GATEWAY);
	assert_string_equal(r->via.gateway, "office");
	assert_int_equal(r->via.n_addrs, 2);
	assert_string_equal(addr_str(r->via.addrs[0]), "203.0.113.10");
	assert_true(r->via.or_node);
	assert_int_equal(r->via.src.line, 16);
}

static void reads_a_cluster_policy(void **state)
{
	static const char text[] = CLUSTER
		"{tier: Baseline, priority: 0, subject: {podSelector: {}, namespaceSelector: {},"
		" nodeSelector: {matchLabels: {a: b}}}, rules: [{action: Reject},"
		" {action: Pass, ports: [{protocol: SCTP, port: 1}, {protocol: ICMPv6, type: 128,"
		" code: 0}]}]}}";
	__cleanup_doc_set struct doc_set *set = read_set("c.yaml", text);
	const struct doc_policy *p = set->policies[0];

	assert_int_equal(p->meta.kind, DOC_CLUSTER_EGRESS_POLICY);
	assert_string_equal(p->meta.namespace, "");
	assert_int_equal(p->tier, TIER_BASELINE);
	assert_int_equal(p->priority, 0);
	assert_true(p->namespaces.present);
	assert_true(p->nodes.present);
	assert_int_equal(p->rules[0].action, ACTION_REJECT);
	assert_int_equal(p->rules[1].ports[0].lo, L4_KEY(58, 0x8000));
	assert_int_equal(p->rules[1].ports[0].hi, L4_KEY(58, 0x8000));
	assert_int_equal(p->rules[1].ports[1].lo, L4_KEY(132, 1));
	assert_false(p->has_default);
}

static void reads_what_the_cluster_is_from_a_list(void **state)
{
	static const char text[] =
		"{\"apiVersion\": \"v1\", \"kind\": \"List\", \"metadata\": {}, \"items\": [\n"
		"{\"apiVersion\": \"sluice.dev/v1alpha1\", \"kind\": \"SluiceConfig\",\n"
		" \"metadata\": {\"name\": \"default\"}, \"spec\": {\"clusterCIDRs\": "
		"[\"10.0.0.0/8\"],\n"
		" \"dns\": {\"resolvers\": [\"10.96.0.10\"]}, \"markMask\": \"0x7ff00000\",\n"
		" \"tunnelPort\": 6000, \"audit\": false}},\n"
		"{\"apiVersion\": \"v1\", \"kind\": \"Node\", \"metadata\": {\"name\": \"n1\", "
		"\"new\": 1},\n"
		" \"spec\": {\"podCIDR\": \"10.1.0.0/24\", \"podCIDRs\": [\"10.1.0.0/24\", "
		"\"fd00::/64\"],\n"
		" \"taints\": []}, \"status\": {\"addresses\": [\n"
		"  {\"type\": \"Hostname\", \"address\": \"n1\"},\n"
		"  {\"type\": \"InternalIP\", \"address\": \"192.0.2.1\"},\n"
		"  {\"type\": \"ExternalIP\", \"address\": \"198.51.100.1\"}], \"conditions\": "
		"[{}]}},\n"
		"{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": "
		"\"shop\"}},\n"
		"{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"p.1\", "
		"\"namespace\":\n"
		" \"shop\", \"uid\": \"u-1\", \"annotations\": {\"a\": \"any text\\n\", "
		"\"Owner.Example/Team\": \"b\"}}, "
		"\"spec\":\n"
		" {\"nodeName\": \"n1\", \"hostNetwork\": true, \"containers\": []}}]}\n";
	__cleanup_doc_set struct doc_set *set = read_set("all.json", text);

	assert_cidr(set->configs[0].cluster_cidrs[0], "10.0.0.0/8");
	assert_string_equal(addr_str(set->configs[0].resolvers[0]), "10.96.0.10");
	assert_int_equal(set->configs[0].mark_mask, 0x7ff00000);
	assert_int_equal(set->configs[0].tunnel_port, 6000);
	assert_int_equal(set->nodes[0].n_addrs, 2);
	assert_true(set->nodes[0].addrs[0].internal);
	assert_false(set->nodes[0].addrs[1].internal);
	assert_int_equal(set->nodes[0].n_pod_cidrs, 2);
	assert_int_equal(set->nodes[0].meta.src.line, 6);
	assert_string_equal(
		labels_get(&set->namespaces[0].meta.labels, "kubernetes.io/metadata.name"), "shop");
	assert_string_equal(doc_pod_uid(set->pods[0]), "u-1");
	assert_string_equal(set->pods[0]->node_name, "n1");
	assert_true(set->pods[0]->host_network);
}

static void sorts_objects_whatever_their_order_of_arrival(void **state)
{
	static const char one[] =
		"{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s}}\n";
	static const char *const names[][2] = {{"b", "y"}, {"c", "x"}, {"a", "y"}, {"a", "x"}};
	static const char *const sorted[] = {"xa", "xc", "ya", "yb"};
	__cleanup_doc_set struct doc_set *set = doc_set_new();
	struct err e = {0};

	for (size_t i = 0; i < COUNT(names); i++) {
		__cleanup_free char *text = mem_printf(one, names[i][0], names[i][1]);

		assert_int_equal(doc_set_add_text(set, "p.yaml", text, strlen(text), &e), 0);
	}
	assert_int_equal(doc_set_finish(set, &e), 0);
	for (size_t i = 0; i < COUNT(sorted); i++) {
		assert_int_equal(set->pods[i]->meta.namespace[0], sorted[i][0]);
		assert_int_equal(set->pods[i]->meta.name[0], sorted[i][1]);
	}
	assert_int_equal(set->n_files, 1);
}

static void a_node_may_have_empty_lists(void **state)
{
	__cleanup_doc_set struct doc_set *set = read_set(
		"n.yaml", "{apiVersion: v1, kind: Node, metadata: {name: n}, spec: {podCIDRs: "
			  "[]}, status: {addresses: []}}");

	assert_int_equal(set->nodes[0].n_addrs + set->nodes[0].n_pod_cidrs, 0);
}

static void a_file_of_comments_holds_nothing(void **state)
{
	__cleanup_doc_set struct doc_set *set = read_set("a.yaml", "# later\n---\n");

	assert_int_equal(set->n_gateways + set->n_policies, 0);
}

static void refuses_bad_documents(void **state)
{
	static const struct bad rows[] = {
		{"a: [1",
		 "a.yaml:2: column 1: did not find expected ',' or ']' while parsing a flow "
		 "sequence"},
		{"\na: 1\na: 2", "a.yaml:3: a: given twice"},
		{"[]", "a.yaml:1: document: expected object, found array"},
		{"kind: Pod", "a.yaml:1: document: expected a field 'apiVersion', found none"},
		{"apiVersion: v1", "a.yaml:1: document: expected a field 'kind', found none"},
		{"{apiVersion: v1, kind: 7}",
		 "a.yaml:1: kind: expected string, got integer 7 (put it in quotes)"},
		{"{apiVersion: v1, kind: Secret}",
		 "a.yaml:1: kind: expected EgressGateway, ClusterEgressPolicy, EgressPolicy, "
		 "ClusterEgressDestination, EgressDestination, SluiceConfig, Node, Namespace, Pod, "
		 "Service, EndpointSlice or List, found string 'Secret'"},
		{"{apiVersion: v1,\nkind: EgressPolicy}",
		 "a.yaml:1: apiVersion: expected sluice.dev/v1alpha1 for EgressPolicy, found "
		 "string 'v1'"},
		{"{apiVersion: \"a\\nb\", kind: Pod}",
		 "a.yaml:1: apiVersion: expected v1 for Pod, found string 'a\\x0ab'"},
		{"{apiVersion: sluice.dev/v1,\nkind: EgressPolicy}",
		 "a.yaml:1: apiVersion: expected sluice.dev/v1alpha1 for EgressPolicy, found "
		 "string 'sluice.dev/v1'"},
		{"{apiVersion: v1, kind: List}",
		 "a.yaml:1: document: expected a field 'items', found none"},
		{"{apiVersion: v1, kind: List, items: {}}",
		 "a.yaml:1: items: expected array, found object"},
		{"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}",
		 "a.yaml:4: items[0]: expected a field 'metadata', found none"},
		{"{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: List, items: []}]}",
		 "a.yaml:1: items[0].kind: expected EgressGateway, ClusterEgressPolicy, "
		 "EgressPolicy, ClusterEgressDestination, EgressDestination, SluiceConfig, Node, "
		 "Namespace, Pod, Service, EndpointSlice or List, found string 'List'"},
	};
	static const struct bad json[] = {
		{"{\"a\": 1,}",
		 "a.json:1: column 9: expected a member name in double quotes, found '}'"},
		{"{} {}", "a.json:1: column 4: expected the end of the document, found '{'"},
	};

	check_bad("a.yaml", rows, COUNT(rows));
	check_bad("a.json", json, COUNT(json));
}

static void refuses_bad_metadata(void **state)
{
	static const struct bad rows[] = {
		{META "}", "a.yaml:1: document: expected a field 'metadata', found none"},
		{META "metadata: {}}", "a.yaml:2: metadata: expected a field 'name', found none"},
		{META "metadata: {name: Upper}}", "a.yaml:2: metadata.name: expected a DNS name of "
						  "at most 253 lower-case characters, "
						  "found string 'Upper'"},
		{META "metadata: {name: a..b}}", "a.yaml:2: metadata.name: expected a DNS name of "
						 "at most 253 lower-case characters, "
						 "found string 'a..b'"},
		{META "metadata: {name: x, namespace: y}}",
		 "a.yaml:2: metadata.namespace: expected no namespace on a kind of cluster scope, "
		 "found string 'y'"},
		{META "metadata: {name: x, color: y}}",
		 "a.yaml:2: metadata.color: unknown field, expected name, namespace, labels, "
		 "annotations"},
		{META "metadata: {name: x, labels: []}}",
		 "a.yaml:2: metadata.labels: expected an object of at most 1024 members, found "
		 "array "
		 "with 0"},
		{META "metadata: {name: x, labels: {a: 1}}}",
		 "a.yaml:2: metadata.labels.a: expected string, got integer 1 (put it in quotes)"},
		{META "metadata: {name: x, labels: {-a: b}}}",
		 "a.yaml:2: metadata.labels.-a: expected a label key"},
		{META "metadata: {name: x, labels: {a/b/c: b}}}",
		 "a.yaml:2: metadata.labels[\"a/b/c\"]: expected a label key"},
		{META "metadata: {name: x, labels: {a: 'b c'}}}",
		 "a.yaml:2: metadata.labels.a: expected a label value, found string 'b c'"},
		{META "metadata: {name: x}, extra: 1}",
		 "a.yaml:2: extra: unknown field, expected apiVersion, kind, metadata, spec"},
		{"{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: A}}",
		 "a.yaml:1: metadata.namespace: expected a DNS label of at most 63 lower-case "
		 "characters, found string 'A'"},
	};

	check_bad("a.yaml", rows, COUNT(rows));
}

static void refuses_an_object_given_twice_and_names_both_files(void **state)
{
	static const char text[] = SUBJECT "{podSelector: {}}}}";
	static const char cluster[] = CLUSTER "{subject: {podSelector: {}}}}";
	__cleanup_doc_set struct doc_set *set = doc_set_new();
	struct err e = {0};

	assert_int_equal(doc_set_add_text(set, "b.yaml", text, strlen(text), &e), 0);
	assert_int_equal(doc_set_add_text(set, "c.yaml", cluster, strlen(cluster), &e), 0);
	assert_int_equal(doc_set_add_text(set, "a.yaml", text, strlen(text), &e), 0);
	assert_int_equal(doc_set_finish(set, &e), -EEXIST);
	assert_string_equal(
		e.msg, "b.yaml:1: metadata.name: EgressPolicy default/x given already in a.yaml:1");
}

static void a_message_names_the_place_below_an_object_that_was_good(void **state)
{
	static const char text[] =
		"# two documents\n" GATEWAY "{addressFrom: {interface: a}}}\n---\n" RULE
		"{action: Deny},\n{action: Deny, to: [\n{cidr: 10.0.0.0/8},\n{cidr: x}]}]}}";
	__cleanup_doc_set struct doc_set *set = doc_set_new();
	struct err e = {0};

	assert_int_equal(doc_set_add_text(set, "dir/a.yml", text, strlen(text), &e), -EINVAL);
	assert_string_equal(e.msg, "dir/a.yml:10: spec.rules[1].to[1].cidr: expected a CIDR, found "
				   "string 'x': not an IPv4 or IPv6 prefix");
	assert_int_equal(set->n_gateways, 1);
	assert_int_equal(set->n_policies, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_gateway),
		cmocka_unit_test(a_gateway_has_defaults),
		cmocka_unit_test(reads_a_policy),
		cmocka_unit_test(reads_what_becomes_of_open_connections),
		cmocka_unit_test(reads_a_rule_in_canonical_form),
		cmocka_unit_test(reads_a_cluster_policy),
		cmocka_unit_test(reads_what_the_cluster_is_from_a_list),
		cmocka_unit_test(sorts_objects_whatever_their_order_of_arrival),
		cmocka_unit_test(a_node_may_have_empty_lists),
		cmocka_unit_test(a_file_of_comments_holds_nothing),
		cmocka_unit_test(refuses_bad_documents),
		cmocka_unit_test(refuses_bad_metadata),
		cmocka_unit_test(refuses_an_object_given_twice_and_names_both_files),
		cmocka_unit_test(a_message_names_the_place_below_an_object_that_was_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
