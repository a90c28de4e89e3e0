/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

#include "verbs.c" /* a program is in no library */
#include "install.c"
#include "uninstall.c"

static int parse(struct verb_options *o, const struct option *options, const char *words,
		 struct err *e)
{
	static char *argv[16];
	static char *copy;
	int argc = 0;

	free(copy);
	copy = mem_strdup(words);
	for (char *at = copy, *word; (word = strsep(&at, " "));)
		argv[argc++] = word;
	argv[argc] = NULL;
	return verb_options_parse(o, options, argc, argv, e);
}

static void has_defaults_and_takes_what_is_said(void **state)
{
	struct verb_options o = {0};
	struct err e = {0};

	assert_int_equal(parse(&o, install_options, "install", &e), 0);
	assert_string_equal(o.conf.cni_conf_dir, CONF_CNI_CONF_DIR);
	assert_string_equal(o.conf.cni_bin_dir, CONF_CNI_BIN_DIR);
	assert_false(o.dry_run || o.json || o.programs_only);
	verb_options_done(&o);
	o = (struct verb_options){0};
	assert_int_equal(parse(&o, install_options,
			       "install --conf-dir /n --bin-dir /b --dry-run -o json "
			       "--programs-only --programs sluice,sluicectl --from /f "
			       "--version-file /v",
			       &e),
			 0);
	assert_string_equal(o.conf.cni_conf_dir, "/n");
	assert_string_equal(o.conf.cni_bin_dir, "/b");
	assert_string_equal(o.programs, "sluice,sluicectl");
	assert_string_equal(o.version_file, "/v");
	assert_true(o.dry_run && o.json && o.programs_only);
	verb_options_done(&o);
	o = (struct verb_options){0};
	assert_int_equal(parse(&o, uninstall_options, "uninstall --purge --force", &e), 0);
	assert_true(o.purge && o.force && !o.dry_run);
	verb_options_done(&o);
}

static void refuses_what_it_does_not_understand(void **state)
{
	static const struct {
		const struct option *options;
		const char *words, *message;
	} rows[] = {
		{install_options, "install --purge", "unknown option '--purge'"},
		{install_options, "install --conf-dir", "needs a value"},
		{install_options, "install --conf-dir net.d", "expected an absolute path"},
		{install_options, "install -o yaml", "expected text or json"},
		{install_options, "install now", "unexpected argument 'now'"},
		{install_options, "install --config /nonexistent", "/nonexistent"},
		{uninstall_options, "uninstall --entry {}", "unknown option"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct verb_options o = {0};
		struct err e = {0};

		assert_true(parse(&o, rows[i].options, rows[i].words, &e) < 0);
		if (!strstr(e.msg, rows[i].message))
			fail_msg("'%s' is not in '%s'", rows[i].message, e.msg);
		verb_options_done(&o);
	}
}

static void what_is_no_program_is_wrong_use_and_installs_nothing(void **state)
{
	static const char *const lists[] = {"nothing", "sluice,nothing", "sluice,,sluiced", ""};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		char dir[] = "/tmp/verbs-test-XXXXXX";
		__cleanup_free char *bin = NULL;

		assert_non_null(mkdtemp(dir));
		bin = mem_printf("%s/bin", dir);
		assert_int_equal(
			install_main(6, (char *[]){"install", "--programs",
						   (char *)(uintptr_t)lists[i], "--programs-only",
						   "--bin-dir", bin, NULL}),
			VERB_USAGE);
		assert_int_equal(access(bin, F_OK), -1);
		rmdir(dir);
	}
}

static void reads_an_entry_or_says_what_is_wrong_with_it(void **state)
{
	static const struct {
		const char *entry, *message; /* NULL: it is right */
	} rows[] = {
		{"{\"failureMode\":\"open\"}", NULL},
		{"{\"type\":\"sluice\",\"exemptNamespaces\":[]}", NULL},
		{"{\"type\":\"ptp\"}", "--entry: type 'ptp': expected sluice"},
		{"{\"failureMode\":\"ajar\"}", "'ajar'"},
		{"{\"failureMode\":", "--entry: line 1"},
		{"/nonexistent/entry.json", "/nonexistent/entry.json"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct verb_options o = {.entry = rows[i].entry};
		struct err e = {0};
		int r;

		daemon_conf_init(&o.conf);
		r = entry_take(&o, &e);
		assert_int_equal(r == 0, rows[i].message == NULL);
		assert_int_equal(o.conf.cni_entry != NULL, rows[i].message == NULL);
		if (rows[i].message && !strstr(e.msg, rows[i].message))
			fail_msg("'%s' is not in '%s'", rows[i].message, e.msg);
		verb_options_done(&o);
	}
}

static void mentions_every_option_in_its_help(void **state)
{
	static const struct {
		const struct option *options;
		const char *help;
	} rows[] = {{install_options, install_help}, {uninstall_options, uninstall_help}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (const struct option *o = rows[i].options; o->name; o++) {
			__cleanup_free char *text = mem_printf("--%s", o->name);

			assert_non_null(strstr(rows[i].help, text));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_defaults_and_takes_what_is_said),
		cmocka_unit_test(refuses_what_it_does_not_understand),
		cmocka_unit_test(what_is_no_program_is_wrong_use_and_installs_nothing),
		cmocka_unit_test(reads_an_entry_or_says_what_is_wrong_with_it),
		cmocka_unit_test(mentions_every_option_in_its_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
