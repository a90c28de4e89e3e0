/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#include "options.c" /* a program is in no library; and the table is static */

#define ARGC(argv) ((int)(sizeof(argv) / sizeof((argv)[0])) - 1)

static char *arg(const char *s)
{
	static char ring[16][256];
	static size_t at;
	char *p = ring[at++ % 16];

	snprintf(p, sizeof(ring[0]), "%s", s);
	return p;
}

static void has_defaults_that_work(void **state)
{
	char *argv[] = {arg("sluiced"), NULL};
	struct options o = {0};
	struct err e = {0};

	assert_int_equal(options_parse(&o, ARGC(argv), argv, &e), 0);
	assert_int_equal(o.mode, MODE_RUN);
	assert_string_equal(o.conf.policy_dir, CONF_POLICY_DIR);
	assert_string_equal(o.conf.bpffs, CONF_BPFFS);
	assert_true(strlen(o.conf.node_name) > 0);
	assert_int_equal(o.conf.metrics_port, 0);
	options_done(&o);
}

static void lets_the_command_line_override_the_file(void **state)
{
	char path[] = "/tmp/options_test.XXXXXX";
	int fd = mkstemp(path);
	const char *text = "nodeName: from-file\npolicyDir: /file\nclusterCIDRs: [10.1.0.0/16]\n";
	char *argv[] = {arg("sluiced"),
			arg("--node-name"),
			arg("n1"),
			arg("--config"),
			arg(path),
			arg("--cluster-cidr"),
			arg("10.2.0.0/16"),
			arg("--cluster-cidr"),
			arg("fd00::/16"),
			arg("--log-level"),
			arg("debug"),
			arg("--once"),
			NULL};
	struct options o = {0};
	struct err e = {0};

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(options_parse(&o, ARGC(argv), argv, &e), 0);
	unlink(path);
	assert_int_equal(o.mode, MODE_ONCE);
	assert_string_equal(o.conf.node_name, "n1");
	assert_string_equal(o.conf.policy_dir, "/file");
	assert_int_equal(o.conf.n_cluster_cidrs, 2);
	assert_string_equal(cidr_str(o.conf.cluster_cidrs[0]), "10.2.0.0/16");
	assert_int_equal(o.conf.log_level, LOG_LEVEL_DEBUG);
	options_done(&o);
}

static void refuses_what_it_does_not_understand(void **state)
{
	static const struct {
		const char *arg, *value, *message;
	} rows[] = {
		{"--frobnicate", NULL, "--frobnicate"},
		{"extra", NULL, "unexpected argument 'extra'"},
		{"--node-name", NULL, "needs a value"},
		{"--node-name", "", "--node-name: empty"},
		{"--policy-dir", "relative", "expected an absolute path"},
		{"--state-dir", "", "expected an absolute path"},
		{"--cluster-cidr", "10.0.0.1/8", "--cluster-cidr '10.0.0.1/8': host bits"},
		{"--cluster-cidr", "x", "--cluster-cidr 'x'"},
		{"--metrics-address", "localhost:80", "--metrics-address: 'localhost:80'"},
		{"--log-level", "loud", "expected error, warn, info or debug"},
		{"--log-format", "xml", "expected logfmt or json"},
		{"--config", "/nonexistent/sluiced.yaml", "/nonexistent/sluiced.yaml"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *argv[] = {arg("sluiced"), arg(rows[i].arg),
				rows[i].value ? arg(rows[i].value) : NULL, NULL};
		struct options o = {0};
		struct err e = {0};

		assert_true(options_parse(&o, rows[i].value ? 3 : 2, argv, &e) < 0);
		if (!strstr(e.msg, rows[i].message))
			fail_msg("%s: '%s' is not in '%s'", rows[i].arg, rows[i].message, e.msg);
		options_done(&o);
	}
}

static void mentions_every_option_in_its_help(void **state)
{
	for (size_t i = 0; long_options[i].name; i++) {
		__cleanup_free char *text = mem_printf("--%s", long_options[i].name);

		assert_non_null(strstr(options_help, text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_defaults_that_work),
		cmocka_unit_test(lets_the_command_line_override_the_file),
		cmocka_unit_test(refuses_what_it_does_not_understand),
		cmocka_unit_test(mentions_every_option_in_its_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
