/* SPDX-License-Identifier: Apache-2.0 */
/* A log that is removed while it is written, and a disk that is full. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "reconcile/objects.h"
#include "testkit/objects_fixture.h"

#define POLICY                                                                                \
	"{\"metadata\":{\"namespace\":\"shop\",\"name\":\"%s\",\"generation\":%d},\"spec\":{" \
	"\"priority\":%d,\"subject\":{\"podSelector\":{}},\"rules\":[{\"action\":\"Deny\"}]}}"

/* ---- the disk ---- */

static bool full;

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (full) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, p, n, at);
}

static void policy(struct fixture *f, const char *name, int priority)
{
	__cleanup_free char *text = mem_printf(POLICY, name, priority, priority);

	put(f, OBJECTS_POLICIES, text);
}

/* The API tells all collections anew; of policies, these. */
static void told_again(struct fixture *f, const char *const *names)
{
	objects_begin(f->o, OBJECTS_POLICIES);
	for (; *names; names++)
		policy(f, *names, 7);
	sync_all(f);
}

static size_t policies_of_a_start(struct fixture *f)
{
	objects_free(f->o);
	f->o = NULL;
	assert_int_equal(objects_new(f->fd, true, &f->o, NULL), 0);
	return objects_known(f->o, NULL) ? objects_count(f->o, OBJECTS_POLICIES) : SIZE_MAX;
}

static void begin(struct fixture *f)
{
	full = false;
	sync_all(f);
	policy(f, "a", 7);
	policy(f, "b", 7);
	assert_int_equal(objects_keep(f->o, NULL), 0);
	assert_false(objects_ask_again(f->o));
}

static void a_log_that_somebody_removed_is_whole_when_the_api_has_told_it_again(void **state)
{
	static const char *const names[] = {"a", "b", NULL};
	struct fixture *f = *state;

	for (int edited = 0; edited < 2; edited++) {
		begin(f);
		assert_int_equal(unlinkat(f->fd, OBJECT_LOG, 0), 0);
		if (edited)
			policy(f, "a", 8);
		assert_int_equal(objects_keep(f->o, NULL), 0);
		assert_true(objects_ask_again(f->o));
		assert_false(objects_ask_again(f->o));
		assert_true(objects_known(f->o, NULL)); /* here nothing was lost */
		told_again(f, names);
		assert_int_equal(objects_keep(f->o, NULL), 0);
		assert_false(objects_ask_again(f->o));
		assert_int_equal(policies_of_a_start(f), 2);
	}
}

static void what_was_not_told_again_yet_is_not_taken_for_whole(void **state)
{
	struct fixture *f = *state;

	begin(f);
	assert_int_equal(unlinkat(f->fd, OBJECT_LOG, 0), 0);
	assert_int_equal(objects_keep(f->o, NULL), 0);
	policy(f, "c", 7);
	assert_int_equal(objects_keep(f->o, NULL), 0);
	assert_int_equal(policies_of_a_start(f), SIZE_MAX);
}

static void a_full_disk_costs_no_memory_without_end(void **state)
{
	static const char *const names[] = {"b", "c", NULL};
	struct fixture *f = *state;
	size_t before;

	begin(f);
	full = true;
	for (int i = 0; i < 1000; i++)
		policy(f, "a", i);
	assert_true(objects_keep(f->o, NULL) < 0);
	before = mallinfo2().uordblks;
	for (int i = 0; i < 100000; i++)
		policy(f, "a", i);
	assert_in_range(mallinfo2().uordblks, 0, before + (8 << 20)); /* it would be 18 MiB */
	objects_gone(f->o, OBJECTS_POLICIES, "shop", "a", NULL);
	assert_false(objects_ask_again(f->o));
	full = false;
	assert_int_equal(objects_keep(f->o, NULL), 0);
	assert_true(objects_ask_again(f->o));
	told_again(f, names);
	assert_int_equal(objects_keep(f->o, NULL), 0);
	assert_int_equal(policies_of_a_start(f), 2);
	assert_null(objects_find(f->o, OBJECTS_POLICIES, "shop", "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, store_make, store_remove)
		T(a_log_that_somebody_removed_is_whole_when_the_api_has_told_it_again),
		T(what_was_not_told_again_yet_is_not_taken_for_whole),
		T(a_full_disk_costs_no_memory_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
