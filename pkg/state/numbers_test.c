/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "state/numbers.h"

static uint32_t get(struct numbers *n, const char *name, int outcome)
{
	uint32_t number = 0;

	assert_int_equal(numbers_get(n, name, &number), outcome);
	return number;
}

static void gives_a_name_the_same_number_again(void **state)
{
	struct numbers *n = numbers_new("x.json", 100);

	assert_int_equal(get(n, "a", 1), 1);
	assert_int_equal(get(n, "b", 1), 2);
	assert_int_equal(get(n, "a", 0), 1);
	assert_int_equal(numbers_find(n, "b"), 2);
	assert_int_equal(numbers_find(n, "c"), 0);
	assert_string_equal(numbers_name(n, 2), "b");
	assert_null(numbers_name(n, 3));
	assert_null(numbers_name(n, 100));
	numbers_free(n);
}

static void gives_numbers_anew_only_when_they_ran_out(void **state)
{
	struct numbers *n = numbers_new("x.json", 4);
	uint32_t number;

	get(n, "a", 1);
	get(n, "b", 1);
	get(n, "c", 1);
	assert_int_equal(numbers_get(n, "d", &number), -ENOSPC);
	numbers_begin(n);
	numbers_hold(n, 2);
	numbers_hold(n, 1000); /* what nobody can have */
	numbers_sweep(n);
	assert_int_equal(numbers_find(n, "a"), 0);
	assert_int_equal(get(n, "b", 0), 2);
	assert_int_equal(get(n, "d", 1), 1);
	assert_int_equal(get(n, "e", 1), 3);
	assert_int_equal(numbers_get(n, "f", &number), -ENOSPC);
	numbers_begin(n);
	numbers_hold(n, 3);
	numbers_sweep(n);
	assert_int_equal(numbers_find(n, "b"), 0); /* held once, but not any more */
	assert_int_equal(numbers_find(n, "e"), 3);
	numbers_free(n);
}

static void what_was_let_go_is_neither_there_nor_next_after_a_restart(void **state)
{
	char dir[] = "/tmp/numbers-XXXXXX";
	struct numbers *n = numbers_new("x.json", 100), *again = NULL;
	struct err e = {0};
	int fd;

	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	get(n, "a", 1);
	get(n, "b", 1);
	assert_int_equal(numbers_store(n, fd, &e), 0);
	numbers_begin(n);
	numbers_hold(n, 1);
	numbers_sweep(n);
	assert_int_equal(numbers_store(n, fd, &e), 0);
	assert_int_equal(numbers_load(fd, "x.json", 100, &again, &e), 0);
	assert_int_equal(numbers_find(again, "a"), 1);
	assert_int_equal(numbers_find(again, "b"), 0);
	assert_int_equal(get(again, "c", 1), 3);
	numbers_free(again);
	numbers_free(n);
	unlinkat(fd, "x.json", 0);
	close(fd);
	rmdir(dir);
}

static void takes_no_file_that_it_cannot_have_written(void **state)
{
	static const char *const bad[] = {
		"{\"number\": 1, \"name\": \"a\"}, {\"number\": 1, \"name\": \"b\"}",
		"{\"number\": 1, \"name\": \"a\"}, {\"number\": 2, \"name\": \"a\"}",
		"{\"number\": 0, \"name\": \"a\"}",
		"{\"number\": 100, \"name\": \"a\"}",
		"", /* of a version that is not ours */
	};
	char dir[] = "/tmp/numbers-XXXXXX", text[256];
	struct numbers *n = NULL;
	int fd;

	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err e = {0};

		snprintf(text, sizeof(text), "{\"version\": %d, \"next\": 3, \"names\": [%s]}",
			 *bad[i] ? 1 : 2, bad[i]);
		assert_int_equal(atomic_file_store(fd, "x.json", text, strlen(text), 0600, &e), 0);
		assert_int_equal(numbers_load(fd, "x.json", 100, &n, &e), -EBADMSG);
	}
	unlinkat(fd, "x.json", 0);
	close(fd);
	rmdir(dir);
}

static void keeps_numbers_in_a_file(void **state)
{
	char dir[] = "/tmp/numbers-XXXXXX", name[32];
	struct numbers *n = numbers_new("x.json", 1000), *again = NULL;
	struct err e = {0};
	int fd;

	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(numbers_load(fd, "x.json", 1000, &again, &e), 0);
	assert_int_equal(numbers_find(again, "0"), 0);
	numbers_free(again);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "EgressPolicy a/b #%d", i);
		get(n, name, 1);
	}
	assert_int_equal(numbers_store(n, fd, &e), 0);
	assert_int_equal(numbers_load(fd, "x.json", 1000, &again, &e), 0);
	assert_int_equal(numbers_find(again, "EgressPolicy a/b #77"), 78);
	assert_int_equal(get(again, "new", 1), 501);
	numbers_free(again);
	assert_int_equal(atomic_file_store(fd, "x.json", "{\"version\":2}", 13, 0600, &e), 0);
	assert_int_equal(numbers_load(fd, "x.json", 1000, &again, &e), -EBADMSG);
	assert_non_null(strstr(e.msg, "x.json"));
	unlinkat(fd, "x.json", 0);
	close(fd);
	rmdir(dir);
	numbers_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_a_name_the_same_number_again),
		cmocka_unit_test(gives_numbers_anew_only_when_they_ran_out),
		cmocka_unit_test(what_was_let_go_is_neither_there_nor_next_after_a_restart),
		cmocka_unit_test(keeps_numbers_in_a_file),
		cmocka_unit_test(takes_no_file_that_it_cannot_have_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
