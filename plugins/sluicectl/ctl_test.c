/* SPDX-License-Identifier: Apache-2.0 */
/* The binary as a person calls it, without root and without a daemon. */
#include "ctl_fixture.h"

static void explain_names_winner_losers_address_and_owner(void **state)
{
	put("gateway.yaml", GATEWAY);
	put("policy.yaml", POLICY);
	assert_int_equal(ctl("explain shop/a 198.51.100.7:443/TCP --labels app=web"), 0);
	assert_output("Allow by EgressPolicy shop/web rule bank");
	assert_output("203.0.113.10 of gateway office, owned by gw1");
	assert_output("too late");
	assert_int_equal(ctl("explain shop/a 198.51.100.7:80 --labels app=web"), 0);
	assert_output("dropped: denied");
	assert_output("other port");
	assert_int_equal(ctl("explain shop/a 192.0.2.1 --labels app=web"), 0);
	assert_output("inside: not governed");
	assert_int_equal(ctl("explain shop/a 198.51.100.7 --labels app=db"), 0);
	assert_output("no policy selects the pod");
}

static void explain_without_a_port_tells_each_range(void **state)
{
	put("gateway.yaml", GATEWAY);
	put("policy.yaml", POLICY);
	assert_int_equal(ctl("explain shop/a 198.51.100.7/TCP --labels app=web"), 0);
	assert_output("TCP/0 to TCP/442");
	assert_output("TCP/443: outside");
	assert_output("TCP/444 to TCP/65535");
	assert_int_equal(ctl("explain shop/a 198.51.100.7 --labels app=web"), 0);
	assert_output("198.51.100.7 all up to TCP/442: outside");
	assert_output("198.51.100.7 all from TCP/444 on: outside");
}

static void explain_takes_labels_from_the_pod_object(void **state)
{
	put("policy.yaml", POLICY);
	put("pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop, "
			"labels: {app: web}}\n");
	assert_int_equal(ctl("explain shop/a '[2001:db8::1]:443'"), 0);
	assert_output("dropped: denied");
	assert_null(strstr(run_output, "judged without labels"));
	assert_int_equal(ctl("explain shop/b 198.51.100.7"), 0);
	assert_output("judged without labels");
}

static void json_is_json(void **state)
{
	static const char *const calls[] = {
		"explain shop/a 198.51.100.7 --labels app=web -o json",
		"check-config -o json",
		"lint -o json",
		"diff p p -o json",
		"bindings -o json",
		"policies -o json",
	};

	put("gateway.yaml", GATEWAY);
	put("policy.yaml", POLICY);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		__cleanup_json struct json *tree = NULL;
		struct err e = {0};

		assert_int_equal(ctl(calls[i]), 0);
		if (json_parse(run_output, strlen(run_output), &tree, &e) < 0)
			fail_msg("%s: %s", calls[i], e.msg);
	}
}

static void an_answer_that_cannot_be_written_is_said(void **state)
{
	assert_int_equal(run_shell("%s --help >/dev/full", run_program("sluicectl")), 1);
	assert_output("write to standard output: No space left on device");
}

static void an_invalid_folder_is_said_by_explain(void **state)
{
	put("b.yaml", "kind: Nonsense\n");
	assert_int_equal(ctl("explain shop/a 198.51.100.7"), 1);
	assert_output("b.yaml:");
}

static void init_writes_files_that_check_config_accepts(void **state)
{
	assert_int_equal(ctl("init new"), 0);
	assert_output("new/10-sluice.conflist");
	assert_int_equal(ctl("check-config new/policies.d"), 0);
	assert_int_equal(ctl("init new"), 1);
	assert_output("--force");
	assert_int_equal(ctl("init new --force"), 0);
}

static void wrong_use_ends_with_2(void **state)
{
	static const char *const calls[] = {
		"",
		"no-such-verb",
		"explain shop/a",
		"explain shop/a 1.2.3.4 more",
		"explain shop/a 1.2.3.4.5",
		"explain shop/a 1.2.3.4:70000",
		"explain shop/a 1.2.3.4:1/QUIC",
		"explain shop/a 1.2.3.4 --labels app",
		"explain shop/a 1.2.3.4 --fqdn a..b",
		"status --labels a=b",
		"status --strict",
		"lint --pod a/b",
		"lint p p",
		"diff p",
		"status -o yaml",
		"status -n shop",
		"explain -n shop web/a 1.2.3.4",
		"status --what",
		"bindings --cluster-cidr 10.0.0.1/8",
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (ctl(calls[i]) != 2)
			fail_msg("'%s' did not end with 2: %s", calls[i], run_output);
}

static void assert_output_fits(size_t letters)
{
	size_t n = 0;

	for (const char *p = run_output, *line = run_output; *p; p++) {
		n = *p == '\n' ? 0 : n + (((unsigned char)*p & 0xc0) != 0x80);
		if (n > letters)
			fail_msg("more than %zu letters: %.*s", letters, (int)strcspn(line, "\n"),
				 line);
		line = *p == '\n' ? p + 1 : line;
	}
}

static void every_verb_has_help_that_fits_a_terminal(void **state)
{
	static const char *const verbs[] = {
		"",	 "status", "gateways", "policies",	 "bindings", "explain",
		"names", "rules",  "counters", "lint",		 "diff",     "check-config",
		"drain", "init",   "undrain",  "support-bundle",
	};

	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		__cleanup_free char *args = mem_printf("%s --help", verbs[i]);

		assert_int_equal(ctl(args), 0);
		assert_output("Usage: sluicectl");
		assert_output("Exit status");
		assert_output_fits(80);
	}
}

static void without_a_daemon_status_fails_and_says_so(void **state)
{
	assert_int_equal(ctl("status"), 1);
	assert_output("sluiced does not answer");
	assert_int_equal(ctl("gateways"), 1);
	assert_output("sluiced does not answer");
	assert_int_equal(ctl("rules --hits"), 1);
	assert_output("state folder ");
	assert_output("/s is not there: has sluiced run here?");
}

static void policies_stand_in_the_order_in_which_they_are_asked(void **state)
{
	const char *first, *second, *third;

	put("a.yaml", POLICY);
	put("b.yaml", "apiVersion: sluice.dev/v1alpha1\nkind: ClusterEgressPolicy\n"
		      "metadata: {name: z}\nspec:\n  subject: {podSelector: {}, "
		      "namespaceSelector: {matchLabels: {a: b}}}\n  rules: [{action: Pass}]\n"
		      "---\napiVersion: sluice.dev/v1alpha1\nkind: ClusterEgressPolicy\n"
		      "metadata: {name: a}\nspec: {tier: Baseline, subject: {podSelector: "
		      "{matchExpressions: [{key: x, operator: NotIn, values: [b, c]}, "
		      "{key: y, operator: Exists}]}}, rules: [{action: Deny}]}\n");
	assert_int_equal(ctl("policies"), 0);
	first = strstr(run_output, "Admin     500   z         all in a=b");
	second = strstr(run_output, "Pods      500   shop/web  app=web");
	third = strstr(run_output, "Baseline  500   a         x notin (b,c),y");
	if (!first || !second || !third || first > second || second > third)
		fail_msg("%s", run_output);
	assert_output("no: MissingGateway  a.yaml:1");
	assert_output("shop/web: EgressGateway office is missing");
	assert_int_equal(ctl("policies -n other -o wide"), 0);
	assert_null(strstr(run_output, "shop/web"));
	assert_output("MODE     RULES");
}

static void what_is_written_wrong_is_answered_by_what_is_near(void **state)
{
	put("pod.yaml",
	    "apiVersion: v1\nkind: Pod\nmetadata: {name: payments-1, namespace: shop}\n");
	assert_int_equal(ctl("explain -n shop paymets-1 198.51.100.7"), 0);
	assert_output("did you mean 'shop/payments-1'?");
	assert_int_equal(ctl("explain -n shop payments 198.51.100.7"), 0); /* as it begins */
	assert_output("did you mean 'shop/payments-1'?");
	assert_int_equal(ctl("explain -n shop unrelated 198.51.100.7"), 0);
	assert_null(strstr(run_output, "did you mean"));
	assert_int_equal(ctl("explain -n shop payments-1 api.example.com:443"), 2);
	assert_output("'api.example.com' is a name: ask for one of its addresses, with --fqdn "
		      "api.example.com");
	assert_int_equal(ctl("stauts"), 2);
	assert_output("did you mean 'status'?");
	assert_int_equal(ctl("status --otuput json"), 2);
	assert_output("did you mean '--output'?");
}

static void lint_tells_what_is_surely_not_meant(void **state)
{
	put("a.yaml", GATEWAY);
	put("b.yaml", POLICY);
	assert_int_equal(ctl("lint --strict"), 0);
	assert_output("no findings");
	put("c.yaml", "apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"
		      "metadata: {name: c, namespace: shop}\nspec:\n"
		      "  subject: {podSelector: {matchLabels: {app: db}}}\n  rules:\n"
		      "  - {name: all, action: Deny, ports: [{protocol: TCP}]}\n"
		      "  - {name: web, action: Allow, ports: [{protocol: TCP, port: 80}]}\n");
	assert_int_equal(ctl("lint p"), 0);
	assert_output("p/c.yaml:8: warning: EgressPolicy shop/c rule web: it never decides");
	assert_output("[hidden-rule]");
	assert_int_equal(ctl("lint p --strict"), 1);
	put("d.yaml", "apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"
		      "metadata: {name: d, namespace: shop}\nspec:\n"
		      "  subject: {podSelector: {matchLabels: {app: x}}}\n  rules:\n"
		      "  - {via: {gateway: office}, to: [{fqdn: api.example.com}]}\n");
	assert_int_equal(ctl("lint p/a.yaml"), 0);
	assert_int_equal(ctl("lint"), 1);
	assert_output("p/d.yaml:7: error: ");
	put("e.yaml", "kind: Nonsense\n");
	assert_int_equal(ctl("lint"), 1);
	assert_output("p/e.yaml:1");
}

static void diff_tells_which_decisions_change(void **state)
{
	put("b.yaml", POLICY);
	assert_int_equal(ctl("diff p p"), 0);
	assert_output("no decision changes for 1 pod");
	put("c.yaml", GATEWAY);
	assert_int_equal(ctl("diff p/b.yaml p"), 1);
	assert_output("shop: app=web");
	assert_output("198.51.100.0/24");
	assert_output("TCP/443");
	assert_output("drop: no-gateway (office)");
	assert_output("Allow as 203.0.113.10 of office");
	assert_int_equal(ctl("diff p/b.yaml p --pod shop/x --labels app=db"), 0);
	assert_int_equal(ctl("diff p/b.yaml p --pod shop/x --labels app=web"), 1);
	assert_output("shop/x");
	assert_int_equal(ctl("diff p/b.yaml p --labels app=web"), 2);
	assert_int_equal(ctl("diff p/b.yaml p/none"), 2);
}

/* Ten chains of nested prefixes, and for each of them ports of its own. */
static char *too_large(void)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs("apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: huge, "
	      "namespace: shop}\nspec:\n  subject: {podSelector: {}}\n  rules:\n",
	      f);
	for (int i = 0; i < 240; i++) {
		fprintf(f, "  - {action: Allow, to: [{cidr: %d.0.0.0/%d}], ports: [", 20 + i / 24,
			8 + i % 24);
		for (int k = i * 64; k < i * 64 + 64; k++)
			fprintf(f, "%s{protocol: TCP, port: %d, endPort: %d}", k % 64 ? ", " : "",
				k * 4 + 1, k * 4 + 2);
		fputs("]}\n", f);
	}
	fclose(f);
	return text;
}

static void what_is_too_large_is_said_with_its_limit_and_what_to_do(void **state)
{
	static const char *const asks[] = {"explain -n shop web 20.0.0.1",
					   "explain -n shop web 20.0.0.1:443",
					   "explain -n shop web 20.0.0.1 --labels a=b -o json",
					   "diff p/a.yaml p --pod shop/web"};
	__cleanup_free char *text = too_large();

	put("a.yaml", GATEWAY);
	put("huge.yaml", text);
	for (size_t i = 0; i < sizeof(asks) / sizeof(*asks); i++) {
		assert_int_equal(ctl(asks[i]), i == 3 ? 2 : 1);
		assert_output("shop/web: too many combinations of destinations and ports: the "
			      "rules (240 of 240 in EgressPolicy shop/huge) make more than the "
			      "262144 ranges of ports that a pod can have; let fewer prefixes "
			      "overlap");
		assert_null(strstr(run_output, "Argument list too long"));
	}
	assert_int_equal(ctl("lint"), 1);
	assert_output("too many combinations of destinations and ports");
}

/* ---- support-bundle ---- */

#define CONFLIST                                                                                \
	"{\"cniVersion\": \"1.0.0\", \"name\": \"c\", \"plugins\": [{\"type\": \"calico\", "    \
	"\"k8s_auth_token\": \"SECRET-1-calico\", \"kept\": \"kept-1\", \"policy\": "           \
	"{\"password\": \"SECRET-2 with \\\"quotes\\\" SECRET-3\", \"etcd_key\": \"-----BEGIN " \
	"EC PRIVATE KEY-----\\nSECRET-4\\n-----END EC PRIVATE KEY-----\\n\"}}, "                \
	"{\"type\": \"sluice\", \"logFile\": \"plugin.log\", \"tokens\": 5, \"tokenFile\": "    \
	"\"/kept-2\", \"x\": \"{\\\"token\\\":\\\"SECRET-5\\\",\\\"kept\\\":\\\"kept-3\\\"}\"}]}"

static void everything_that_is_secret_is_planted(void)
{
	__cleanup_free char *config = mem_printf(
		"gatewayKeyFile: %s/key\nkubeconfig: %s/kubeconfig\n"
		"cniConfDir: %s/n\n",
		run_folder, run_folder, run_folder);

	assert_int_equal(run_shell("mkdir n"), 0);
	run_put("config.yaml", config);
	run_put("key", "SECRET-6-gateway-key\n");
	run_put("token", "SECRET-7-of-a-file\n");
	run_put("kubeconfig", "users:\n- name: u\n  user:\n    token: SECRET-8-kubeconfig\n"
			      "    client-key-data: SECRET-9-key-data\n");
	run_put("n/10-c.conflist", CONFLIST);
	run_put("plugin.log",
		"level=info token=SECRET-10 next=kept-4\nGET / Authorization: Bearer SECRET-11\n"
		"url=https://me:SECRET-12@host/kept-5 SECRET-6-gateway-key SECRET-8-kubeconfig "
		"kept-6\n"
		"eyJhbGciOiJSUzI1NiJ9.eyJTRUNSRVQtMTMiOiJ4In0.c2lnbmF0dXJl kept-7\n"
		"-----BEGIN PRIVATE KEY-----\nSECRET-14\n-----END PRIVATE KEY-----\nkept-8\n");
	put("a.yaml", GATEWAY "# password: SECRET-15\n");
	put("b.yaml", "a:\n  secret: |\n    SECRET-16\n\n    SECRET-17\n  kept: kept-9\n"
		      "b: {token: SECRET-18, kept: kept-10}\nc: {passphrase: 'SECRET-19'}\n");
}

static void a_support_bundle_has_no_secret_and_all_the_rest(void **state)
{
	static const char *const kept[] = {"kept-1", "kept-2",	"kept-3", "kept-4",
					   "kept-5", "kept-6",	"kept-7", "kept-8",
					   "kept-9", "kept-10", "office", "\"tokens\": 5"};

	everything_that_is_secret_is_planted();
	run_shell("sed -i \"s|plugin.log|$PWD/plugin.log|\" n/10-c.conflist");
	assert_int_equal(ctl("support-bundle out.tar.gz --config config.yaml"), 0);
	assert_output("status.json                  not read: sluicectl: sluiced does not answer");
	assert_output("out.tar.gz\n");
	assert_int_equal(ctl("support-bundle out.tar.gz --config config.yaml"), 1); /* is there */
	assert_int_equal(run_shell("%s support-bundle j.tar.gz -o json 2>/dev/null | jq -r "
				   "'.file, .contents[-1].name'",
				   run_program("sluicectl")),
			 0);
	assert_string_equal(run_output, "j.tar.gz\ncontents.json\n");
	assert_int_equal(run_shell("mkdir x && tar -C x --strip-components=1 -xzf out.tar.gz"), 0);
	if (run_shell("grep -rE 'SECRET|eyJhbG' x") != 1)
		fail_msg("%s", run_output);
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		__cleanup_free char *grep = mem_printf("grep -rqF '%s' x", kept[i]);

		if (run_shell("%s", grep) != 0)
			fail_msg("no %s", kept[i]);
	}
	run_shell("for f in x/*.json x/net.d/*; do jq . $f >/dev/null || echo $f: no JSON; done; "
		  "jq -r '.[] | select(.missing).name' x/contents.json");
	assert_null(strstr(run_output, "no JSON"));
	assert_output("status.json");
}

/* A program that the bundle asks breaks it off, as somebody at the keyboard would. */
static void a_support_bundle_that_is_broken_off_leaves_no_file(void **state)
{
	static const char *const signals[] = {"INT", "TERM", "HUP"};

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		__cleanup_free char *nft = mem_printf("#!/bin/sh\nkill -%s $PPID\n", signals[i]);

		run_put("nft", nft);
		run_shell("chmod +x nft; PATH=$PWD:$PATH %s support-bundle out.tar.gz; echo ends "
			  "with $?; ls",
			  run_program("sluicectl"));
		assert_output("machine.json"); /* it had begun */
		assert_null(strstr(run_output, "ends with 0"));
		assert_null(strstr(run_output, "out.tar.gz"));
	}
	/* what nohup has it ignore it ignores */
	assert_int_equal(run_shell("trap '' HUP; PATH=$PWD:$PATH %s support-bundle out.tar.gz; ls",
				   run_program("sluicectl")),
			 0);
	assert_output("out.tar.gz");
}

/* One of each feature, beside the sources: as the README says, they are accepted. */
static void the_samples_are_accepted(void **state)
{
	__cleanup_free char *root = mem_strdup(run_program("sluicectl")), *args = NULL,
			    *lint = NULL;

	*strstr(root, "/build/") = 0;
	args = mem_printf("check-config %s/conf/samples", root);
	assert_int_equal(ctl(args), 0);
	assert_null(strstr(run_output, "warning"));
	lint = mem_printf("lint --strict %s/conf/samples", root);
	if (ctl(lint) != 0)
		fail_msg("%s", run_output);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, folder_make, run_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(explain_names_winner_losers_address_and_owner),
		TEST(explain_without_a_port_tells_each_range),
		TEST(explain_takes_labels_from_the_pod_object),
		TEST(json_is_json),
		TEST(an_answer_that_cannot_be_written_is_said),
		TEST(an_invalid_folder_is_said_by_explain),
		TEST(init_writes_files_that_check_config_accepts),
		TEST(wrong_use_ends_with_2),
		TEST(every_verb_has_help_that_fits_a_terminal),
		TEST(without_a_daemon_status_fails_and_says_so),
		TEST(policies_stand_in_the_order_in_which_they_are_asked),
		TEST(what_is_written_wrong_is_answered_by_what_is_near),
		TEST(lint_tells_what_is_surely_not_meant),
		TEST(diff_tells_which_decisions_change),
		TEST(what_is_too_large_is_said_with_its_limit_and_what_to_do),
		TEST(a_support_bundle_has_no_secret_and_all_the_rest),
		TEST(a_support_bundle_that_is_broken_off_leaves_no_file),
		TEST(the_samples_are_accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
