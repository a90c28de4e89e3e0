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
#include "base/mem.h"
#include "policy/diff.h"
#include "testkit/policy_fixture.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HEAD(kind, name)                                                                      \
	"---\n{apiVersion: sluice.dev/v1alpha1, kind: " kind ", metadata: {name: " name "}, " \
	"spec: {"
#define POLICY(name, subject) HEAD("EgressPolicy", name) "subject: {" subject "}, "
#define CLUSTER(name, rest)   HEAD("ClusterEgressPolicy", name) "subject: {podSelector: {}" rest "}, "
#define GATEWAY(spec)	      HEAD("EgressGateway", "office") "allowedNamespaces: {}, " spec "}}\n"
#define ALL		      "podSelector: {}"
#define WEB		      "podSelector: {matchLabels: {app: web}}"
#define END		      "}}\n"
#define POD(name, labels) \
	"---\n{apiVersion: v1, kind: Pod, metadata: {name: " name ", labels: {" labels "}}}\n"
#define NODE_AT(ip)                                                                            \
	"---\n{apiVersion: v1, kind: Node, metadata: {name: n7}, status: {addresses: [{type: " \
	"InternalIP, address: " ip "}]}}\n"
#define NODE_AT2(ip)                                                                           \
	"---\n{apiVersion: v1, kind: Node, metadata: {name: n8}, status: {addresses: [{type: " \
	"InternalIP, address: " ip "}]}}\n"
#define VIA "via: {gateway: office}"

static char *ports_of(const struct diff_change *c)
{
	if (c->lo == 0 && c->hi == L4_MAX)
		return mem_strdup("any");
	return mem_printf("%u/%u-%u/%u", c->lo >> 16, c->lo & 0xffff, c->hi >> 16, c->hi & 0xffff);
}

/* "pods | name prefixes | ports | before -> after", a line each. */
static char *text_of(const struct diff *d)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	for (size_t i = 0; i < d->n; i++)
		for (size_t k = 0; k < d->groups[i].n_changes; k++) {
			const struct diff_change *c = &d->groups[i].changes[k];
			__cleanup_free char *ports = ports_of(c);

			for (size_t n = 0; n < d->groups[i].n_pods; n++)
				fprintf(f, "%s%s", n ? ", " : "", d->groups[i].pods[n]);
			fprintf(f, " |%s%s", c->name ? " " : "", c->name ?: "");
			for (size_t n = 0; n < c->n_prefixes; n++)
				fprintf(f, " %s", cidr_str(c->prefixes[n]));
			fprintf(f, " | %s | %s -> %s\n", ports, c->before, c->after);
		}
	fclose(f);
	return text;
}

struct row {
	const char *before, *after, *changes;
};

static char *diff_of(const char *before, const char *after, const struct pod_info *pods, size_t n)
{
	struct policy_fixture f = {0};
	struct doc_set *a = docs_from_yaml(before), *b = docs_from_yaml(after);
	struct diff d;
	struct err e = {0};
	struct diff_input in = {.old_set = a, .new_set = b, .pods = pods, .n_pods = n};
	char *text;

	policy_fixture_node(&f, "n1", "eth0 192.0.2.1/24");
	in.node = f.node;
	if (policy_diff(&in, &d, &e) < 0)
		fail_msg("%s", e.msg);
	text = text_of(&d);
	diff_done(&d);
	doc_set_free(a);
	doc_set_free(b);
	return text;
}

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		__cleanup_free char *got = diff_of(rows[i].before, rows[i].after, NULL, 0);

		assert_string_equal(got, rows[i].changes);
	}
}

#define NODE	   "Allow as the node"
#define EVERYWHERE " | ::/0 0.0.0.0/0 | any | "

static void each_changed_decision_is_told_once(void **state)
{
	static const struct row rows[] = {
		{POLICY("a", ALL) "default: {action: Deny}" END,
		 POLICY("a", ALL) "default: {action: Deny}" END, ""},
		/* the same said otherwise is the same */
		{POLICY("a", ALL) "rules: [{action: Deny, to: [{cidr: 198.51.100.0/24}]}]" END,
		 POLICY("b",
			ALL) "priority: 3, rules: [{action: Deny, to: [{cidr: 198.51.100.128/25}, "
			     "{cidr: 198.51.100.0/25}]}]" END,
		 ""},
		{POLICY("a", ALL) "rules: [{action: Deny, to: [{cidr: 198.51.100.0/24}]}]" END,
		 POLICY("a", ALL) "rules: [{action: Deny, to: [{cidr: 198.51.100.0/25}]}]" END,
		 "default: any | 198.51.100.128/25 | any | Deny -> " NODE "\n"},
		{"", POLICY("a", WEB) "default: {action: Deny}" END,
		 "default: app=web" EVERYWHERE NODE " -> Deny\n"},
		/* neighbours are one, and are told as prefixes */
		{POLICY("a", ALL) "default: {action: Deny}" END,
		 POLICY("a",
			ALL) "rules: [{action: Allow, to: [{cidr: 198.51.100.0/25}]}, {action: "
			     "Reject, to: [{cidr: 198.51.101.0/24}]}, {action: Allow, to: [{cidr: "
			     "198.51.100.128/25}, "
			     "{cidr: '2001:db8::/32'}]}], default: {action: Deny}" END,
		 "default: any | 198.51.100.0/24 2001:db8::/32 | any | Deny -> " NODE "\n"
		 "default: any | 198.51.101.0/24 | any | Deny -> Reject\n"},
		/* ports */
		{POLICY("a", ALL) "rules: [{action: Allow, ports: [{protocol: TCP, port: 443}]}], "
				  "default: {action: Deny}" END,
		 POLICY("a",
			ALL) "rules: [{action: Allow, ports: [{protocol: TCP, port: 440, endPort: "
			     "445}]}], default: {action: Deny}" END,
		 "default: any | ::/0 0.0.0.0/0 | 6/440-6/442 | Deny -> " NODE "\n"
		 "default: any | ::/0 0.0.0.0/0 | 6/444-6/445 | Deny -> " NODE "\n"},
		/* what lies inside is nobody's, but a stretch that is not meant is not told */
		{POLICY("a", ALL) "priority: 1" END,
		 POLICY("a", ALL) "rules: [{action: Deny, to: [{cidr: 10.244.0.0/15}, {cidr: "
				  "10.0.0.0/24}]}]" END,
		 "default: any | 10.0.0.0/24 10.245.0.0/16 | any | " NODE " -> Deny\n"},
		/* a node's address comes to lie inside: that is told where it was denied */
		{POLICY("a", ALL) "rules: [{action: Deny, to: [{cidr: 198.51.100.0/24}]}]" END,
		 POLICY("a", ALL) "rules: [{action: Deny, to: [{cidr: 198.51.100.0/24}]}]" END
			 NODE_AT("198.51.100.7") NODE_AT2("203.0.113.7"),
		 "default: any | 198.51.100.7/32 | any | Deny -> inside: untouched\n"},
		/* audit only looks */
		{"", POLICY("a", ALL) "mode: Audit, default: {action: Deny}" END, ""},
		{POLICY("a", ALL) "mode: Audit, default: {action: Deny}" END,
		 POLICY("a", ALL) "default: {action: Deny}" END,
		 "default: any" EVERYWHERE NODE " -> Deny\n"},
	};

	check_rows(rows, COUNT(rows));
}

static void an_address_that_changes_is_told(void **state)
{
	static const struct row rows[] = {
		{GATEWAY("addresses: [{range: 203.0.113.1}, {range: '2001:db8::1'}]")
			 POLICY("a", ALL) "rules: [{to: [{cidr: 198.51.100.0/24}, {cidr: "
					  "'2001:db8:1::/48'}], " VIA "}]" END,
		 GATEWAY("addresses: [{range: 203.0.113.2}]")
			 POLICY("a", ALL) "rules: [{to: [{cidr: 198.51.100.0/24}, {cidr: "
					  "'2001:db8:1::/48'}], " VIA "}]" END,
		 "default: any | 198.51.100.0/24 | any | Allow as 203.0.113.1 of office -> Allow "
		 "as 203.0.113.2 of office\n"
		 "default: any | 2001:db8:1::/48 | any | Allow as 2001:db8::1 of office -> drop: "
		 "family (office)\n"},
		{GATEWAY("addresses: [{range: 203.0.113.1}]")
			 POLICY("a", ALL) "rules: [{to: [{cidr: 198.51.100.0/24}], " VIA "}]" END,
		 POLICY("a", ALL) "rules: [{to: [{cidr: 198.51.100.0/24}], " VIA "}]" END,
		 "default: any | 198.51.100.0/24 | any | Allow as 203.0.113.1 of office -> drop: "
		 "no-gateway (office)\n"},
		{GATEWAY("addresses: [{range: 203.0.113.1}]") POLICY("a", ALL) "priority: 1" END,
		 GATEWAY("addresses: [{range: 203.0.113.1}]")
			 POLICY("a", ALL) "rules: [{to: [{cidr: 169.254.0.0/15}], " VIA "}]" END,
		 "default: any | 169.254.0.0/16 | any | " NODE " -> drop: link-local-via\n"
		 "default: any | 169.255.0.0/16 | any | " NODE
		 " -> Allow as 203.0.113.1 of office\n"},
	};

	check_rows(rows, COUNT(rows));
}

static void pods_are_grouped_by_what_concerns_them(void **state)
{
	static const struct row rows[] = {
		{POD("a", "app: web") POD("b", "app: db") POD("c", "app: web"),
		 POD("a", "app: web") POD("b", "app: db") POD("c", "app: web") POD("d", "app: web")
			 POLICY("p",
				WEB) "rules: [{action: Deny, to: [{cidr: 198.51.100.0/24}]}]" END,
		 "default/a, default/c, default/d | 198.51.100.0/24 | any | " NODE " -> Deny\n"},
		/* a label that changes */
		{POD("a", "app: db") POLICY(
			 "p", WEB) "rules: [{action: Deny, to: [{cidr: 198.51.100.0/24}]}]" END,
		 POD("a", "app: web") POLICY(
			 "p", WEB) "rules: [{action: Deny, to: [{cidr: 198.51.100.0/24}]}]" END,
		 "default/a | 198.51.100.0/24 | any | " NODE " -> Deny\n"},
		/* by the name that is implied */
		{POD("a", "") POD("b", ""),
		 POLICY("p", "podSelector: {matchLabels: {sluice.dev/pod: b}}") "rules: [{action: "
										"Deny, to: [{cidr: "
										"198.51.100.0/"
										"24}]}]" END,
		 "default/b | 198.51.100.0/24 | any | " NODE " -> Deny\n"},
		/* pods of the host are not governed */
		{"---\n{apiVersion: v1, kind: Pod, metadata: {name: h}, spec: {hostNetwork: "
		 "true}}\n" POD("a", ""),
		 POLICY("p", "podSelector: {matchLabels: {sluice.dev/pod: h}}") "default: {action: "
										"Deny}" END,
		 ""},
		/* on the node it is on */
		{"---\n{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {nodeName: "
		 "n2}}\n" POD("b", "") "---\n{apiVersion: v1, kind: Node, metadata: {name: n2, "
				       "labels: {edge: ''}}}\n",
		 CLUSTER("p",
			 ", nodeSelector: {matchLabels: {edge: ''}}") "rules: [{action: Deny, to: "
								      "[{cidr: "
								      "198.51.100.0/24}]}]" END
								      "---\n{apiVersion: v1, kind: "
								      "Node, metadata: {name: n2, "
								      "labels: {edge: ''}}}\n",
		 "default/a | 198.51.100.0/24 | any | " NODE " -> Deny\n"},
		/* nobody is known: the least that each subject asks for */
		{POLICY("q", "services: [s]") "priority: 1" END
					      "---\n{apiVersion: v1, kind: Service, metadata: "
					      "{name: s}, spec: {selector: {app: s}}}\n",
		 CLUSTER("p", "") "rules: [{action: Deny, to: [{cidr: 198.51.100.0/24}]}]" END
			 POLICY("r", WEB) "priority: 1" END,
		 "default: app=s, default: any, default: app=web | 198.51.100.0/24 | any | " NODE
		 " -> Deny\n"},
	};

	check_rows(rows, COUNT(rows));
}

static void a_pod_that_is_given_is_the_only_one(void **state)
{
	static const char text[] = POD("b", "app: db")
		POLICY("p", WEB) "rules: [{action: Deny, to: [{cidr: 198.51.100.0/24}]}]" END;
	struct pod_info pod = {
		.namespace = "default", .name = "x", .labels = labels_from_text("app=web")};
	__cleanup_free char *got = diff_of("", text, &pod, 1);

	assert_string_equal(got, "default/x | 198.51.100.0/24 | any | " NODE " -> Deny\n");
	labels_done(&pod.labels);
}

static void a_pod_keeps_its_place_in_spread_pod(void **state)
{
#define SPREAD(range)                                           \
	GATEWAY("spread: Pod, addresses: [{range: " range "}]") \
	POLICY("p", ALL)                                        \
	"rules: [{to: [{cidr: 198.51.100.0/24}], " VIA "}]" END POD("a", "") POD("b", "")
	__cleanup_free char *got = diff_of(SPREAD("203.0.113.1"), SPREAD("203.0.113.0-203.0.113.7"),
					   NULL, 0);
	char wanted[512];

	snprintf(wanted, sizeof(wanted),
		 "default/a | 198.51.100.0/24 | any | Allow as 203.0.113.1 of office -> Allow as "
		 "203.0.113.%u of office\n"
		 "default/b | 198.51.100.0/24 | any | Allow as 203.0.113.1 of office -> Allow as "
		 "203.0.113.%u of office\n",
		 pod_spread("default", "a") % 8, pod_spread("default", "b") % 8);
	assert_string_equal(got, wanted);
}

static void what_a_name_changes_is_told_for_the_name(void **state)
{
	static const struct row rows[] = {
		{POLICY("a", ALL) "default: {action: Deny}" END,
		 POLICY("a", ALL) "rules: [{action: Allow, to: [{fqdn: a.example.com}], ports: "
				  "[{protocol: "
				  "TCP, port: 443}]}], default: {action: Deny}" END,
		 "default: any | a.example.com ::/0 0.0.0.0/0 | 6/443-6/443 | Deny -> " NODE "\n"},
		/* what a name spares from a change is told, too */
		{POLICY("a", ALL) "rules: [{action: Reject, to: [{fqdn: a.example.com}]}]" END,
		 POLICY("a",
			ALL) "rules: [{action: Reject, to: [{fqdn: a.example.com}]}], default: "
			     "{action: Deny}" END,
		 "default: any" EVERYWHERE NODE " -> Deny\n"
		 "default: any | a.example.com ::/0 0.0.0.0/0 | any | Reject -> Reject\n"},
		/* what changes alike with it and without it is told once */
		{POLICY("a", ALL) "rules: [{action: Allow, to: [{fqdn: a.example.com}]}]" END,
		 POLICY("a", ALL) "rules: [{action: Deny}]" END,
		 "default: any" EVERYWHERE NODE " -> Deny\n"},
		/* a pattern speaks for what it holds */
		{POLICY("a", ALL) "rules: [{action: Allow, to: [{fqdn: '*.example.com'}]}], "
				  "default: {action: Deny}" END,
		 POLICY("a", ALL) "rules: [{action: Allow, to: [{fqdn: a.example.com}]}], default: "
				  "{action: Deny}" END,
		 "default: any | *.example.com ::/0 0.0.0.0/0 | any | " NODE " -> Deny\n"},
	};

	check_rows(rows, COUNT(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_changed_decision_is_told_once),
		cmocka_unit_test(an_address_that_changes_is_told),
		cmocka_unit_test(pods_are_grouped_by_what_concerns_them),
		cmocka_unit_test(a_pod_that_is_given_is_the_only_one),
		cmocka_unit_test(a_pod_keeps_its_place_in_spread_pod),
		cmocka_unit_test(what_a_name_changes_is_told_for_the_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
