/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "state/journal.h"

struct fixture {
	char dir[64];
	char *state_dir, *run_dir;
	struct journal *j;
};

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static int setup(void **state)
{
	struct fixture *f = mem_alloc0(sizeof(*f));
	struct err e = {0};

	snprintf(f->dir, sizeof(f->dir), "/tmp/sluice-journal-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	f->state_dir = mem_printf("%s/a/state", f->dir);
	f->run_dir = mem_printf("%s/run", f->dir);
	*state = f;
	return journal_open(f->state_dir, f->run_dir, &f->j, &e);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	journal_close(f->j);
	nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f->state_dir);
	free(f->run_dir);
	free(f);
	return 0;
}

static int store(struct journal *j, const char *id, const char *ifname)
{
	struct record r = {.kind = ATTACH_NONE};
	int ret;

	r.container_id = mem_strdup(id);
	r.ifname = mem_strdup(ifname);
	ret = journal_store(j, &r, NULL);
	free(r.container_id);
	free(r.ifname);
	return ret;
}

static void write_file(struct fixture *f, const char *name, const char *text)
{
	__cleanup_free char *path = mem_printf("%s/attachments/%s", f->state_dir, name);
	__cleanup_file FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
}

static void keeps_loads_and_removes_a_record(void **state)
{
	struct fixture *f = *state;
	__cleanup(record_freep) struct record *r = NULL;

	assert_int_equal(store(f->j, "c1", "eth0"), 0);
	assert_int_equal(journal_load(f->j, "c1", "eth1", &r, NULL), -ENOENT);
	assert_int_equal(journal_load(f->j, "c1", "eth0", &r, NULL), 0);
	assert_string_equal(r->container_id, "c1");
	assert_int_equal(journal_remove(f->j, "c1", "eth0", NULL), 0);
	assert_int_equal(journal_remove(f->j, "c1", "eth0", NULL), 0);
}

static void refuses_names_that_would_leave_the_folder(void **state)
{
	static const char *const ids[] = {"..", "a/b", "a:b", "", ".hidden"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		assert_int_equal(store(f->j, ids[i], "eth0"), -EINVAL);
	assert_int_equal(store(f->j, "a", "../eth0"), -EINVAL);
}

static void count_bad(const char *name, const struct err *e, void *data)
{
	++*(int *)data;
}

static void lists_records_sorted_and_names_the_bad(void **state)
{
	struct fixture *f = *state;
	struct record **list = NULL;
	int bad = 0;
	size_t n = 0;

	store(f->j, "b", "eth0");
	store(f->j, "a", "net1");
	store(f->j, "a", "eth0");
	write_file(f, "c:eth0.json", "{");
	write_file(f, ".c:eth0.json.1.tmp", "{");
	write_file(f, "README", "");
	assert_int_equal(journal_list(f->j, &list, &n, count_bad, &bad, NULL), 0);
	assert_int_equal(n, 3);
	assert_int_equal(bad, 1);
	assert_string_equal(list[0]->ifname, "eth0");
	assert_string_equal(list[1]->ifname, "net1");
	assert_string_equal(list[2]->container_id, "b");
	records_free(list, n);
}

static void tells_a_corrupt_record_from_a_newer_one(void **state)
{
	struct fixture *f = *state;
	struct record *r = NULL;
	struct err e = {0};

	write_file(f, "c:eth0.json", "{\"version\":1");
	assert_int_equal(journal_load(f->j, "c", "eth0", &r, &e), -EBADMSG);
	assert_non_null(strstr(e.msg, "c:eth0.json"));
	write_file(f, "c:eth0.json", "{\"version\":99}");
	assert_int_equal(journal_load(f->j, "c", "eth0", &r, &e), -EPROTO);
}

static void a_lock_excludes_until_its_deadline(void **state)
{
	struct fixture *f = *state;
	__cleanup_free char *wanted = mem_printf(
		"%s/locks/c:eth0: held by another process for longer than 20 ms", f->run_dir);
	int a = -1, b = -1;
	struct err e = {0};

	assert_int_equal(journal_lock(f->j, "c", "eth0", 1000, &a, NULL), 0);
	assert_int_equal(journal_lock(f->j, "c", "eth0", 20, &b, &e), -ETIMEDOUT);
	assert_string_equal(e.msg, wanted);
	assert_int_equal(journal_lock(f->j, "c", "eth1", 20, &b, NULL), 0);
	close(b);
	close(a);
	assert_int_equal(journal_lock(f->j, "c", "eth0", 20, &a, NULL), 0);
	close(a);
}

/* Waits for the lock in a child; exits 0 when it got one that the name leads to. */
static pid_t waiter_start(struct fixture *f, int held)
{
	pid_t pid = fork();
	struct stat a, b;
	char *path;
	int fd;

	if (pid != 0)
		return pid;
	close(held); /* or the child would hold what it waits for */
	if (journal_lock(f->j, "c", "eth0", 60000, &fd, NULL) < 0)
		_exit(1);
	path = mem_printf("%s/locks/c:eth0", f->run_dir);
	if (stat(path, &a) < 0 || fstat(fd, &b) < 0 || a.st_ino != b.st_ino)
		_exit(2);
	_exit(0);
}

static void a_waiter_does_not_end_up_with_a_removed_lock_file(void **state)
{
	const struct timespec pause = {0, 50000000};
	struct fixture *f = *state;
	int fd = -1, status;
	pid_t pid;

	assert_int_equal(journal_lock(f->j, "c", "eth0", 1000, &fd, NULL), 0);
	pid = waiter_start(f, fd);
	nanosleep(&pause, NULL);
	journal_lock_remove(f->j, "c", "eth0");
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void knows_the_boot(void **state)
{
	assert_int_equal(strlen(journal_boot_id()), 36);
}

static bool is_there(struct fixture *f, const char *folder, const char *name)
{
	__cleanup_free char *path = mem_printf("%s/%s/%s", f->dir, folder, name);

	return access(path, F_OK) == 0;
}

static void sweeps_what_was_cut_short_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	int held = -1, left = -1, other = -1;

	assert_int_equal(store(f->j, "alive", "eth0"), 0);
	assert_int_equal(journal_lock(f->j, "alive", "eth0", 0, &left, NULL), 0);
	close(left);
	assert_int_equal(journal_lock(f->j, "begun", "eth0", 0, &held, NULL), 0);
	assert_int_equal(journal_lock(f->j, "killed", "eth0", 0, &other, NULL), 0);
	close(other);
	assert_int_equal(journal_lock_node(f->j, 0, &other, NULL), 0);
	close(other);
	write_file(f, ".dead:eth0.json.0123abcd.tmp", "{");
	write_file(f, "../.snapshot.0123abcd.tmp", "");
	journal_sweep(f->j, false);
	assert_true(is_there(f, "a/state", ".snapshot.0123abcd.tmp"));
	journal_sweep(f->j, true);
	assert_false(is_there(f, "a/state", ".snapshot.0123abcd.tmp"));
	assert_true(is_there(f, "a/state/attachments", "alive:eth0.json"));
	assert_true(is_there(f, "run/locks", "alive:eth0"));
	assert_true(is_there(f, "run/locks", "begun:eth0"));
	assert_true(is_there(f, "run/locks", "node"));
	assert_false(is_there(f, "run/locks", "killed:eth0"));
	assert_false(is_there(f, "run/locks", "dead:eth0"));
	assert_false(is_there(f, "a/state/attachments", ".dead:eth0.json.0123abcd.tmp"));
	close(held);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(keeps_loads_and_removes_a_record),
		T(refuses_names_that_would_leave_the_folder),
		T(lists_records_sorted_and_names_the_bad),
		T(tells_a_corrupt_record_from_a_newer_one),
		T(a_lock_excludes_until_its_deadline),
		T(a_waiter_does_not_end_up_with_a_removed_lock_file),
		T(sweeps_what_was_cut_short_and_nothing_else),
		cmocka_unit_test(knows_the_boot),
	};

	return cmocka_run_group_tests_name("state/journal", tests, NULL, NULL);
}
