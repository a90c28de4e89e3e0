/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic_file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "reconcile/last_good.h"

#define LOG "last-good.log"

struct fixture {
	char dir[64];
	int fd;
	struct last_good *g;
};

static int folder_make(void **state)
{
	struct fixture *f = mem_alloc0(sizeof(*f));

	*state = f;
	snprintf(f->dir, sizeof(f->dir), "/tmp/slXXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->fd < 0;
}

static int folder_remove(void **state)
{
	struct fixture *f = *state;

	last_good_free(f->g);
	unlinkat(f->fd, LOG, 0);
	close(f->fd);
	rmdir(f->dir);
	free(f);
	return 0;
}

/* Of files "0.yaml", "1.yaml", … with these texts; NULL: one that was not read again. */
static struct folder folder_of(const char *const *texts, const char *const *was, size_t n)
{
	struct folder f = {.exists = true, .files = mem_alloc0(n * sizeof(*f.files)), .n = n};

	for (size_t i = 0; i < n; i++) {
		const char *text = texts[i] ?: was[i];

		f.files[i] = (struct folder_file){.name = mem_printf("%zu.yaml", i),
						  .data = texts[i] ? mem_strdup(text) : NULL,
						  .len = strlen(text),
						  .hash = hash_bytes(text, strlen(text), 0)};
	}
	return f;
}

static int store(struct fixture *f, const char *const *texts, const char *const *was, size_t n)
{
	__cleanup_folder struct folder folder = folder_of(texts, was, n);

	return last_good_store(&f->g, f->fd, "/nonexistent", &folder, NULL);
}

static void assert_kept(const struct fixture *f, const char *const *texts, size_t n)
{
	__cleanup_folder struct folder got = {0};

	assert_int_equal(last_good_load(f->fd, &got, NULL), 0);
	assert_int_equal(got.n, n);
	for (size_t i = 0; i < n; i++) {
		__cleanup_free char *name = mem_printf("%zu.yaml", i);

		assert_string_equal(got.files[i].name, name);
		assert_string_equal(got.files[i].data, texts[i]);
	}
}

static off_t log_size(const struct fixture *f)
{
	struct stat st;

	assert_int_equal(fstatat(f->fd, LOG, &st, 0), 0);
	return st.st_size;
}

static void what_did_not_change_is_neither_read_nor_written(void **state)
{
	struct fixture *f = *state;
	__cleanup_free char *large = mem_alloc0(100001);
	const char *first[] = {memset(large, 'x', 100000), "b"}, *edit[] = {NULL, "c"};
	off_t size;

	assert_int_equal(store(f, first, NULL, 2), 0);
	assert_kept(f, first, 2);
	size = log_size(f);
	assert_int_equal(store(f, edit, first, 2), 0);
	assert_kept(f, (const char *[]){large, "c"}, 2);
	assert_in_range(log_size(f), size + 1, size + 500);
	size = log_size(f);
	last_good_free(f->g); /* another daemon */
	f->g = NULL;
	assert_int_equal(store(f, (const char *[]){NULL, NULL}, (const char *[]){large, "c"}, 2),
			 0);
	assert_int_equal(log_size(f), size);
	assert_int_equal(store(f, first, NULL, 1), 0);
	assert_kept(f, first, 1);
}

static void a_text_that_nobody_has_any_more_changes_nothing(void **state)
{
	struct fixture *f = *state;
	const char *first[] = {"a", "b"}, *none[] = {"new", NULL};

	assert_int_equal(store(f, first, NULL, 2), 0);
	assert_int_equal(store(f, none, (const char *[]){"", "unknown"}, 2), -ENOENT);
	assert_kept(f, first, 2);
}

/* Whoever ends while it is written: the files before stand, or the ones after. */
static void a_write_that_was_cut_short_leaves_the_files_before(void **state)
{
	struct fixture *f = *state;
	const char *before[] = {"a", "b"}, *after[] = {"c", "d"};
	__cleanup_free char *text = NULL;
	size_t len, from;

	assert_int_equal(store(f, before, NULL, 2), 0);
	from = (size_t)log_size(f);
	assert_int_equal(store(f, after, NULL, 2), 0);
	assert_int_equal(atomic_file_load(f->fd, LOG, 1 << 20, &text, &len, NULL), 0);
	last_good_free(f->g);
	f->g = NULL;
	for (size_t cut = from; cut < len; cut++) {
		assert_int_equal(atomic_file_store(f->fd, LOG, text, cut, 0600, NULL), 0);
		assert_kept(f, before, 2);
		assert_int_equal(store(f, (const char *[]){"a", "d"}, NULL, 2), 0);
		assert_kept(f, (const char *[]){"a", "d"}, 2);
		last_good_free(f->g);
		f->g = NULL;
	}
}

static void a_log_that_is_out_of_date_is_written_anew(void **state)
{
	struct fixture *f = *state;
	__cleanup_free char *text = mem_alloc0(10001);
	off_t largest = 0;

	memset(text, 'x', 10000);
	for (int i = 0; i < 300; i++) {
		const char *const texts[] = {text, "same"};

		memcpy(text, &i, sizeof(i));
		for (size_t k = 0; k < sizeof(i); k++)
			text[k] = (char)('a' + (i >> (4 * k)) % 16);
		assert_int_equal(store(f, texts, NULL, 2), 0);
		largest = log_size(f) > largest ? log_size(f) : largest;
	}
	assert_in_range(largest, 1 << 20, (1 << 20) + 50000);
	assert_in_range(log_size(f), 1, 2000000 - (1 << 20));
	assert_kept(f, (const char *[]){text, "same"}, 2);
}

static void without_a_log_nothing_is_known(void **state)
{
	struct fixture *f = *state;
	struct folder got = {0};

	assert_int_equal(last_good_load(f->fd, &got, NULL), -ENOENT);
	assert_null(got.files);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, folder_make, folder_remove)
	const struct CMUnitTest tests[] = {
		T(what_did_not_change_is_neither_read_nor_written),
		T(a_text_that_nobody_has_any_more_changes_nothing),
		T(a_write_that_was_cut_short_leaves_the_files_before),
		T(a_log_that_is_out_of_date_is_written_anew),
		T(without_a_log_nothing_is_known),
	};

	return cmocka_run_group_tests_name("reconcile/last_good", tests, NULL, NULL);
}
