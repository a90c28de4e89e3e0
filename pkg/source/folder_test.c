/* SPDX-License-Identifier: Apache-2.0 */
#include "source/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state/fingerprint.h"
#include "testkit/netns_fixture.h"

static char dir[64];
static struct folder f;
static struct err e;

static int start(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/folder-test-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int stop(void **state)
{
	folder_done(&f);
	sh("rm -rf %s", dir);
	return 0;
}

static void reads_policy_files_sorted_and_nothing_else(void **state)
{
	static const char *const want[] = {"B.yml", "a.yaml", "b.json", "link.yaml"};
	uint64_t fingerprint = 0;

	sh("cd %s && for n in b.json a.yaml B.yml .hidden.yaml a.yaml~ .a.yaml.swp '#a.yaml#' "
	   "README.md yaml .yaml; do printf \"$n\" >\"$n\"; done; mkdir d.yaml .data && "
	   "printf target >.data/x && ln -s .data/x link.yaml",
	   dir);
	expect_ok(folder_read(dir, &f, &e), &e);
	assert_true(f.exists);
	assert_int_equal(f.n, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_string_equal(f.files[i].name, want[i]);
		assert_string_equal(f.files[i].data, i == 3 ? "target" : want[i]);
		assert_int_equal(f.files[i].len, strlen(f.files[i].data));
	}
	expect_ok(policy_fingerprint(dir, &fingerprint, &e), &e);
	assert_int_equal(f.fingerprint, fingerprint);
}

static void a_missing_folder_is_an_empty_one(void **state)
{
	char missing[80];

	snprintf(missing, sizeof(missing), "%s/not/there", dir);
	expect_ok(folder_read(missing, &f, &e), &e);
	assert_false(f.exists);
	assert_int_equal(f.n, 0);
	expect_ok(folder_read(dir, &f, &e), &e);
	assert_true(f.exists);
	assert_int_equal(f.n, 0);
}

static void errors_name_the_file(void **state)
{
	static const struct {
		const char *make;
		int code;
	} cases[] = {
		{"mkfifo bad.yaml", -EINVAL},
		{"ln -s nowhere bad.yaml", -ENOENT},
		{"ln -s bad.yaml bad.yaml", -ELOOP},
		{"ln -s /dev/zero bad.yaml", -EINVAL},
		{"truncate -s 70M bad.yaml", -EFBIG},
		{"truncate -s 60M 1.yaml 2.yaml 3.yaml 4.yaml bad.yaml", -EFBIG},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sh("cd %s && rm -f *.yaml && printf x >good.yaml && rm good.yaml && %s", dir,
		   cases[i].make);
		expect_rc(folder_read(dir, &f, &e), cases[i].code, &e);
		assert_non_null(strstr(e.msg, dir));
		assert_non_null(strstr(e.msg, "bad.yaml"));
		assert_int_equal(f.n, 0);
	}
}

static void a_file_in_place_of_the_folder_is_an_error(void **state)
{
	char file[80];

	sh("printf x >%s/file", dir);
	snprintf(file, sizeof(file), "%s/file", dir);
	expect_rc(folder_read(file, &f, &e), -ENOTDIR, &e);
	assert_non_null(strstr(e.msg, file));
}

static void nothing_has_changed_for_a_while(void)
{
	usleep(1100000);
}

/* The one that is to be read again has its data, and nothing else has. */
static void is_read_again(const char *name)
{
	struct folder now = {0};

	expect_ok(folder_read_after(dir, &f, &now, &e), &e);
	for (size_t i = 0; i < now.n; i++) {
		bool read = name && strcmp(now.files[i].name, name) == 0;

		assert_int_equal(now.files[i].data != NULL, read);
		assert_int_equal(now.files[i].len, 3);
	}
	folder_done(&now);
}

static void only_what_shows_a_change_is_read_again(void **state)
{
	static const char *const changes[] = {
		"printf one >b.new && mv b.new b.yaml", /* of the same size, in the same second */
		"printf two >b.yaml",
		"printf ten >b.yaml && touch -r a.yaml b.yaml",
		"touch b.yaml",
		"cp -p b.yaml b.new && mv b.new b.yaml",
		"ln -sf .other b.yaml",
	};

	sh("cd %s && printf one >a.yaml && printf one >b.yaml && printf one >.other", dir);
	expect_ok(folder_read(dir, &f, &e), &e);
	assert_int_equal(f.files[0].stamp.ino, 0); /* it may change once more in this moment */
	nothing_has_changed_for_a_while();
	folder_done(&f);
	expect_ok(folder_read(dir, &f, &e), &e);
	assert_int_not_equal(f.files[0].stamp.ino, 0);
	is_read_again(NULL);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		sh("cd %s && %s", dir, changes[i]);
		is_read_again("b.yaml");
	}
	expect_rc(folder_fill(dir, &f.files[1], &e), -ESTALE, &e);
	free(f.files[0].data);
	expect_ok(folder_fill(dir, &f.files[0], &e), &e);
	assert_string_equal(f.files[0].data, "one");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_policy_files_sorted_and_nothing_else, start,
						stop),
		cmocka_unit_test_setup_teardown(a_missing_folder_is_an_empty_one, start, stop),
		cmocka_unit_test_setup_teardown(errors_name_the_file, start, stop),
		cmocka_unit_test_setup_teardown(a_file_in_place_of_the_folder_is_an_error, start,
						stop),
		cmocka_unit_test_setup_teardown(only_what_shows_a_change_is_read_again, start,
						stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
