/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of policy files before they are in force. */
#include "ctl_fixture.h"

static void check_config_names_every_files_mistake(void **state)
{
	put("a.yaml", "apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"
		      "metadata: {name: a, namespace: b}\nspec:\n  subject: {podSelector: {}}\n"
		      "  rulez: []\n");
	put("b.yaml", "apiVersion: sluice.dev/v1alpha1\nkind: Nonsense\n");
	put("c.yaml", POLICY);
	assert_int_equal(ctl("check-config p"), 1);
	assert_output("p/a.yaml:6");
	assert_output("rulez");
	assert_output("p/b.yaml:");
	assert_null(strstr(run_output, "c.yaml"));
}

static void check_config_names_every_documents_mistake(void **state)
{
	put("a.yaml", "kind: Nonsense\n---\n" POLICY "---\n# of the third\nkind: [\n---\n"
		      "apiVersion: sluice.dev/v1alpha1\nkind: Nowhere\n");
	assert_int_equal(ctl("check-config p"), 1);
	assert_output("p/a.yaml:1: document: expected a field 'apiVersion'");
	assert_output("p/a.yaml:14: column 1: did not find expected node content");
	assert_output("p/a.yaml:16: kind: expected EgressGateway");
}

static void check_config_names_every_mistake_of_a_document(void **state)
{
	put("a.yaml", POLICY "---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"
			     "metadata: {name: A_B, namespace: b}\nspec:\n"
			     "  subjct: {podSelector: {}}\n  priority: high\n  rules:\n"
			     "  - name: x\n    action: Alow\n"
			     "    to: [{cidr: 10.0.0.1/8}, {cidr: 10.0.0/8}]\n"
			     "    ports: [{protocol: TCP, port: 70000}, {port: 1}]\n"
			     "  - {name: x, action: Allow}\n");
	assert_int_equal(ctl("check-config p"), 1);
	assert_output("p/a.yaml:12: metadata.name: expected a DNS name");
	assert_output("p/a.yaml:14: spec.subjct: unknown field");
	assert_output("p/a.yaml:13: spec: expected a field 'subject', found none");
	assert_output("p/a.yaml:15: spec.priority: expected integer, got string 'high'");
	assert_output("p/a.yaml:18: spec.rules[0].action: expected one of");
	assert_output("p/a.yaml:19: spec.rules[0].to[0].cidr: ");
	assert_output("p/a.yaml:19: spec.rules[0].to[1].cidr: ");
	assert_output("p/a.yaml:20: spec.rules[0].ports[0].port: ");
	assert_output("p/a.yaml:20: spec.rules[0].ports[1]: expected a field 'protocol'");
	assert_output("p/a.yaml:21: spec.rules[1].name: expected unique names");
}

static void check_config_says_where_it_stops_looking(void **state)
{
	char text[16384], *p = text;

	p = stpcpy(p, "apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"
		      "metadata: {name: a, namespace: b}\nspec:\n"
		      "  subject: {podSelector: {}}\n  rules:\n");
	for (int i = 0; i < 101; i++)
		p = stpcpy(p, "  - {action: Alow}\n");
	put("a.yaml", text);
	assert_int_equal(ctl("check-config p"), 1);
	assert_output("p/a.yaml:106: spec.rules[99].action");
	assert_null(strstr(run_output, "rules[100]"));
	assert_output("p/a.yaml: there may be more");
}

static void a_folder_without_policies_is_not_said_to_be_right_without_a_word(void **state)
{
	static const char *const calls[] = {"check-config q", "lint q", "diff q q"};

	assert_int_equal(run_shell("mkdir -p q/policies.d"), 0);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		assert_int_equal(ctl(calls[i]), 0);
		assert_output("no policies in q: no file's name ends in .yaml, .yml or .json");
	}
	assert_int_equal(run_shell("rmdir p"), 0);
	assert_int_equal(ctl("explain shop/a 198.51.100.7"), 0);
	assert_output("there are no policies: ");
	assert_int_equal(run_shell("mkdir p"), 0);
}

static void check_config_warns_of_what_is_surely_not_meant(void **state)
{
	put("c.yaml", POLICY);
	put("d.yaml", "apiVersion: sluice.dev/v1alpha1\nkind: ClusterEgressPolicy\n"
		      "metadata: {name: d}\nspec:\n  subject: {podSelector: {}}\n  rules:\n"
		      "  - {name: p, action: Pass}\n  - {name: q, action: Deny}\n");
	assert_int_equal(ctl("check-config"), 0);
	assert_output("EgressGateway office is missing: its traffic is dropped");
	assert_output("d.yaml:8");
	assert_output("never reached");
	assert_output("valid: 2 files, 0 gateways, 2 policies");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, folder_make, run_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(check_config_names_every_files_mistake),
		TEST(check_config_names_every_documents_mistake),
		TEST(check_config_names_every_mistake_of_a_document),
		TEST(check_config_says_where_it_stops_looking),
		TEST(a_folder_without_policies_is_not_said_to_be_right_without_a_word),
		TEST(check_config_warns_of_what_is_surely_not_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
