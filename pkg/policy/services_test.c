/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "policy/compile.h"
#include "testkit/policy_fixture.h"

#define CONFIG                                                                                  \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: SluiceConfig\nmetadata: {name: default}\n" \
	"spec: {clusterCIDRs: [10.244.0.0/16, 'fd00::/16']}\n"
#define SERVICE(NAME, SPEC)                                                                       \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: " NAME ", namespace: shop}\nspec: " \
	"{" SPEC "}\n"
#define SLICE(NAME, OF, ENDPOINTS, PORTS)                                                   \
	"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " NAME \
	", namespace: shop, labels: {kubernetes.io/service-name: " OF "}}\n"                \
	"addressType: IPv4\nendpoints: [" ENDPOINTS "]\nports: [" PORTS "]\n"

/* "10.96.0.10 17:53 -> 198.51.100.9:5353 …", one line for each */
static char *services_text(const struct compiled *c)
{
	const struct compiled_service *list;
	char *text = mem_strdup("");
	size_t n;

	list = compiled_services(c, &n);
	for (size_t i = 0; i < n; i++) {
		__cleanup_free char *before = text;

		text = mem_printf("%s%s %u:%u ->", before, addr_str(list[i].at.addr),
				  list[i].at.l4_key >> 16, list[i].at.l4_key & 0xffff);
		for (size_t k = 0; k < list[i].n; k++) {
			__cleanup_free char *line = text;

			text = mem_printf("%s %s:%u", line, addr_str(list[i].endpoints[k].addr),
					  list[i].endpoints[k].l4_key & 0xffff);
		}
		{
			__cleanup_free char *line = text;

			text = mem_printf("%s\n", line);
		}
	}
	return text;
}

static void check(const char *yaml, const char *expected)
{
	struct policy_fixture f;
	__cleanup_free char *text = NULL;

	policy_fixture_init(&f, yaml, "n1", "eth0 192.0.2.1/24");
	text = services_text(f.c);
	assert_string_equal(text, expected);
	policy_fixture_done(&f);
}

static void services_lead_outside_by_the_ports_of_the_same_name_and_protocol(void **state)
{
	check(CONFIG SERVICE(
		      "db", "clusterIP: 10.244.0.10, clusterIPs: [10.244.0.10, 'fd00::10'], ports: "
			    "[{name: q, port: 53, protocol: UDP}, {name: q, port: 80}, "
			    "{name: other, port: 81}]")
		      SLICE("db-1", "db",
			    "{addresses: [198.51.100.9]}, {addresses: [198.51.100.8]}, "
			    "{addresses: ['2001:db8::9']}, {addresses: [10.244.1.5]}",
			    "{name: q, port: 5353, protocol: UDP}, {name: q, port: 8080, protocol: "
			    "TCP}, "
			    "{name: none, port: 1}")
			      SLICE("db-2", "db", "{addresses: [198.51.100.9, 198.51.100.7]}",
				    "{name: q, port: 5353, protocol: UDP}"),
	      "10.244.0.10 6:80 -> 198.51.100.8:8080 198.51.100.9:8080\n"
	      "10.244.0.10 17:53 -> 198.51.100.7:5353 198.51.100.8:5353 198.51.100.9:5353\n"
	      "fd00::10 6:80 -> 2001:db8::9:8080\n"
	      "fd00::10 17:53 -> 2001:db8::9:5353\n");
}

static void services_that_stay_inside_or_have_no_address_are_none_of_ours(void **state)
{
	check(SERVICE("a", "clusterIP: 10.244.0.10, ports: [{port: 80}]") SLICE(
		      "a-1", "a", "{addresses: [10.244.1.5]}, {addresses: [192.0.2.1]}",
		      "{name: '', port: 80, protocol: TCP}")
		      SERVICE("b", "clusterIP: None, ports: [{port: 80}]") SLICE(
			      "b-1", "b", "{addresses: [198.51.100.9]}",
			      "{name: '', port: 80, protocol: TCP}")
			      SERVICE("c", "clusterIP: 203.0.113.7, ports: [{port: 80}]")
				      SLICE("c-1", "c", "{addresses: [198.51.100.9]}",
					    "{name: '', port: 80}")
					      SLICE("d-1", "d", "{addresses: [198.51.100.9]}",
						    "{port: 80}"),
	      "");
}

#define NODE(NAME, ADDRS)                                                                          \
	"---\napiVersion: v1\nkind: Node\nmetadata: {name: " NAME "}\nstatus: {addresses: [" ADDRS \
	"]}\n"

static void a_node_port_leads_outside_at_every_node(void **state)
{
	check(CONFIG NODE("n1", "{type: InternalIP, address: 192.0.2.1}") NODE(
		      "n2", "{type: InternalIP, address: 192.0.2.2}, {type: InternalIP, address: "
			    "'2001:db8:2::2'}, {type: ExternalIP, address: 198.51.100.2}, "
			    "{type: InternalIP, address: 10.244.9.9}")
		      SERVICE("a", "clusterIP: 10.244.0.10, ports: [{name: q, port: 53, protocol: "
				   "UDP, nodePort: 30053}, {name: x, port: 54, nodePort: null}]")
			      SLICE("a-1", "a", "{addresses: [198.51.100.9]}",
				    "{name: q, port: 5353, protocol: UDP}, {name: x, port: 1}")
				      SERVICE("b", "clusterIP: 10.244.0.11, ports: [{port: 80, "
						   "nodePort: 30080}]")
					      SLICE("b-1", "b", "{addresses: [10.244.1.5]}",
						    "{port: 8080}"),
	      "10.244.0.10 6:54 -> 198.51.100.9:1\n"
	      "10.244.0.10 17:53 -> 198.51.100.9:5353\n"
	      "192.0.2.1 17:30053 -> 198.51.100.9:5353\n"
	      "192.0.2.2 17:30053 -> 198.51.100.9:5353\n");
}

static void what_cannot_be_used_of_others_objects_is_left_out(void **state)
{
	check(SERVICE("a", "clusterIP: 10.244.0.10, type: ClusterIP, ports: [{port: 80, protocol: "
			   "HOMA}, {port: 80, name: null, targetPort: web}]")
		      SLICE("a-1", "a",
			    "{addresses: [db.example.com]}, {addresses: [198.51.100.9], "
			    "conditions: {ready: false}, nodeName: n1}",
			    "{name: null, port: 8080, protocol: null, appProtocol: x}, {name: "
			    "null, "
			    "port: null}"),
	      "10.244.0.10 6:80 -> 198.51.100.9:8080\n");
	check("---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\n"
	      "endpoints: null\nports: null\n",
	      "");
}

static void the_api_servers_are_inside(void **state)
{
	static const char yaml[] =
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: kubernetes, namespace: "
		"default}\nspec: {clusterIP: 10.244.0.1, ports: [{name: https, port: 443}]}\n"
		"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: "
		"kubernetes, namespace: default, labels: {kubernetes.io/service-name: "
		"kubernetes}}\nendpoints: [{addresses: [198.51.100.200]}]\nports: [{name: https, "
		"port: 6443}]\n" SLICE("x", "kubernetes", "{addresses: [198.51.100.201]}",
				       "{name: https, port: 6443}");
	struct policy_fixture f;
	const struct cidr *list;
	size_t n;
	bool there = false;

	policy_fixture_init(&f, yaml, "n1", "eth0 192.0.2.1/24");
	list = compiled_inside(f.c, &n);
	for (size_t i = 0; i < n; i++) {
		there |= cidr_contains_addr(list[i], addr_of("198.51.100.200"));
		assert_false(cidr_contains_addr(list[i], addr_of("198.51.100.201")));
	}
	assert_true(there);
	compiled_services(f.c, &n);
	assert_int_equal(n, 0);
	policy_fixture_done(&f);
}

/* Whoever may create lists in that namespace would else take addresses out of every policy. */
static void a_list_of_another_name_is_not_the_api_servers(void **state)
{
	check("---\napiVersion: v1\nkind: Service\nmetadata: {name: kubernetes, namespace: "
	      "default}\nspec: {clusterIP: 10.244.0.1, ports: [{name: https, port: 443}]}\n"
	      "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: "
	      "mine, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}\n"
	      "endpoints: [{addresses: [198.51.100.202]}]\nports: [{name: https, port: 6443}]\n",
	      "10.244.0.1 6:443 -> 198.51.100.202:6443\n");
}

static void another_endpoint_is_another_compile(void **state)
{
	struct policy_fixture f, g;

	policy_fixture_init(&f,
			    SERVICE("a", "clusterIP: 10.244.0.10, ports: [{port: 80}]")
				    SLICE("a-1", "a", "{addresses: [198.51.100.9]}", "{port: 80}"),
			    "n1", "eth0 192.0.2.1/24");
	policy_fixture_init(&g,
			    SERVICE("a", "clusterIP: 10.244.0.10, ports: [{port: 80}]")
				    SLICE("a-1", "a", "{addresses: [198.51.100.8]}", "{port: 80}"),
			    "n1", "eth0 192.0.2.1/24");
	assert_true(compiled_digest(f.c) != compiled_digest(g.c));
	assert_null(compiled_service(f.c, addr_of("10.244.0.10"), L4_KEY(IPPROTO_UDP, 80)));
	assert_non_null(compiled_service(f.c, addr_of("10.244.0.10"), L4_KEY(IPPROTO_TCP, 80)));
	policy_fixture_done(&f);
	policy_fixture_done(&g);
}

/* Where cluster CIDRs come from the Nodes, there are as many of them as nodes. */
static void node_ports_are_compiled_in_time_with_thousands_of_nodes(void **state)
{
	enum { NODES = 2000 };
	struct policy_fixture f;
	char *yaml = NULL;
	size_t len = 0, n;
	FILE *text = open_memstream(&yaml, &len);
	clock_t began;

	for (int i = 0; i < NODES; i++)
		fprintf(text,
			"---\napiVersion: v1\nkind: Node\nmetadata: {name: node%d}\n"
			"spec: {podCIDRs: [10.%d.%d.0/24]}\n"
			"status: {addresses: [{type: InternalIP, address: 172.16.%d.%d}]}\n",
			i, i >> 8, i & 255, i >> 8, i & 255);
	fputs(SERVICE("a", "clusterIP: 10.0.0.10, ports: [{name: a, port: 80, nodePort: 30080}, "
			   "{name: b, port: 81, nodePort: 30081}]")
		      SLICE("a-1", "a",
			    "{addresses: [198.51.100.1, 198.51.100.2, 198.51.100.3, 198.51.100.4, "
			    "198.51.100.5, 198.51.100.6, 198.51.100.7, 198.51.100.8, 198.51.100.9, "
			    "198.51.100.10, 198.51.100.11, 198.51.100.12, 198.51.100.13, "
			    "198.51.100.14, 198.51.100.15, 198.51.100.16]}",
			    "{name: a, port: 1}, {name: b, port: 2}"),
	      text);
	fclose(text);
	policy_fixture_node(&f, "node0", "eth0 172.16.0.0/16");
	f.node.n_cluster_cidrs = 0;
	f.set = docs_from_yaml(yaml);
	began = clock();
	policy_fixture_compile(&f);
	assert_true(clock() - began < CLOCKS_PER_SEC / 2); /* of this process: 0.01 s */
	compiled_services(f.c, &n);
	assert_int_equal(n, 2 * (NODES + 1));
	policy_fixture_done(&f);
	free(yaml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(services_lead_outside_by_the_ports_of_the_same_name_and_protocol),
		cmocka_unit_test(services_that_stay_inside_or_have_no_address_are_none_of_ours),
		cmocka_unit_test(a_node_port_leads_outside_at_every_node),
		cmocka_unit_test(what_cannot_be_used_of_others_objects_is_left_out),
		cmocka_unit_test(the_api_servers_are_inside),
		cmocka_unit_test(a_list_of_another_name_is_not_the_api_servers),
		cmocka_unit_test(another_endpoint_is_another_compile),
		cmocka_unit_test(node_ports_are_compiled_in_time_with_thousands_of_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
