/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "json/json.h"
#include "policy/doc.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

DEFINE_CLEANUP(struct doc_set *, doc_set_free);
#define __cleanup_doc_set __cleanup(doc_set_freep)

/* The head of an object as one line, so that spec stands in line 2. */
#define HEAD(kind) "{apiVersion: sluice.dev/v1alpha1, kind: " kind ", metadata: {name: x},\nspec: "
#define GATEWAY	   HEAD("EgressGateway")
#define POLICY	   HEAD("EgressPolicy")
#define CLUSTER	   HEAD("ClusterEgressPolicy")
#define CONFIG \
	"{apiVersion: sluice.dev/v1alpha1, kind: SluiceConfig, metadata: {name: default},\nspec: "
#define RULE	POLICY "{subject: {podSelector: {}}, rules: [\n"
#define SUBJECT POLICY "{subject: "
#define META                                                                                 \
	"{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, spec: {addresses: [{range: " \
	"192.0.2.1}]},\n"

static struct doc_set *read_set(const char *file, const char *text)
{
	struct doc_set *set = doc_set_new();
	struct err e = {0};

	if (doc_set_add_text(set, file, text, strlen(text), &e) < 0 || doc_set_finish(set, &e) < 0)
		fail_msg("%s", e.msg);
	return set;
}

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
		"status: {anything: [1]}\n";
	__cleanup_doc_set struct doc_set *set = read_set("a.yaml", text);
	const struct doc_gateway *g = set->gateways;

	assert_int_equal(set->n_gateways, 1);
	assert_string_equal(g->meta.name, "office");
	assert_string_equal(g->meta.namespace, "");
	assert_int_equal(g->meta.kind, DOC_EGRESS_GATEWAY);
	assert_string_equal(g->meta.src.file, "a.yaml");
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
	const struct doc_policy *p = set->policies;

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

static void reads_a_rule_in_canonical_form(void **state)
{
	__cleanup_doc_set struct doc_set *set = read_set("b.yaml", policy_text);
	const struct doc_rule *r = set->policies[0].rules;
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
	const struct doc_policy *p = set->policies;

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
		" \"shop\", \"uid\": \"u-1\", \"annotations\": {\"a\": \"any text\\n\"}}, "
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
	assert_string_equal(set->pods[0].uid, "u-1");
	assert_string_equal(set->pods[0].node_name, "n1");
	assert_true(set->pods[0].host_network);
	assert_string_equal(labels_get(&set->pods[0].meta.annotations, "a"), "any text\n");
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
		assert_int_equal(set->pods[i].meta.namespace[0], sorted[i][0]);
		assert_int_equal(set->pods[i].meta.name[0], sorted[i][1]);
	}
	assert_int_equal(set->n_files, 1);
}

static void a_file_of_comments_holds_nothing(void **state)
{
	__cleanup_doc_set struct doc_set *set = read_set("a.yaml", "# later\n---\n");

	assert_int_equal(set->n_gateways + set->n_policies, 0);
}

/* ---- refused, with the place ---- */

struct bad {
	const char *text, *message;
};

static void check_bad(const char *file, const struct bad *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		__cleanup_doc_set struct doc_set *set = doc_set_new();
		struct err e = {0};
		int r = doc_set_add_text(set, file, rows[i].text, strlen(rows[i].text), &e);

		if (r == 0)
			r = doc_set_finish(set, &e);
		if (r == 0)
			fail_msg("accepted: %s", rows[i].text);
		assert_string_equal(e.msg, rows[i].message);
		assert_int_equal(e.code, r);
	}
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
		 "SluiceConfig, Node, Namespace, Pod or List, found string 'Secret'"},
		{"{apiVersion: v1,\nkind: EgressPolicy}",
		 "a.yaml:1: apiVersion: expected sluice.dev/v1alpha1 for EgressPolicy, found v1"},
		{"{apiVersion: sluice.dev/v1,\nkind: EgressPolicy}",
		 "a.yaml:1: apiVersion: expected sluice.dev/v1alpha1 for EgressPolicy, found "
		 "sluice.dev/v1"},
		{"apiVersion: sluice.dev/v1alpha1\nkind: EgressDestination",
		 "a.yaml:2: kind: 'EgressDestination' is not supported by this version"},
		{"{apiVersion: v1, kind: List}",
		 "a.yaml:1: document: expected a field 'items', found none"},
		{"{apiVersion: v1, kind: List, items: {}}",
		 "a.yaml:1: items: expected array, found object"},
		{"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}",
		 "a.yaml:4: items[0]: expected a field 'metadata', found none"},
		{"{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: List, items: []}]}",
		 "a.yaml:1: items[0].kind: expected EgressGateway, ClusterEgressPolicy, "
		 "EgressPolicy, "
		 "SluiceConfig, Node, Namespace, Pod or List, found string 'List'"},
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

static void refuses_bad_gateways(void **state)
{
	static const struct bad rows[] = {
		{"apiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: {name: x}\n",
		 "a.yaml:1: document: expected a field 'spec', found none"},
		{GATEWAY "{}}",
		 "a.yaml:2: spec: expected exactly one of addresses, addressFrom, found none"},
		{GATEWAY "{addresses: [{range: 192.0.2.1}], addressFrom: {interface: a}}}",
		 "a.yaml:2: spec: expected exactly one of addresses, addressFrom, found addresses "
		 "and "
		 "addressFrom"},
		{GATEWAY "{addresses: []}}",
		 "a.yaml:2: spec.addresses: expected 1 to 1000 items, found 0"},
		{GATEWAY "{addresses: {range: 192.0.2.1}}}",
		 "a.yaml:2: spec.addresses: expected array, got object"},
		{GATEWAY "{addresses: [192.0.2.1]}}",
		 "a.yaml:2: spec.addresses[0]: expected object, got string '192.0.2.1'"},
		{GATEWAY "{addresses: [{}]}}",
		 "a.yaml:2: spec.addresses[0]: expected a field 'range', found none"},
		{GATEWAY "{addresses: [{range: 192.0.2.256}]}}",
		 "a.yaml:2: spec.addresses[0].range: expected an address, FIRST-LAST or a CIDR, "
		 "found "
		 "string '192.0.2.256': not an address, a range FIRST-LAST or a CIDR"},
		{GATEWAY "{addresses: [{range: 192.0.2.1/24}]}}",
		 "a.yaml:2: spec.addresses[0].range: expected an address, FIRST-LAST or a CIDR, "
		 "found "
		 "string '192.0.2.1/24': host bits set right of the prefix length"},
		{GATEWAY "{addresses: [{range: 127.0.0.1}]}}",
		 "a.yaml:2: spec.addresses[0].range: expected addresses a partner can answer to, "
		 "found "
		 "string '127.0.0.1': unspecified, loopback, link-local or multicast"},
		{GATEWAY "{addresses: [{range: 10.0.0.0/8}]}}",
		 "a.yaml:2: spec.addresses[0]: expected at most 1000 addresses in all ranges"},
		{GATEWAY "{addresses: [{range: 10.0.0.0/23},\n{range: 10.1.0.0/23}]}}",
		 "a.yaml:3: spec.addresses[1]: expected at most 1000 addresses in all ranges"},
		{GATEWAY "{addresses: [{range: 10.0.0.1},\n{range: 10.0.0.0/30}]}}",
		 "a.yaml:2: spec.addresses[0].range: expected addresses of one gateway only, "
		 "10.0.0.1 "
		 "overlaps 10.0.0.0-10.0.0.3 of EgressGateway x in a.yaml:3"},
		{GATEWAY "{addressFrom: {interface: a/b}}}",
		 "a.yaml:2: spec.addressFrom.interface: expected an interface name of at most 15 "
		 "characters, found string 'a/b'"},
		{GATEWAY "{addressFrom: {interface: a}, announce: arp}}",
		 "a.yaml:2: spec.announce: expected one of ARP, None, found string 'arp'"},
		{GATEWAY "{addressFrom: {interface: a}, tunnel: {mtu: 1000}}}",
		 "a.yaml:2: spec.tunnel.mtu: expected an MTU of at least 1280, found integer 1000"},
		{GATEWAY "{addressFrom: {interface: a}, nodeSelector: null}}",
		 "a.yaml:2: spec.nodeSelector: expected object, got null"},
		{GATEWAY "{addressFrom: {interface: a}, adresses: []}}",
		 "a.yaml:2: spec.adresses: unknown field, expected addresses, addressFrom, "
		 "nodeSelector, allowedNamespaces, interface, announce, transport, tunnel, spread, "
		 "encryption"},
	};

	check_bad("a.yaml", rows, COUNT(rows));
}

static void refuses_two_gateways_with_one_address(void **state)
{
	static const char a[] =
		"{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: "
		"b},\nspec: {addresses: [{range: 192.0.2.9}, {range: 192.0.2.0/30}]}}";
	static const char b[] =
		"{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: "
		"a},\n\nspec: {addresses: [{range: 192.0.2.3-192.0.2.4}]}}";
	__cleanup_doc_set struct doc_set *set = doc_set_new();
	struct err e = {0};

	assert_int_equal(doc_set_add_text(set, "b.yaml", b, strlen(b), &e), 0);
	assert_int_equal(doc_set_add_text(set, "a.yaml", a, strlen(a), &e), 0);
	assert_int_equal(doc_set_finish(set, &e), -EINVAL);
	assert_string_equal(e.msg, "b.yaml:3: spec.addresses[0].range: expected addresses of one "
				   "gateway only, 192.0.2.3-192.0.2.4 overlaps 192.0.2.0-192.0.2.3 "
				   "of EgressGateway b in a.yaml:2");
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

static void refuses_bad_subjects_and_selectors(void **state)
{
	static const struct bad rows[] = {
		{POLICY "{}}", "a.yaml:2: spec: expected a field 'subject', found none"},
		{SUBJECT "{}}}", "a.yaml:2: spec.subject: expected exactly one of podSelector, "
				 "services, found none"},
		{SUBJECT "{podSelector: {}, namespaceSelector: {}}}}",
		 "a.yaml:2: spec.subject.namespaceSelector: unknown field, expected podSelector"},
		{SUBJECT "{podSelector: {app: x}}}}",
		 "a.yaml:2: spec.subject.podSelector.app: unknown field, expected matchLabels, "
		 "matchExpressions"},
		{SUBJECT "{podSelector: {matchLabels: {a: 'x y'}}}}}",
		 "a.yaml:2: spec.subject.podSelector.matchLabels.a: expected a label value, found "
		 "string 'x y'"},
		{SUBJECT "{podSelector: {matchLabels: {a b: x}}}}}",
		 "a.yaml:2: spec.subject.podSelector.matchLabels[\"a b\"]: expected a label key"},
		{SUBJECT "{podSelector: {matchExpressions: []}}}}",
		 "a.yaml:2: spec.subject.podSelector.matchExpressions: expected 1 to 256 items, "
		 "found "
		 "0"},
		{SUBJECT "{podSelector: {matchExpressions: [{key: a, operator: Is}]}}}}",
		 "a.yaml:2: spec.subject.podSelector.matchExpressions[0].operator: expected one of "
		 "In, "
		 "NotIn, Exists, DoesNotExist, found string 'Is'"},
		{SUBJECT "{podSelector: {matchExpressions: [{key: a, operator: In}]}}}}",
		 "a.yaml:2: spec.subject.podSelector.matchExpressions[0]: expected values with "
		 "operator "
		 "In or NotIn, found none"},
		{SUBJECT
		 "{podSelector: {matchExpressions: [{key: a, operator: In, values: []}]}}}}",
		 "a.yaml:2: spec.subject.podSelector.matchExpressions[0].values: expected 1 to 256 "
		 "items, found 0"},
		{SUBJECT
		 "{podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}}}",
		 "a.yaml:2: spec.subject.podSelector.matchExpressions[0]: expected no values with "
		 "operator Exists or DoesNotExist"},
		{SUBJECT "{podSelector: {matchExpressions: [{key: a/, operator: Exists}]}}}}",
		 "a.yaml:2: spec.subject.podSelector.matchExpressions[0].key: expected a label "
		 "key, "
		 "found string 'a/'"},
		{SUBJECT "{podSelector: {matchExpressions: [{operator: Exists}]}}}}",
		 "a.yaml:2: spec.subject.podSelector.matchExpressions[0]: expected a field 'key', "
		 "found "
		 "none"},
		{SUBJECT "{podSelector: {}}, priority: 1001}}",
		 "a.yaml:2: spec.priority: expected integer from 0 to 1000, got 1001"},
		{SUBJECT "{podSelector: {}}, priority: '5'}}",
		 "a.yaml:2: spec.priority: expected integer, got string '5'"},
		{SUBJECT "{podSelector: {}}, tier: Admin}}",
		 "a.yaml:2: spec.tier: unknown field, expected subject, priority, mode, "
		 "existingConnections, rules, default"},
		{CLUSTER "{subject: {podSelector: {}}, tier: Top}}",
		 "a.yaml:2: spec.tier: expected one of Admin, Baseline, found string 'Top'"},
		{CLUSTER "{subject: {podSelector: {}}, default: {action: Deny}}}",
		 "a.yaml:2: spec.default: unknown field, expected tier, subject, priority, mode, "
		 "existingConnections, rules"},
		{SUBJECT "{podSelector: {}}, default: {}}}",
		 "a.yaml:2: spec.default: expected an action, a via, or both, found none"},
	};

	check_bad("a.yaml", rows, COUNT(rows));
}

static void refuses_bad_rules(void **state)
{
	static const struct bad rows[] = {
		{SUBJECT "{podSelector: {}}, rules: []}}",
		 "a.yaml:2: spec.rules: expected 1 to 256 items, found 0"},
		{RULE "{}]}}",
		 "a.yaml:3: spec.rules[0]: expected an action, a via, or both, found none"},
		{RULE "{action: allow}]}}",
		 "a.yaml:3: spec.rules[0].action: expected one of Allow, Deny, "
		 "Reject, Pass, found string 'allow'"},
		{RULE "{name: a, action: Deny},\n{name: a, action: Deny}]}}",
		 "a.yaml:4: spec.rules[1].name: expected unique names, found 'a' also in line 3"},
		{RULE "{name: '', action: Deny}]}}", "a.yaml:3: spec.rules[0].name: expected a "
						     "name of 1 to 63 letters, digits, '-', '_', "
						     "'.', found string ''"},
		{RULE "{action: Deny, to: []}]}}",
		 "a.yaml:3: spec.rules[0].to: expected 1 to 1024 items, found 0"},
		{RULE "{action: Deny, to: [{}]}]}}",
		 "a.yaml:3: spec.rules[0].to[0]: expected exactly one of cidr, nodes, fqdn, "
		 "destination, destinationSelector, found none"},
		{RULE "{action: Deny, to: [{cidr: 10.0.0.0/8, nodes: {}}]}]}}",
		 "a.yaml:3: spec.rules[0].to[0]: expected exactly one of cidr, nodes, fqdn, "
		 "destination, destinationSelector, found cidr and nodes"},
		{RULE "{action: Deny, to: [{cidr: 10.0.0/8}]}]}}",
		 "a.yaml:3: spec.rules[0].to[0].cidr: expected a CIDR, found string '10.0.0/8': "
		 "not an "
		 "IPv4 or IPv6 prefix"},
		{RULE "{action: Deny, to: [{cidr: 10.0.0.0/33}]}]}}",
		 "a.yaml:3: spec.rules[0].to[0].cidr: expected a CIDR, found string '10.0.0.0/33': "
		 "prefix length missing or too long for the family"},
		{RULE "{action: Deny, to: [{cidr: 10.0.0.1/8}]}]}}",
		 "a.yaml:3: spec.rules[0].to[0].cidr: expected a CIDR, found string '10.0.0.1/8': "
		 "host "
		 "bits set right of the prefix length"},
		{RULE "{action: Deny, to: [{cidr: 10.0.0.1}]}]}}",
		 "a.yaml:3: spec.rules[0].to[0].cidr: expected a CIDR, found string '10.0.0.1': "
		 "prefix "
		 "length missing or too long for the family"},
		{RULE
		 "{action: Deny, to: [{cidr: 10.0.0.0/8,\nexcept: [10.1.0.0/16,\n11.0.0.0/9]}]}]}}",
		 "a.yaml:5: spec.rules[0].to[0].except[1]: expected a smaller prefix inside "
		 "10.0.0.0/8, "
		 "found 11.0.0.0/9"},
		{RULE "{action: Deny, to: [{except: [10.0.0.0/8], cidr: 10.0.0.0/8}]}]}}",
		 "a.yaml:3: spec.rules[0].to[0].except[0]: expected a smaller prefix inside "
		 "10.0.0.0/8, "
		 "found 10.0.0.0/8"},
		{RULE "{action: Deny, to: [{cidr: '::/0', except: [10.0.0.0/8]}]}]}}",
		 "a.yaml:3: spec.rules[0].to[0].except[0]: expected a smaller prefix inside ::/0, "
		 "found "
		 "10.0.0.0/8"},
		{RULE "{action: Deny, to: [{nodes: {}, except: [10.0.0.0/8]}]}]}}",
		 "a.yaml:3: spec.rules[0].to[0].except: expected only together with cidr"},
		{RULE "{action: Deny, to: [{cidr: 10.0.0.0/8, except: []}]}]}}",
		 "a.yaml:3: spec.rules[0].to[0].except: expected 1 to 1024 items, found 0"},
		{RULE "{action: Deny, ports: []}]}}",
		 "a.yaml:3: spec.rules[0].ports: expected 1 to 64 items, found 0"},
		{RULE "{action: Deny, ports: [{port: 80}]}]}}",
		 "a.yaml:3: spec.rules[0].ports[0]: expected a field 'protocol', found none"},
		{RULE "{action: Deny, ports: [{protocol: tcp}]}]}}",
		 "a.yaml:3: spec.rules[0].ports[0].protocol: expected one of TCP, UDP, SCTP, ICMP, "
		 "ICMPv6, found string 'tcp'"},
		{RULE "{action: Deny, ports: [{protocol: TCP, port: 65536}]}]}}",
		 "a.yaml:3: spec.rules[0].ports[0].port: expected integer from 0 to 65535, got "
		 "65536"},
		{RULE "{action: Deny, ports: [{protocol: TCP, port: 0}]}]}}",
		 "a.yaml:3: spec.rules[0].ports[0].port: expected a port from 1 to 65535, found 0"},
		{RULE "{action: Deny, ports: [{protocol: TCP, port: 90,\nendPort: 80}]}]}}",
		 "a.yaml:4: spec.rules[0].ports[0].endPort: expected a port not below port 90, "
		 "found "
		 "80"},
		{RULE "{action: Deny, ports: [{protocol: TCP, endPort: 80}]}]}}",
		 "a.yaml:3: spec.rules[0].ports[0].endPort: expected only together with port"},
		{RULE "{action: Deny, ports: [{protocol: ICMP, port: 80}]}]}}",
		 "a.yaml:3: spec.rules[0].ports[0]: expected type and code with an ICMP protocol, "
		 "found "
		 "a port"},
		{RULE "{action: Deny, ports: [{protocol: TCP, type: 8}]}]}}",
		 "a.yaml:3: spec.rules[0].ports[0]: expected port and endPort with this protocol, "
		 "found "
		 "type or code"},
		{RULE "{action: Deny, ports: [{protocol: ICMP, code: 0}]}]}}",
		 "a.yaml:3: spec.rules[0].ports[0].code: expected only together with type"},
		{RULE "{action: Deny, ports: [{protocol: ICMPv6, type: 256}]}]}}",
		 "a.yaml:3: spec.rules[0].ports[0].type: expected integer from 0 to 255, got 256"},
	};

	check_bad("a.yaml", rows, COUNT(rows));
}

static void refuses_bad_vias(void **state)
{
	static const struct bad rows[] = {
		{RULE "{via: {}}]}}",
		 "a.yaml:3: spec.rules[0].via: expected exactly one of gateway, node, "
		 "found none"},
		{RULE "{via: {gateway: g, node: {}}}]}}",
		 "a.yaml:3: spec.rules[0].via: expected exactly one of gateway, node, found "
		 "gateway and "
		 "node"},
		{RULE "{via: {node: {name: x}}}]}}",
		 "a.yaml:3: spec.rules[0].via.node.name: unknown field, expected none"},
		{RULE "{via: {node: {}, unavailable: Drop}}]}}",
		 "a.yaml:3: spec.rules[0].via.unavailable: expected only together with gateway"},
		{RULE "{via: {gateway: g, unavailable: Pass}}]}}",
		 "a.yaml:3: spec.rules[0].via.unavailable: expected one of Drop, Node, found "
		 "string "
		 "'Pass'"},
		{RULE "{via: {gateway: g, addresses: []}}]}}",
		 "a.yaml:3: spec.rules[0].via.addresses: expected 1 to 1000 items, found 0"},
		{RULE "{via: {gateway: g, addresses: [10.0.0.0/8]}}]}}",
		 "a.yaml:3: spec.rules[0].via.addresses[0]: expected an IP address, found string "
		 "'10.0.0.0/8'"},
		{RULE "{via: {gateway: g, addresses: [10.0.0.1, 10.0.0.1]}}]}}",
		 "a.yaml:3: spec.rules[0].via.addresses[1]: expected each address once, found "
		 "10.0.0.1 "
		 "again"},
		{RULE "{via: {gateway: x, addresses: [192.0.2.1, 192.0.2.9]}}]}}\n---\n" GATEWAY
		      "{addresses: [{range: 192.0.2.0/30}]}}",
		 "a.yaml:3: spec.rules[0].via.addresses: expected addresses of EgressGateway x in "
		 "a.yaml:5, found 192.0.2.9"},
		{SUBJECT
		 "{podSelector: {}}, default: {via: {gateway: x, addresses: [192.0.2.1]}}}}\n"
		 "---\n" GATEWAY "{addressFrom: {interface: eth0}}}",
		 "a.yaml:2: spec.default.via.addresses: expected addresses of EgressGateway x in "
		 "a.yaml:4, found 192.0.2.1"},
	};

	check_bad("a.yaml", rows, COUNT(rows));
}

static void refuses_bad_cluster_objects(void **state)
{
	static const struct bad rows[] = {
		{HEAD("SluiceConfig") "{}}", "a.yaml:1: metadata.name: expected 'default', the "
					     "only SluiceConfig there is, found "
					     "'x'"},
		{CONFIG "{clusterCIDRs: []}}",
		 "a.yaml:2: spec.clusterCIDRs: expected 1 to 4096 items, found 0"},
		{CONFIG "{clusterCIDRs: [10.1.0.0/8]}}",
		 "a.yaml:2: spec.clusterCIDRs[0]: expected a CIDR, found string '10.1.0.0/8': host "
		 "bits "
		 "set right of the prefix length"},
		{CONFIG "{dns: {resolvers: [dns.example]}}}",
		 "a.yaml:2: spec.dns.resolvers[0]: expected an IP address, found string "
		 "'dns.example'"},
		{CONFIG "{markMask: 0xff}}", "a.yaml:2: spec.markMask: expected 11 adjacent bits "
					     "such as 0xffe00000, found integer "
					     "255"},
		{CONFIG "{markMask: '0xffd00000'}}",
		 "a.yaml:2: spec.markMask: expected 11 adjacent bits such as 0xffe00000, found "
		 "string "
		 "'0xffd00000'"},
		{CONFIG "{tunnelPort: 4789}}", "a.yaml:2: spec.tunnelPort: expected a UDP port "
					       "other than 0 and the VXLAN ports of "
					       "CNIs, 4789 and 8472, found 4789"},
		{"{apiVersion: v1, kind: Node, metadata: {name: n}, status: {addresses: [\n{type: "
		 "InternalIP, address: x}]}}",
		 "a.yaml:2: status.addresses[0].address: expected an IP address, found string 'x'"},
		{"{apiVersion: v1, kind: Node, metadata: {name: n}, spec: {podCIDR: 10.0.0.1/24}}",
		 "a.yaml:1: spec.podCIDR: expected a CIDR, found string '10.0.0.1/24': host bits "
		 "set "
		 "right of the prefix length"},
		{"{apiVersion: v1, kind: Namespace, metadata: {name: a.b}}",
		 "a.yaml:1: metadata.name: expected a DNS label of at most 63 lower-case "
		 "characters, "
		 "found string 'a.b'"},
		{"{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {hostNetwork: 'true'}}",
		 "a.yaml:1: spec.hostNetwork: expected boolean, got string 'true'"},
	};

	check_bad("a.yaml", rows, COUNT(rows));
}

/* Fail closed: what a later version understands must never be skipped by this one. */
static void refuses_what_later_versions_bring(void **state)
{
	static const struct {
		const char *head, *fields, *path;
	} rows[] = {
		{GATEWAY "{addressFrom: {interface: a}, ", "nextHop: 192.0.2.1}}",
		 "spec.nextHop: "},
		{GATEWAY "{addressFrom: {interface: a}, ", "failover: {}}}", "spec.failover: "},
		{GATEWAY "{addressFrom: {interface: a}, ", "limits: {}}}", "spec.limits: "},
		{GATEWAY "{addressFrom: {interface: a}, ", "encryption: IPsec}}",
		 "spec.encryption: 'IPsec' is "},
		{GATEWAY "{addressFrom: {interface: a}, ", "announce: BGP}}",
		 "spec.announce: 'BGP' is "},
		{GATEWAY "{addressFrom: {interface: a}, ", "transport: Direct}}",
		 "spec.transport: 'Direct' is "},
		{GATEWAY "{addressFrom: {interface: a}, ", "spread: Connection}}",
		 "spec.spread: 'Connection' is "},
		{GATEWAY "{addressFrom: {interface: a}, ", "tunnel: {endpoint: NodeAddress}}}",
		 "spec.tunnel.endpoint: 'NodeAddress' is "},
		{GATEWAY "{addressFrom: {interface: a}, ", "tunnel: {port: 6000}}}",
		 "spec.tunnel.port: "},
		{SUBJECT, "{services: [a]}}}", "spec.subject.services: "},
		{SUBJECT "{podSelector: {}}, ", "mode: Audit}}", "spec.mode: 'Audit' is "},
		{SUBJECT "{podSelector: {}}, ", "existingConnections: Reset}}",
		 "spec.existingConnections: 'Reset' is "},
		{SUBJECT "{podSelector: {}}, rules: [{action: Deny, ", "to: [{fqdn: a.b}]}]}}",
		 "spec.rules[0].to[0].fqdn: "},
		{SUBJECT "{podSelector: {}}, rules: [{action: Deny, ",
		 "to: [{destination: {}}]}]}}", "spec.rules[0].to[0].destination: "},
		{SUBJECT "{podSelector: {}}, rules: [{action: Deny, ",
		 "to: [{destinationSelector: {}}]}]}}",
		 "spec.rules[0].to[0].destinationSelector: "},
		{SUBJECT "{podSelector: {}}, rules: [{action: Deny, ", "schedule: {}}]}}",
		 "spec.rules[0].schedule: "},
		{SUBJECT "{podSelector: {}}, rules: [{action: Deny, ", "limit: {}}]}}",
		 "spec.rules[0].limit: "},
		{SUBJECT "{podSelector: {}}, rules: [{action: Deny, ", "log: true}]}}",
		 "spec.rules[0].log: 'true' is "},
		{SUBJECT "{podSelector: {}}, rules: [{action: Deny, ", "notify: {}}]}}",
		 "spec.rules[0].notify: "},
		{SUBJECT "{podSelector: {}}, rules: [{action: Deny, ", "appProtocols: [TLS]}]}}",
		 "spec.rules[0].appProtocols: "},
		{SUBJECT "{podSelector: {}}, rules: [{action: Deny, ", "redirect: {}}]}}",
		 "spec.rules[0].redirect: "},
		{CONFIG, "{dns: {minTTL: 5s}}}", "spec.dns.minTTL: "},
		{CONFIG, "{dns: {grace: 5s}}}", "spec.dns.grace: "},
		{CONFIG, "{audit: true}}", "spec.audit: 'true' is "},
		{CONFIG, "{sinks: []}}", "spec.sinks: "},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		__cleanup_free char *text = mem_printf("%s%s", rows[i].head, rows[i].fields);
		__cleanup_free char *message = mem_printf(
			"a.yaml:2: %snot supported by this version", rows[i].path);
		const struct bad row = {text, message};

		check_bad("a.yaml", &row, 1);
	}
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
		cmocka_unit_test(reads_a_rule_in_canonical_form),
		cmocka_unit_test(reads_a_cluster_policy),
		cmocka_unit_test(reads_what_the_cluster_is_from_a_list),
		cmocka_unit_test(sorts_objects_whatever_their_order_of_arrival),
		cmocka_unit_test(a_file_of_comments_holds_nothing),
		cmocka_unit_test(refuses_bad_documents),
		cmocka_unit_test(refuses_bad_metadata),
		cmocka_unit_test(refuses_bad_gateways),
		cmocka_unit_test(refuses_two_gateways_with_one_address),
		cmocka_unit_test(refuses_an_object_given_twice_and_names_both_files),
		cmocka_unit_test(refuses_bad_subjects_and_selectors),
		cmocka_unit_test(refuses_bad_rules),
		cmocka_unit_test(refuses_bad_vias),
		cmocka_unit_test(refuses_bad_cluster_objects),
		cmocka_unit_test(refuses_what_later_versions_bring),
		cmocka_unit_test(a_message_names_the_place_below_an_object_that_was_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
