/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config/daemon_conf.h"

static int load(struct daemon_conf *c, const char *text, struct err *e)
{
	char path[] = "/tmp/sluice-conf-XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	r = daemon_conf_load(c, path, e);
	unlink(path);
	return r;
}

static void an_empty_file_changes_nothing(void **state)
{
	struct daemon_conf c;
	char host[256];

	gethostname(host, sizeof(host));
	daemon_conf_init(&c);
	assert_int_equal(load(&c, "# nothing\n", NULL), 0);
	assert_string_equal(c.node_name, host);
	assert_string_equal(c.state_dir, CONF_STATE_DIR);
	assert_int_equal(c.log_level, LOG_LEVEL_INFO);
	daemon_conf_done(&c);
}

static void reads_every_key(void **state)
{
	struct daemon_conf c;
	struct err e = {0};

	daemon_conf_init(&c);
	if (load(&c,
		 "nodeName: n1\npolicyDir: /p\nstateDir: /s\nrunDir: /r\nbpffs: /b\n"
		 "clusterCIDRs: [10.244.0.0/16, 'fd00:10::/32']\n"
		 "sourceCheckExemptNamespaces:\n- vms\ncniConfDir: /n\ncniBinDir: /c\n"
		 "cniEntry: {failureMode: open}\nnodeTaint: true\ndockerUser: "
		 "true\nmetricsAddress: "
		 "'[::1]:5347'\nlogLevel: debug\nlogFormat: "
		 "json\n",
		 &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(c.node_name, "n1");
	assert_string_equal(c.policy_dir, "/p");
	assert_string_equal(c.bpffs, "/b");
	assert_string_equal(c.cni_conf_dir, "/n");
	assert_string_equal(c.cni_bin_dir, "/c");
	assert_non_null(c.cni_entry);
	assert_true(c.node_taint);
	assert_true(c.docker_user);
	assert_int_equal(c.metrics_port, 5347);
	assert_string_equal(addr_str(c.metrics_addr), "::1");
	assert_int_equal(c.n_cluster_cidrs, 2);
	assert_string_equal(cidr_str(c.cluster_cidrs[1]), "fd00:10::/32");
	assert_int_equal(c.n_source_exempt, 1);
	assert_int_equal(c.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c.log_format, LOG_FORMAT_JSON);
	daemon_conf_done(&c);
}

static void says_where_it_is_wrong(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{"nodename: x\n", "line 1: unknown key 'nodename'"},
		{"\nstateDir: var/lib\n", "line 2"},
		{"clusterCIDRs: [10.0.0.1/8]\n", "host bits"},
		{"clusterCIDRs: 10.0.0.0/8\n", "clusterCIDRs"},
		{"logLevel: loud\n", "logLevel 'loud'"},
		{"logLevel: \"l\\noud\\e[1m\"\n", "logLevel 'l?oud?[1m'"},
		{"- a\n", "expected object"},
		{"nodeName: ''\n", "empty"},
		{"cniConfDir: net.d\n", "expected an absolute path"},
		{"cniEntry: {type: bridge}\n", "cniEntry: type 'bridge': expected sluice"},
		{"cniEntry: {failureMode: 7}\n", "cniEntry: "},
		{"cniEntry: open\n", "expected object"},
		{"metricsAddress: 5347\n", "metricsAddress"},
		{"metricsAddress: localhost:5347\n", "metricsAddress: 'localhost:5347'"},
		{"nodeName: a\n---\nnodeName: b\n", "second document"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct daemon_conf c;
		struct err e = {0};
		int r;

		daemon_conf_init(&c);
		r = load(&c, rows[i].text, &e);
		daemon_conf_done(&c);
		if (r != -EINVAL || !strstr(e.msg, rows[i].words))
			fail_msg("%s: %d %s", rows[i].text, r, e.msg);
	}
}

static void metrics_have_an_address_and_a_port(void **state)
{
	static const struct {
		const char *text, *addr; /* NULL: refused */
		uint16_t port;
	} rows[] = {
		{"127.0.0.1:5347", "127.0.0.1", 5347},
		{"[127.0.0.1]:80", "127.0.0.1", 80},
		{"[fd00::1]:65535", "fd00::1", 65535},
		{":1", "::", 1},
		{"0.0.0.0:9100", "0.0.0.0", 9100},
		{"", NULL, 0},
		{"5347", NULL, 0},
		{":", NULL, 0},
		{":0", NULL, 0},
		{":65536", NULL, 0},
		{":-1", NULL, 0},
		{":+1", NULL, 0},
		{": 1", NULL, 0},
		{":1x", NULL, 0},
		{"fd00::1:5347", NULL, 0},
		{"[fd00::1:5347", NULL, 0},
		{"[]:5347", NULL, 0},
		{"localhost:5347", NULL, 0},
		{"10.0.0.0/8:5347", NULL, 0},
		{"1111111111111111111111111111111111111111111111111111111111111:1", NULL, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct daemon_conf c = {0};
		struct err e = {0};
		int r = daemon_conf_metrics(&c, rows[i].text, &e);

		if (r != (rows[i].addr ? 0 : -EINVAL) || c.metrics_port != rows[i].port ||
		    (rows[i].addr && strcmp(addr_str(c.metrics_addr), rows[i].addr) != 0))
			fail_msg("%s: %d %s", rows[i].text, r, e.msg);
	}
}

static void a_missing_file_is_an_error(void **state)
{
	struct daemon_conf c;

	daemon_conf_init(&c);
	assert_int_equal(daemon_conf_load(&c, "/nonexistent/sluiced.yaml", NULL), -ENOENT);
	daemon_conf_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_changes_nothing),
		cmocka_unit_test(reads_every_key),
		cmocka_unit_test(says_where_it_is_wrong),
		cmocka_unit_test(metrics_have_an_address_and_a_port),
		cmocka_unit_test(a_missing_file_is_an_error),
	};

	return cmocka_run_group_tests_name("config/daemon_conf", tests, NULL, NULL);
}
