/* SPDX-License-Identifier: Apache-2.0 */
#include "source/kube_conf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "testkit/netns_fixture.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static char dir[64];
static struct kube_conf conf;
static struct err e;

static int start(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/kube-conf-test-XXXXXX");
	unsetenv("KUBERNETES_SERVICE_HOST");
	unsetenv("KUBERNETES_SERVICE_PORT");
	return mkdtemp(dir) ? 0 : -1;
}

static int stop(void **state)
{
	kube_conf_done(&conf);
	sh("rm -rf %s", dir);
	return 0;
}

static void write_file(const char *name, const char *text)
{
	__cleanup_free char *path = mem_printf("%s/%s", dir, name);
	__cleanup_file FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static int load(const char *text)
{
	__cleanup_free char *path = mem_printf("%s/config", dir);

	kube_conf_done(&conf);
	e = (struct err){0};
	write_file("config", text);
	return kube_conf_load(path, &conf, &e);
}

#define CONTEXT                  \
	"current-context: lab\n" \
	"contexts: [{name: other}, {name: lab, context: {cluster: c, user: u}}]\n"
#define CLUSTER(rest) "clusters: [{name: c, cluster: {" rest "}}]\n"
#define USER(rest)    "users: [{name: u, user: {" rest "}}]\n"
#define PEM_BASE64    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="
#define PEM	      "-----BEGIN CERTIFICATE-----\n"

static void a_kubeconfig_says_where_whom_and_who(void **state)
{
	expect_ok(load("apiVersion: v1\nkind: Config\npreferences: {}\n"
		       "current-context: lab\ncontexts:\n- name: lab\n"
		       "  context: {cluster: c, user: u, namespace: shop}\n" CLUSTER(
			       "server: 'https://10.0.0.1:6443/k/', certificate-authority-data: "
			       "'" PEM_BASE64 "', tls-server-name: kubernetes, proxy-url: '', "
			       "insecure-skip-tls-verify: false") USER("token: abc")),
		  &e);
	assert_string_equal(conf.server, "https://10.0.0.1:6443/k");
	assert_string_equal(conf.tls_name, "kubernetes");
	assert_string_equal(conf.namespace, "shop");
	assert_string_equal(conf.token, "abc");
	assert_int_equal(conf.ca.len, strlen(PEM));
	assert_memory_equal(conf.ca.data, PEM, strlen(PEM));
	assert_null(conf.ca.file);
	assert_null(conf.cert.data);
}

static void files_stand_beside_the_kubeconfig(void **state)
{
	__cleanup_free char *ca = mem_printf("%s/pki/ca.crt", dir);
	__cleanup_free char *key = mem_printf("%s/../k", dir);

	expect_ok(load(CONTEXT CLUSTER("server: 'https://[fd00::1]:6443', certificate-authority: "
				       "pki/ca.crt") USER("client-certificate: /etc/c, client-key: "
							  "../k, tokenFile: t")),
		  &e);
	assert_string_equal(conf.ca.file, ca);
	assert_string_equal(conf.cert.file, "/etc/c");
	assert_string_equal(conf.key.file, key);
	assert_string_equal(conf.namespace, "default");
}

static void data_wins_over_a_file_and_nobody_is_somebody(void **state)
{
	expect_ok(load(CONTEXT CLUSTER("server: 'HTTPS://a', certificate-authority: x, "
				       "certificate-authority-data: '" PEM_BASE64 "'") USER("")),
		  &e);
	assert_null(conf.ca.file);
	assert_non_null(conf.ca.data);
	assert_null(conf.token);
	expect_ok(load("current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n" CLUSTER(
			  "server: 'https://a'")),
		  &e);
}

static void what_is_not_done_is_refused_with_what_to_write_instead(void **state)
{
	static const struct {
		const char *text, *words[3];
	} cases[] = {
		{CONTEXT CLUSTER("server: 'https://a'") USER("exec: {command: aws}"),
		 {"users[0].user.exec", "plug-ins are not run", "give a token"}},
		{CONTEXT CLUSTER("server: 'https://a'") USER("auth-provider: {name: gcp}"),
		 {"users[0].user.auth-provider", "plug-ins are not run", "tokenFile"}},
		{CONTEXT CLUSTER("server: 'https://a'") USER("username: me, password: x"),
		 {"username", "no passwords", "token"}},
		{CONTEXT CLUSTER("server: 'https://a'") USER("token: x, as: root"),
		 {"users[0].user.as", "impersonation", "itself"}},
		{CONTEXT CLUSTER("server: 'https://a', insecure-skip-tls-verify: true") USER(""),
		 {"clusters[0].cluster.insecure-skip-tls-verify", "give the cluster's CA", ""}},
		{CONTEXT CLUSTER("server: 'https://a', proxy-url: 'http://p'") USER(""),
		 {"proxy-url", "reached directly", ""}},
		{CONTEXT CLUSTER("server: 'http://127.0.0.1:8080'") USER(""),
		 {"server http://127.0.0.1:8080", "only https://", ""}},
		{CONTEXT CLUSTER("server: 'https://me:x@a'") USER(""), {"user", "no place", ""}},
		{CONTEXT CLUSTER("server: 'https://a?x'") USER(""), {"query", "no place", ""}},
		{CONTEXT CLUSTER("server: 'https://'") USER(""), {"not a URL", "", ""}},
		{CONTEXT CLUSTER("") USER(""), {"clusters[0].cluster.server", "missing", ""}},
		{CONTEXT CLUSTER("server: 'https://a', certificate-authority-data: 'a-b'") USER(""),
		 {"certificate-authority-data", "not base64", ""}},
		{CONTEXT CLUSTER("server: 'https://a', certificate-authority-data: 'YWJj'")
			 USER(""),
		 {"certificate-authority-data", "no PEM", ""}},
		{CONTEXT CLUSTER("server: 'https://a'") USER("client-key: k"),
		 {"client-certificate and client-key go together", "", ""}},
		{CONTEXT CLUSTER("server: 'https://a'") USER("token: 12"),
		 {"users[0].user.token", "expected string", ""}},
		{CONTEXT CLUSTER("server: 'https://a'") USER("token: \"a\\r\\nX: y\""),
		 {"users[0].user.token", "more than one word", ""}},
		{CONTEXT CLUSTER("server: 'https://a'"), {"users", "none is called \"u\"", ""}},
		{CONTEXT USER(""), {"clusters", "none is called \"c\"", ""}},
		{CLUSTER("server: 'https://a'"), {"current-context: missing", "contexts", ""}},
		{"current-context: x\n" CLUSTER("server: 'https://a'"),
		 {"none is called \"x\"", "", ""}},
		{CONTEXT "---\n{}\n", {"a second document", "", ""}},
		{"[]", {"expected object", "", ""}},
		{"", {"line 1", "", ""}},
		{"a: [", {"line ", "", ""}},
	};

	for (size_t i = 0; i < N(cases); i++) {
		int r = load(cases[i].text);

		/* the first six are good for others */
		if (r != (i < 6 ? -EOPNOTSUPP : -EINVAL))
			fail_msg("%s: %d %s", cases[i].text, r, e.msg);
		assert_non_null(strstr(e.msg, dir));
		for (size_t n = 0; n < 3; n++)
			if (!strstr(e.msg, cases[i].words[n]))
				fail_msg("%s: not \"%s\" in: %s", cases[i].text, cases[i].words[n],
					 e.msg);
	}
	expect_rc(kube_conf_load("/nowhere/config", &conf, &e), -ENOENT, &e);
	assert_non_null(strstr(e.msg, "/nowhere/config"));
}

static void base64_is_taken_with_its_line_breaks_and_nothing_else(void **state)
{
	static const struct {
		const char *data;
		bool ok;
	} cases[] = {
		{"LS0tLS1CRUdJTiA=", true},	 {"LS0tLS1C\\nRUdJTiA=", true},
		{"LS0tLS1CRUdJTiAg", true},	 {"LS0tLS1CRUdJTiA", false},
		{"LS0tLS1CRUdJTi=A", false},	 {"LS0tLS1CRUdJTiA=LS0t", false},
		{"LS0tLS1CRUdJTiA====", false},	 {"=", false},
		{"LS0tLS1CRUdJTiA=====", false}, {"LS0tLS1CRUdJTiAgICA-", false},
	};

	for (size_t i = 0; i < N(cases); i++) {
		__cleanup_free char *text = mem_printf(
			CONTEXT "clusters: [{name: c, cluster: {server: 'https://a', "
				"certificate-authority-data: \"%s\"}}]\n" USER(""),
			cases[i].data);
		int r = load(text);

		if (cases[i].ok ? r != 0 : r != -EINVAL)
			fail_msg("%s: %d %s", cases[i].data, r, e.msg);
	}
}

static void a_pod_finds_all_in_its_folder(void **state)
{
	__cleanup_free char *ca = mem_printf("%s/ca.crt", dir);

	expect_rc(kube_conf_load_pod(dir, &conf, &e), -ENOENT, &e);
	assert_non_null(strstr(e.msg, "not in a pod?"));
	setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	expect_rc(kube_conf_load_pod(dir, &conf, &e), -ENOENT, &e);
	assert_non_null(strstr(e.msg, "/token"));
	write_file("token", "eyJ.x\n");
	expect_ok(kube_conf_load_pod(dir, &conf, &e), &e);
	assert_string_equal(conf.server, "https://10.96.0.1:443");
	assert_string_equal(conf.ca.file, ca);
	assert_string_equal(conf.namespace, "default");
	kube_conf_done(&conf);
	write_file("namespace", "sluice-system");
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	expect_ok(kube_conf_load_pod(dir, &conf, &e), &e);
	assert_string_equal(conf.server, "https://[fd00::1]:443");
	assert_string_equal(conf.namespace, "sluice-system");
}

static void a_token_file_is_read_each_time(void **state)
{
	__cleanup_free char *first = NULL, *second = NULL, *third = NULL;

	expect_ok(load(CONTEXT CLUSTER("server: 'https://a'") USER("token: old, tokenFile: t")),
		  &e);
	expect_rc(kube_conf_token(&conf, &first, &e), -ENOENT, &e);
	assert_null(first);
	write_file("t", "one\n");
	expect_ok(kube_conf_token(&conf, &first, &e), &e);
	assert_string_equal(first, "one");
	write_file("t", "two");
	expect_ok(kube_conf_token(&conf, &second, &e), &e);
	assert_string_equal(second, "two");
	write_file("t", "two\r\nX-Header: y\n");
	expect_rc(kube_conf_token(&conf, &third, &e), -EINVAL, &e);
	assert_non_null(strstr(e.msg, "/t: more than one word"));
	write_file("t", "\n");
	expect_rc(kube_conf_token(&conf, &third, &e), -EINVAL, &e);
}

static void several_kubeconfigs_count_as_one(void **state)
{
	__cleanup_free char *both = mem_printf("%s/one:%s/none:%s/sub", dir, dir, dir);
	__cleanup_free char *none = mem_printf("%s/none", dir);
	__cleanup_free char *ca = mem_printf("%s/ca", dir);

	write_file("one", "contexts: [{name: a, context: {cluster: c, user: u}},\n"
			  "{name: b, context: {cluster: d, user: u, namespace: shop}}]\n"
			  "clusters: [{name: c, cluster: {server: 'https://c'}}]\n");
	write_file("sub", "current-context: a\n"
			  "contexts: [{name: a, context: {cluster: d}}]\n"
			  "clusters: [{name: c, cluster: {server: 'https://x'}},\n"
			  "{name: d, cluster: {server: 'https://d', certificate-authority: ca}}]\n"
			  "users: [{name: u, user: {token: t}}]\n");
	kube_conf_done(&conf);
	expect_ok(kube_conf_load_context(both, NULL, &conf, &e), &e);
	assert_string_equal(conf.server, "https://c");
	assert_string_equal(conf.token, "t");
	assert_string_equal(conf.namespace, "default");
	kube_conf_done(&conf);
	expect_ok(kube_conf_load_context(both, "b", &conf, &e), &e);
	assert_string_equal(conf.server, "https://d");
	assert_string_equal(conf.ca.file, ca);
	assert_string_equal(conf.namespace, "shop");
	kube_conf_done(&conf);
	expect_rc(kube_conf_load_context(both, "z", &conf, &e), -EINVAL, &e);
	assert_non_null(strstr(e.msg, "none is called \"z\""));
	expect_rc(kube_conf_load_context(none, NULL, &conf, &e), -ENOENT, &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_kubeconfig_says_where_whom_and_who, start, stop),
		cmocka_unit_test_setup_teardown(files_stand_beside_the_kubeconfig, start, stop),
		cmocka_unit_test_setup_teardown(data_wins_over_a_file_and_nobody_is_somebody, start,
						stop),
		cmocka_unit_test_setup_teardown(
			what_is_not_done_is_refused_with_what_to_write_instead, start, stop),
		cmocka_unit_test_setup_teardown(
			base64_is_taken_with_its_line_breaks_and_nothing_else, start, stop),
		cmocka_unit_test_setup_teardown(several_kubeconfigs_count_as_one, start, stop),
		cmocka_unit_test_setup_teardown(a_pod_finds_all_in_its_folder, start, stop),
		cmocka_unit_test_setup_teardown(a_token_file_is_read_each_time, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
