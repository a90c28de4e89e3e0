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
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic_file.h"
#include "base/mem.h"
#include "reconcile/policies.h"

#define NAMESPACE(name) "apiVersion: v1\nkind: Namespace\nmetadata: {name: " name "}\n"

struct fixture {
	char dir[64], state[64];
	int dir_fd, state_fd;
	struct policies p;
};

static int folders_make(void **state)
{
	struct fixture *f = mem_alloc0(sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/slXXXXXX");
	snprintf(f->state, sizeof(f->state), "/tmp/slXXXXXX");
	*state = f;
	if (!mkdtemp(f->dir) || !mkdtemp(f->state))
		return -1;
	f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->state_fd = open(f->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->dir_fd < 0 || f->state_fd < 0;
}

static int folders_remove(void **state)
{
	struct fixture *f = *state;

	policies_done(&f->p);
	unlinkat(f->dir_fd, "a.yaml", 0);
	unlinkat(f->dir_fd, "b.yaml", 0);
	unlinkat(f->state_fd, "last-good.log", 0);
	close(f->dir_fd);
	close(f->state_fd);
	rmdir(f->dir);
	rmdir(f->state);
	free(f);
	return 0;
}

static void write_policy(struct fixture *f, const char *text)
{
	assert_int_equal(atomic_file_store(f->dir_fd, "a.yaml", text, strlen(text), 0644, NULL), 0);
}

/* With room for n more descriptors. */
static int refresh_with(struct fixture *f, int n, struct err *e)
{
	struct rlimit old, few;
	int next = dup(0), r;

	close(next);
	getrlimit(RLIMIT_NOFILE, &old);
	few = (struct rlimit){(rlim_t)(next + n), old.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
	r = policies_refresh(&f->p, f->dir, f->state_fd, NULL, e);
	setrlimit(RLIMIT_NOFILE, &old);
	return r;
}

static void what_could_not_be_read_is_read_again_though_nothing_changed(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	write_policy(f, NAMESPACE("one"));
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	write_policy(f, NAMESPACE("two"));
	assert_int_equal(refresh_with(f, 1, &e), 0); /* the folder, but no file in it */
	assert_true(f->p.unread);
	assert_int_equal(f->p.err.code, -EMFILE);
	assert_string_equal(f->p.set->namespaces[0].meta.name, "one");
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	assert_false(f->p.unread);
	assert_int_equal(f->p.err.code, 0);
	assert_string_equal(f->p.set->namespaces[0].meta.name, "two");
}

static void what_is_wrong_with_a_file_is_not_looked_at_again(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	write_policy(f, NAMESPACE("one"));
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	write_policy(f, "kind: Nonsense\n");
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 0);
	assert_false(f->p.unread);
	assert_true(f->p.last_good);
	assert_int_equal(refresh_with(f, 1, &e), 0); /* reads no file */
	assert_false(f->p.unread);
}

static void the_last_good_ones_are_those_that_were_kept(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	write_policy(f, NAMESPACE("one"));
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	policies_keep(&f->p, f->dir, f->state_fd);
	write_policy(f, NAMESPACE("two"));
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	write_policy(f, "kind: Nonsense\n");
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 0);
	assert_string_equal(f->p.set->namespaces[0].meta.name, "two");
	policies_done(&f->p); /* the daemon ends before it could keep them */
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	assert_true(f->p.last_good);
	assert_string_equal(f->p.set->namespaces[0].meta.name, "one");
	write_policy(f, NAMESPACE("two"));
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	write_policy(f, "kind: Nonsense\n");
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 0);
	policies_keep(&f->p, f->dir, f->state_fd); /* later than the folder turned bad */
	policies_done(&f->p);
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	assert_string_equal(f->p.set->namespaces[0].meta.name, "two");
}

/* Another folder takes its place, if there is to be one: as a mount that comes and goes. */
static void folder_away(struct fixture *f, bool empty)
{
	unlinkat(f->dir_fd, "a.yaml", 0);
	rmdir(f->dir);
	if (!empty)
		return;
	assert_int_equal(mkdir(f->dir, 0700), 0);
	close(f->dir_fd);
	f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void a_folder_that_is_gone_lets_nobody_go(void **state)
{
	struct fixture *f = *state;
	struct policies asked = {0};
	struct err e = {0};

	write_policy(f, NAMESPACE("one"));
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	policies_keep(&f->p, f->dir, f->state_fd);
	folder_away(f, false);
	for (int start = 0; start < 2; start++) {
		assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), start);
		assert_true(f->p.last_good && !f->p.unread);
		assert_non_null(strstr(f->p.err.msg, "the folder is gone"));
		assert_string_equal(f->p.set->namespaces[0].meta.name, "one");
		assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 0);
		if (!start)
			policies_done(&f->p); /* a daemon that starts before it is mounted */
	}
	assert_int_equal(policies_read(&asked, f->dir, f->state_fd, &e), 0);
	assert_true(asked.last_good);
	assert_string_equal(asked.set->namespaces[0].meta.name, "one");
	policies_done(&asked);
	folder_away(f, true);
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	assert_false(f->p.last_good);
	assert_int_equal(f->p.set->n_namespaces, 0);
	policies_keep(&f->p, f->dir, f->state_fd);
	folder_away(f, false);
	policies_done(&f->p);
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	assert_false(f->p.last_good); /* there was nothing in it */
}

static void nobody_knows_what_was_in_a_folder_that_is_gone(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	folder_away(f, false);
	assert_int_equal(mkdirat(f->state_fd, "last-good.log", 0700), 0);
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 0);
	unlinkat(f->state_fd, "last-good.log", AT_REMOVEDIR);
	assert_null(f->p.set);
	assert_non_null(strstr(f->p.err.msg, "the folder is gone"));
}

static void without_a_folder_from_the_start_there_are_no_policies(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	folder_away(f, false);
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	assert_false(f->p.last_good);
	assert_int_equal(f->p.err.code, 0);
}

#define TWO_FILES 2

static void write_second(struct fixture *f, const char *text)
{
	assert_int_equal(atomic_file_store(f->dir_fd, "b.yaml", text, strlen(text), 0644, NULL), 0);
}

/* What an edit leaves as it was is not read for it, and yet is kept: as long as it is as it was
 * from its file, then from what was kept before. */
static void what_an_edit_leaves_alone_is_kept_with_it(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	write_policy(f, NAMESPACE("one"));
	write_second(f, NAMESPACE("second"));
	usleep(1100000); /* now a change would show */
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	policies_keep(&f->p, f->dir, f->state_fd);
	for (int other = 0; other < 2; other++) {
		write_policy(f, other ? NAMESPACE("three") : NAMESPACE("two"));
		assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
		assert_non_null(f->p.unkept.files[0].data);
		assert_null(f->p.unkept.files[1].data);
		if (other)
			write_second(f, "kind: Nonsense\n");
		policies_keep(&f->p, f->dir, f->state_fd);
		assert_null(f->p.unkept.files);
	}
	policies_done(&f->p);
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	assert_true(f->p.last_good);
	assert_int_equal(f->p.set->n_namespaces, TWO_FILES);
	assert_string_equal(f->p.set->namespaces[0].meta.name, "second");
	assert_string_equal(f->p.set->namespaces[1].meta.name, "three");
}

/* Another word about it in each pass would fill what may be full already. */
static void what_could_not_be_kept_is_kept_later(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	write_policy(f, NAMESPACE("one"));
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	assert_int_equal(mkdirat(f->state_fd, "last-good.log", 0700), 0); /* in its way */
	policies_keep(&f->p, f->dir, f->state_fd);
	assert_int_equal(unlinkat(f->state_fd, "last-good.log", AT_REMOVEDIR), 0);
	policies_keep(&f->p, f->dir, f->state_fd); /* not so soon */
	assert_int_equal(faccessat(f->state_fd, "last-good.log", F_OK, 0), -1);
	f->p.keep_at = 0;
	policies_keep(&f->p, f->dir, f->state_fd);
	write_policy(f, "kind: Nonsense\n");
	policies_done(&f->p);
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	assert_true(f->p.last_good);
	assert_string_equal(f->p.set->namespaces[0].meta.name, "one");
}

static void what_somebody_removed_is_kept_anew(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	write_policy(f, NAMESPACE("one"));
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	policies_keep(&f->p, f->dir, f->state_fd);
	assert_int_equal(unlinkat(f->state_fd, "last-good.log", 0), 0);
	write_policy(f, NAMESPACE("two"));
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	policies_keep(&f->p, f->dir, f->state_fd); /* it is noticed */
	f->p.keep_at = 0;
	policies_keep(&f->p, f->dir, f->state_fd);
	write_policy(f, "kind: Nonsense\n");
	policies_done(&f->p);
	assert_int_equal(policies_refresh(&f->p, f->dir, f->state_fd, NULL, &e), 1);
	assert_true(f->p.last_good);
	assert_string_equal(f->p.set->namespaces[0].meta.name, "two");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, folders_make, folders_remove)
	const struct CMUnitTest tests[] = {
		T(what_could_not_be_read_is_read_again_though_nothing_changed),
		T(what_is_wrong_with_a_file_is_not_looked_at_again),
		T(a_folder_that_is_gone_lets_nobody_go),
		T(nobody_knows_what_was_in_a_folder_that_is_gone),
		T(without_a_folder_from_the_start_there_are_no_policies),
		T(the_last_good_ones_are_those_that_were_kept),
		T(what_an_edit_leaves_alone_is_kept_with_it),
		T(what_could_not_be_kept_is_kept_later),
		T(what_somebody_removed_is_kept_anew),
	};

	return cmocka_run_group_tests_name("reconcile/policies", tests, NULL, NULL);
}
