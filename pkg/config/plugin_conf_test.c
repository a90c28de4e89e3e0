/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "config/daemon_conf.h"
#include "config/plugin_conf.h"

static int parse(const char *text, struct plugin_conf **ret, struct err *e)
{
	__cleanup_json struct json *j = NULL;

	assert_int_equal(json_parse(text, strlen(text), &j, e), 0);
	return plugin_conf_parse(j, ret, e);
}

static void everything_has_a_default(void **state)
{
	struct plugin_conf *c = NULL;

	assert_int_equal(parse("{\"type\":\"sluice\",\"stateDir\":null}", &c, NULL), 0);
	assert_string_equal(c->state_dir, CONF_STATE_DIR);
	assert_string_equal(c->run_dir, CONF_RUN_DIR);
	assert_string_equal(c->bpffs, CONF_BPFFS);
	assert_string_equal(c->policy_dir, CONF_POLICY_DIR);
	assert_int_equal(c->n_exempt_namespaces, 1);
	assert_string_equal(c->exempt_namespaces[0], "kube-system");
	assert_false(c->fail_open);
	assert_null(c->log_file);
	assert_null(c->sluiced);
	assert_null(c->namespace);
	assert_null(c->pod_labels);
	assert_null(c->annotations);
	plugin_conf_free(c);
}

static void keys_match_in_any_case_and_foreign_ones_are_left_alone(void **state)
{
	struct plugin_conf *c = NULL;

	assert_int_equal(parse("{\"STATEDIR\":\"/s\",\"failuremode\":\"open\",\"other\":7,"
			       "\"capabilities\":{\"bandwidth\":true},\"exemptNamespaces\":[]}",
			       &c, NULL),
			 0);
	assert_string_equal(c->state_dir, "/s");
	assert_true(c->fail_open);
	assert_int_equal(c->n_exempt_namespaces, 0);
	plugin_conf_free(c);
}

static void the_nearest_label_wins(void **state)
{
	static const char text[] =
		"{\"podLabels\":{\"a\":\"1\",\"b\":\"1\",\"c\":\"1\"},"
		"\"args\":{\"cni\":{\"podLabels\":{\"b\":\"2\",\"c\":\"2\"}}},"
		"\"runtimeConfig\":{\"PodLabels\":{\"c\":\"3\"},"
		"\"io.kubernetes.cri.pod-annotations\":{\"x\":\"{\\\"y\\\":1}\"}}}";
	struct plugin_conf *c = NULL;
	__cleanup_free char *labels = NULL;

	assert_int_equal(parse(text, &c, NULL), 0);
	labels = json_emit(c->pod_labels, 0);
	assert_string_equal(labels, "{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}");
	assert_int_equal(json_len(c->annotations), 1);
	plugin_conf_free(c);
}

static void names_what_it_refuses(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *words;
	} rows[] = {
		{"{\"failureMode\":\"maybe\"}", -EOPNOTSUPP, "'failureMode' value 'maybe'"},
		{"{\"logLevel\":\"loud\"}", -EOPNOTSUPP, "'logLevel' value 'loud'"},
		{"{\"failureMode\":true}", -EINVAL, "failureMode"},
		{"{\"stateDir\":\"var\"}", -EINVAL, "'stateDir' value 'var'"},
		{"{\"stateDir\":7}", -EINVAL, "stateDir"},
		{"{\"exemptNamespaces\":\"a\"}", -EINVAL, "exemptNamespaces"},
		{"{\"exemptNamespaces\":[1]}", -EINVAL, "exemptNamespaces[0]"},
		{"{\"podLabels\":{\"a\":1}}", -EINVAL, "podLabels.a"},
		{"{\"podLabels\":[]}", -EINVAL, "podLabels"},
		{"{\"args\":{\"cni\":[]}}", -EINVAL, "args.cni"},
		{"{\"runtimeConfig\":{\"podLabels\":{\"a\":null}}}", -EINVAL, "podLabels.a"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct plugin_conf *c = NULL;
		struct err e = {0};
		int r = parse(rows[i].text, &c, &e);

		if (r != rows[i].code || !strstr(e.msg, rows[i].words))
			fail_msg("%s: %d %s", rows[i].text, r, e.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_has_a_default),
		cmocka_unit_test(keys_match_in_any_case_and_foreign_ones_are_left_alone),
		cmocka_unit_test(the_nearest_label_wins),
		cmocka_unit_test(names_what_it_refuses),
	};

	return cmocka_run_group_tests_name("config/plugin_conf", tests, NULL, NULL);
}
