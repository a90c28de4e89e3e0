/* SPDX-License-Identifier: Apache-2.0 */
/* The shell around the pure core: a folder of lists, a folder of plugins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/version.h"
#include "install/folder.h"
#include "install/install.h"
#include "install/lists_fixture.h"
#include "install/program.h"
#include "testkit/netns_fixture.h"

/* The kernel cannot open a program for reading: no descriptor, say. */
static bool unreadable;

int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (unreadable && strstr(path, "/bin/sluice")) {
		errno = EMFILE;
		return -1;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static char dir[64];
static struct daemon_conf conf;
static struct err e;

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/install-test-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	sh("mkdir %s/net.d", dir);
	daemon_conf_init(&conf);
	conf.cni_conf_dir = mem_printf("%s/net.d", dir);
	free(conf.cni_bin_dir);
	conf.cni_bin_dir = mem_printf("%s/bin", dir);
	e = (struct err){0};
	return 0;
}

static int teardown(void **state)
{
	daemon_conf_done(&conf);
	sh("rm -rf %s", dir);
	return 0;
}

static void put(const char *name, const char *text)
{
	__cleanup_free char *path = mem_printf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void install(const char *main, bool written)
{
	struct install_report r;

	expect_ok(install_chain(&conf, false, &r, &e), &e);
	assert_string_equal(r.main, main);
	assert_int_equal(r.text != NULL, written);
	free(r.text);
}

static void expect_verdict(bool in_force, const char *reason)
{
	struct chain_verdict v;

	install_in_force(&conf, &v);
	if (v.in_force != in_force || strcmp(v.reason, reason) != 0)
		fail_msg("%d %s: %s", v.in_force, v.reason, v.message);
}

static void plugin_put(const char *version)
{
	__cleanup_free char *text = mem_printf("#!/bin/true\n" VERSION_MARK "%s", version);

	sh("mkdir -p %s/bin", dir);
	put("bin/sluice", text);
	sh("chmod 755 %s/bin/sluice", dir);
}

static void a_chain_is_in_force_when_list_and_plugin_are_there(void **state)
{
	put("net.d/10-flannel.conflist", FLANNEL);
	expect_verdict(false, "Missing");
	install("10-flannel.conflist", true);
	install("10-flannel.conflist", false);
	expect_verdict(false, "PluginMissing");
	plugin_put("v0.0.1-other");
	expect_verdict(false, "PluginVersion");
	sh("rm %s/bin/sluice", dir);
	plugin_put(SLUICE_VERSION);
	expect_verdict(true, "InForce");
	sh("chmod 644 %s/bin/sluice", dir);
	expect_verdict(false, "PluginMissing");
	sh("rm -r %s/net.d", dir);
	expect_verdict(false, "NoConfiguration");
	assert_int_equal(install_chain(&conf, false, &(struct install_report){0}, &e), -ENOENT);
	assert_non_null(strstr(e.msg, conf.cni_conf_dir));
}

static void a_plugin_that_could_not_be_read_once_is_read_again(void **state)
{
	put("net.d/10-flannel.conflist", FLANNEL);
	install("10-flannel.conflist", true);
	plugin_put(SLUICE_VERSION);
	unreadable = true;
	expect_verdict(false, "PluginVersion");
	unreadable = false;
	expect_verdict(true, "InForce");
}

static void the_entry_says_where_the_daemon_works(void **state)
{
	__cleanup_json struct json *entry = NULL;
	__cleanup_free char *text = NULL;

	plugin_put(SLUICE_VERSION);
	put("net.d/10-flannel.conflist", FLANNEL);
	install("10-flannel.conflist", true);
	expect_verdict(true, "InForce");
	free(conf.state_dir);
	conf.state_dir = mem_strdup("/elsewhere");
	expect_verdict(false, "EntryElsewhere");
	entry = install_entry(&conf, "sluice-system");
	text = json_emit(entry, 0);
	assert_string_equal(text,
			    "{\"type\":\"sluice\",\"capabilities\":{\"io.kubernetes.cri.pod-"
			    "annotations\":true},\"stateDir\":\"/elsewhere\",\"exemptNamespaces"
			    "\":[\"kube-system\",\"sluice-system\"]}");
	conf.cni_entry = TAKE(entry);
	expect_verdict(false, "Stale");
	install("10-flannel.conflist", true);
	expect_verdict(true, "InForce");
}

static void a_dry_run_writes_nothing(void **state)
{
	struct install_report r;

	put("net.d/10-flannel.conflist", FLANNEL);
	expect_ok(install_chain(&conf, true, &r, &e), &e);
	assert_non_null(strstr(r.text, "\"of\": \"10-flannel.conflist\""));
	free(r.text);
	sh("test \"$(ls -A %s/net.d)\" = 10-flannel.conflist", dir);
}

static void reads_links_and_is_not_held_by_pipes_or_folders(void **state)
{
	sh("cd %s/net.d && mkdir ..1 05-folder.conflist && ln -s ..1 ..data", dir);
	sh("cd %s/net.d && ln -s ..data/10-a.conflist . && mkfifo 20-pipe.conf", dir);
	put("net.d/..1/10-a.conflist", KINDNET);
	install("10-a.conflist", true);
	sh("cd %s/net.d && mkdir ..2 && ln -s ..2 .new", dir);
	put("net.d/..2/10-a.conflist", CALICO);
	sh("mv -T %s/net.d/.new %s/net.d/..data", dir, dir);
	install("10-a.conflist", true);
	sh("grep -q calico %s/net.d/" CHAIN_FILE, dir);
	sh("ln -s nowhere %s/net.d/01-a.conflist", dir);
	install("10-a.conflist", false);
}

static void store_many(int seed)
{
	for (int i = 0; i < 100; i++) {
		__cleanup_free char *text = mem_printf("{\"name\": \"%0*d\"}", (seed + 1) * 1000,
						       i);

		if (chain_file_store(conf.cni_conf_dir, text, &e) < 0)
			_exit(1);
	}
	_exit(0);
}

/* sluiced install beside a daemon that keeps the list. */
static void several_may_write_at_once(void **state)
{
	int left = 4, status;

	expect_ok(chain_file_store(conf.cni_conf_dir, "{\"name\": \"x\"}", &e), &e);
	for (int i = 0; i < left; i++)
		if (fork() == 0)
			store_many(i);
	while (left) {
		__cleanup(chain_dir_done) struct chain_dir d = {0};
		__cleanup_json struct json *j = NULL;

		expect_ok(chain_dir_load(conf.cni_conf_dir, &d, &e), &e);
		assert_int_equal(d.n, 1);
		expect_ok(json_parse(d.files[0].text, d.files[0].len, &j, &e), &e);
		if (waitpid(-1, &status, WNOHANG) <= 0)
			continue;
		assert_int_equal(status, 0);
		left--;
	}
	sh("test \"$(ls -A %s/net.d)\" = " CHAIN_FILE, dir);
}

static void uninstalling_removes_ours_and_says_what_is_left(void **state)
{
	struct uninstall_report r;

	put("net.d/10-flannel.conflist", FLANNEL);
	install("10-flannel.conflist", true);
	put("net.d/20-hand.conflist", "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{"
				      "\"type\":\"ptp\"},{\"type\":\"sluice\"}]}");
	expect_ok(uninstall_chain(&conf, true, &r, &e), &e);
	assert_true(r.removed);
	sh("test -e %s/net.d/" CHAIN_FILE, dir);
	expect_ok(uninstall_chain(&conf, false, &r, &e), &e);
	assert_true(r.removed && !r.foreign);
	assert_string_equal(r.left, "10-flannel.conflist");
	assert_string_equal(r.named, "20-hand.conflist");
	sh("test ! -e %s/net.d/" CHAIN_FILE, dir);
	expect_ok(uninstall_chain(&conf, false, &r, &e), &e);
	assert_false(r.removed);
	put("net.d/" CHAIN_FILE, FLANNEL);
	expect_ok(uninstall_chain(&conf, false, &r, &e), &e);
	assert_true(!r.removed && r.foreign);
	sh("rm -r %s/net.d", dir);
	expect_ok(uninstall_chain(&conf, false, &r, &e), &e);
}

static void a_program_is_replaced_while_it_runs(void **state)
{
	__cleanup_free char *from = mem_printf("%s/sleep", dir);
	struct program_report r;

	sh("cp /bin/sleep %s/sleep", dir);
	expect_ok(program_install(from, conf.cni_bin_dir, "sluice", true, &r, &e), &e);
	assert_true(r.changed);
	sh("test ! -e %s/bin", dir);
	expect_ok(program_install(from, conf.cni_bin_dir, "sluice", false, &r, &e), &e);
	assert_true(r.changed && r.checksum && !*r.before);
	sh("%s/bin/sluice 30 >/dev/null 2>&1 & echo $! >%s/pid", dir, dir);
	expect_ok(program_install(from, conf.cni_bin_dir, "sluice", false, &r, &e), &e);
	assert_false(r.changed);
	sh("printf '" VERSION_MARK "v1' >>%s/sleep", dir);
	expect_ok(program_install(from, conf.cni_bin_dir, "sluice", false, &r, &e), &e);
	assert_true(r.changed);
	assert_string_equal(r.version, "v1");
	sh("kill $(cat %s/pid)", dir);
	sh("%s/bin/sluice 0", dir);
	/* its mode is mended, too; and nothing else is left in the folder */
	sh("chmod 600 %s/bin/sluice", dir);
	expect_ok(program_install(from, conf.cni_bin_dir, "sluice", false, &r, &e), &e);
	assert_true(r.changed);
	assert_string_equal(r.before, "v1");
	sh("test \"$(ls -A %s/bin)\" = sluice && test -x %s/bin/sluice", dir, dir);
	assert_int_equal(program_install("/nonexistent", conf.cni_bin_dir, "x", false, &r, &e),
			 -ENOENT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_chain_is_in_force_when_list_and_plugin_are_there),
		T(a_plugin_that_could_not_be_read_once_is_read_again),
		T(the_entry_says_where_the_daemon_works),
		T(a_dry_run_writes_nothing),
		T(reads_links_and_is_not_held_by_pipes_or_folders),
		T(several_may_write_at_once),
		T(uninstalling_removes_ours_and_says_what_is_left),
		T(a_program_is_replaced_while_it_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
