/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "state/fingerprint.h"

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static int setup(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/sluice-fingerprint-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static uint64_t fingerprint(void)
{
	uint64_t v = 0;

	assert_int_equal(policy_fingerprint(folder, &v, NULL), 0);
	assert_true(v != 0);
	return v;
}

static void put(const char *name, const char *text)
{
	__cleanup_free char *path = mem_printf("%s/%s", folder, name);
	__cleanup_file FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
}

static void changes_when_a_policy_file_does(void **state)
{
	uint64_t empty = fingerprint(), one, two;
	__cleanup_free char *path = mem_printf("%s/a.yaml", folder);

	put("a.yaml", "x");
	one = fingerprint();
	assert_true(one != empty);
	assert_true(one == fingerprint());
	put("a.yaml", "xy");
	two = fingerprint();
	assert_true(two != one);
	unlink(path);
	assert_true(fingerprint() == empty);
}

static void does_not_look_at_hidden_and_editor_files(void **state)
{
	static const char *const names[] = {".a.yaml.swp", "..data", "a.yaml~", "#a.yaml#",
					    ".#a.yaml",	   "4913",   "README"};
	uint64_t empty = fingerprint();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		put(names[i], "x");
	assert_true(fingerprint() == empty);
}

static void follows_the_links_of_a_mounted_config_map(void **state)
{
	__cleanup_free char *old = mem_printf("%s/..1", folder);
	__cleanup_free char *new = mem_printf("%s/..2", folder);
	__cleanup_free char *data = mem_printf("%s/..data", folder);
	__cleanup_free char *link = mem_printf("%s/a.yaml", folder);
	uint64_t before;

	mkdir(old, 0755);
	mkdir(new, 0755);
	put("..1/a.yaml", "old");
	put("..2/a.yaml", "newer");
	assert_int_equal(symlink("..1", data), 0);
	assert_int_equal(symlink("..data/a.yaml", link), 0);
	before = fingerprint();
	unlink(data);
	assert_int_equal(symlink("..2", data), 0);
	assert_true(fingerprint() != before);
}

static void a_missing_folder_is_an_empty_one(void **state)
{
	uint64_t v = 0, empty = fingerprint();

	assert_int_equal(policy_fingerprint("/nonexistent/policies.d", &v, NULL), 0);
	assert_true(v == empty);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(changes_when_a_policy_file_does),
		T(does_not_look_at_hidden_and_editor_files),
		T(follows_the_links_of_a_mounted_config_map),
		T(a_missing_folder_is_an_empty_one),
	};

	return cmocka_run_group_tests_name("state/fingerprint", tests, NULL, NULL);
}
