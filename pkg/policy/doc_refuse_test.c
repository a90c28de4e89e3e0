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
#include "policy/doc_fixture.h"

static void refuses_bad_subjects_and_selectors(void **state)
{
	static const struct bad rows[] = {
		{POLICY "{}}", "a.yaml:2: spec: expected a field 'subject', found none"},
		{SUBJECT "{}}}", "a.yaml:2: spec.subject: expected exactly one of podSelector, "
				 "services, found none"},
		{SUBJECT "{podSelector: {}, namespaceSelector: {}}}}",
		 "a.yaml:2: spec.subject.namespaceSelector: unknown field, expected podSelector, "
		 "services"},
		{SUBJECT "{podSelector: {}, services: [a]}}}",
		 "a.yaml:2: spec.subject: expected exactly one of podSelector, services, found "
		 "podSelector and services"},
		{SUBJECT "{services: []}}}",
		 "a.yaml:2: spec.subject.services: expected 1 to 4096 items, found 0"},
		{SUBJECT "{services: [a.b]}}}",
		 "a.yaml:2: spec.subject.services[0]: expected a DNS label of at most 63 "
		 "lower-case characters, found string 'a.b'"},
		{SUBJECT "{services: [b, a, b]}}}",
		 "a.yaml:2: spec.subject.services: expected each Service once, found 'b' again"},
		{SUBJECT "{podSelector: {}}, mode: audit}}",
		 "a.yaml:2: spec.mode: expected one of Enforce, Audit, found string 'audit'"},
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
		 "prefix length missing or too long for the family (one address is /32, of IPv6 "
		 "/128)"},
		{RULE "{action: Deny, to: [{cidr: 10.0.0.1/8}]}]}}",
		 "a.yaml:3: spec.rules[0].to[0].cidr: expected a CIDR, found string '10.0.0.1/8': "
		 "host "
		 "bits set right of the prefix length"},
		{RULE "{action: Deny, to: [{cidr: 10.0.0.1}]}]}}",
		 "a.yaml:3: spec.rules[0].to[0].cidr: expected a CIDR, found string '10.0.0.1': "
		 "prefix "
		 "length missing or too long for the family (one address is /32, of IPv6 /128)"},
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
		{RULE "{action: Deny, log: 'yes'}]}}",
		 "a.yaml:3: spec.rules[0].log: expected boolean, got string 'yes'"},
		{RULE "{action: Deny, to: [{cidr: 10.0.0.0/8, except: []}]}]}}",
		 "a.yaml:3: spec.rules[0].to[0].except: expected 1 to 1024 items, found 0"},
	};

	check_bad("a.yaml", rows, COUNT(rows));
}

static void refuses_bad_ports(void **state)
{
	static const struct bad rows[] = {
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
		 "nodeSelector, nodeCapacity, allowedNamespaces, interface, announce, transport, "
		 "tunnel, spread, encryption, nextHop, failover, limits"},
		{GATEWAY "{addressFrom: {interface: a}, failover: {interval: 5ms}}}",
		 "a.yaml:2: spec.failover.interval: expected 10ms to 10s, found string '5ms'"},
		{GATEWAY "{addressFrom: {interface: a}, failover: {interval: 1s100}}}",
		 "a.yaml:2: spec.failover.interval: expected a duration like 100ms or 1m30s, "
		 "found string '1s100'"},
		{GATEWAY "{addressFrom: {interface: a}, failover: {holdDown: 1ms1s}}}",
		 "a.yaml:2: spec.failover.holdDown: expected a duration like 100ms or 1m30s, "
		 "found string '1ms1s'"},
		{GATEWAY "{addressFrom: {interface: a}, failover: {replicate: 1}}}",
		 "a.yaml:2: spec.failover.replicate: expected boolean, got integer 1"},
		{GATEWAY "{addressFrom: {interface: a}, failover: {missed: 1}}}",
		 "a.yaml:2: spec.failover.missed: expected 2 to 20, found integer 1"},
		{GATEWAY "{addressFrom: {interface: a}, limits: {portsPerPod: 0}}}",
		 "a.yaml:2: spec.limits.portsPerPod: expected at least 1, found integer 0"},
		{GATEWAY "{addresses: [{range: 192.0.2.1}], nodeCapacity: 0}}",
		 "a.yaml:2: spec.nodeCapacity: expected at least 1, found integer 0"},
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
		{CONFIG "{dns: {minTTL: 30s}}}",
		 "a.yaml:2: spec.dns: expected a field 'resolvers', found none"},
		{CONFIG "{dns: {resolvers: [10.0.0.1], minTTL: 30}}}",
		 "a.yaml:2: spec.dns.minTTL: expected string, got integer 30 (put it in quotes)"},
		{CONFIG "{dns: {resolvers: [10.0.0.1], minTTL: '30'}}}",
		 "a.yaml:2: spec.dns.minTTL: expected a duration like 30s or 1m30s, found string "
		 "'30'"},
		{CONFIG "{dns: {resolvers: [10.0.0.1], grace: 500ms}}}",
		 "a.yaml:2: spec.dns.grace: expected a duration like 30s or 1m30s, found string "
		 "'500ms'"},
		{CONFIG "{dns: {resolvers: [10.0.0.1], grace: 1s1m}}}",
		 "a.yaml:2: spec.dns.grace: expected a duration like 30s or 1m30s, found string "
		 "'1s1m'"},
		{CONFIG "{dns: {resolvers: [10.0.0.1], grace: ''}}}",
		 "a.yaml:2: spec.dns.grace: expected a duration like 30s or 1m30s, found string "
		 "''"},
		{CONFIG "{dns: {resolvers: [10.0.0.1], grace: 24h1s}}}",
		 "a.yaml:2: spec.dns.grace: expected at most 24h, found string '24h1s'"},
		{CONFIG "{audit: Audit}}",
		 "a.yaml:2: spec.audit: expected boolean, got string 'Audit'"},
		{"{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {selector: [a]}}",
		 "a.yaml:1: spec.selector: expected object, found array"},
		{"{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {selector: {a: b c}}}",
		 "a.yaml:1: spec.selector.a: expected a label value, found string 'b c'"},
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
		{GATEWAY "{addressFrom: {interface: a}, ", "encryption: IPsec}}",
		 "spec.encryption: 'IPsec' is "},
		{GATEWAY "{addressFrom: {interface: a}, ", "announce: BGP}}",
		 "spec.announce: 'BGP' is "},
		{GATEWAY "{addressFrom: {interface: a}, ", "transport: Direct}}",
		 "spec.transport: 'Direct' is "},
		{GATEWAY "{addressFrom: {interface: a}, ", "tunnel: {endpoint: NodeAddress}}}",
		 "spec.tunnel.endpoint: 'NodeAddress' is "},
		{GATEWAY "{addressFrom: {interface: a}, ", "tunnel: {port: 6000}}}",
		 "spec.tunnel.port: "},
		{CLUSTER "{subject: ", "{services: [a]}}}", "spec.subject.services: "},
		{DESTINATION "{cidrs: [10.0.0.0/8], ", "feed: {}}}", "spec.feed: "},
		{SUBJECT "{podSelector: {}}, rules: [{action: Deny, ", "limit: {}}]}}",
		 "spec.rules[0].limit: "},
		{SUBJECT "{podSelector: {}}, rules: [{action: Deny, ", "notify: {}}]}}",
		 "spec.rules[0].notify: "},
		{SUBJECT "{podSelector: {}}, rules: [{action: Deny, ", "appProtocols: [TLS]}]}}",
		 "spec.rules[0].appProtocols: "},
		{SUBJECT "{podSelector: {}}, rules: [{action: Deny, ", "redirect: {}}]}}",
		 "spec.rules[0].redirect: "},
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_bad_subjects_and_selectors),
		cmocka_unit_test(refuses_bad_rules),
		cmocka_unit_test(refuses_bad_ports),
		cmocka_unit_test(refuses_bad_vias),
		cmocka_unit_test(refuses_bad_gateways),
		cmocka_unit_test(refuses_two_gateways_with_one_address),
		cmocka_unit_test(refuses_bad_cluster_objects),
		cmocka_unit_test(refuses_what_later_versions_bring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
