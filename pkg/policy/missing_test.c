/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "policy/doc_fixture.h"
#include "policy/missing.h"

static void names_what_each_policy_misses(void **state)
{
	static const char text[] = SUBJECT
		"{services: [web, api]}, rules: [\n"
		"{action: Deny, to: [{destination: {name: bank}}, {destination: {name: here}},\n"
		"{destination: {kind: ClusterEgressDestination, name: feed}}, {fqdn: "
		"a.example}]},\n"
		"{via: {gateway: office}}, {via: {gateway: there}},\n"
		"{via: {gateway: depot, unavailable: Node}}, {action: Deny, to: [{destination: "
		"{name: "
		"bank}}]}],\ndefault: {via: {gateway: office}}}}\n---\n" CLUSTER
		"{subject: {podSelector: {}}, rules: [{via: {node: {}}, to: [{destination: {name: "
		"here}}]}]}}\n---\n"
		"{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: there},\n"
		"spec: {addresses: [{range: 192.0.2.1}]}}\n---\n"
		"{apiVersion: sluice.dev/v1alpha1, kind: EgressDestination, metadata: {name: "
		"here},\n"
		"spec: {cidrs: [192.0.2.0/24]}}\n---\n"
		"{apiVersion: v1, kind: Service, metadata: {name: web}}\n---\n"
		"{apiVersion: v1, kind: Service, metadata: {name: api, namespace: other}}\n";
	static const struct {
		const char *text;
		int line;
	} expected[] = {
		{"ClusterEgressDestination here is missing: the rule does not match it", 10},
		{"Service default/api is missing: none of its pods is selected", 1},
		{"EgressDestination default/bank is missing: the rule does not match it", 3},
		{"ClusterEgressDestination feed is missing: the rule does not match it", 3},
		{"EgressGateway office is missing: its traffic is dropped", 5},
		{"EgressGateway depot is missing: its traffic is sent as the node", 6},
	};
	__cleanup_doc_set struct doc_set *set = read_set("a.yaml", text);
	__cleanup_free struct missing *list = NULL;
	size_t n = 0;

	policy_missing(set, &list, &n);
	for (size_t i = 0; i < n && i < COUNT(expected); i++) {
		__cleanup_free char *got = missing_text(&list[i]);

		assert_string_equal(got, expected[i].text);
		assert_int_equal(list[i].src.line, expected[i].line);
		assert_ptr_equal(list[i].policy, set->policies[i > 0]);
	}
	assert_int_equal(n, COUNT(expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_what_each_policy_misses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
