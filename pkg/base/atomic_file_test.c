/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic_file.h"
#include "base/mem.h"

struct fixture {
	char path[64];
	int fd;
};

static int make_folder(void **state)
{
	struct fixture *f = mem_alloc0(sizeof(*f));

	strncpy(f->path, "/tmp/slXXXXXX", sizeof(f->path) - 1);
	if (!mkdtemp(f->path))
		return -1;
	f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = f;
	return f->fd < 0;
}

static int remove_folder(void **state)
{
	struct fixture *f = *state;

	unlinkat(f->fd, "a", 0);
	close(f->fd);
	rmdir(f->path);
	free(f);
	return 0;
}

static void what_was_stored_is_loaded_and_can_be_removed_twice(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	char *data = NULL;
	size_t len = 0;

	assert_int_equal(atomic_file_store(f->fd, "a", "one", 3, 0600, &e), 0);
	assert_int_equal(atomic_file_store(f->fd, "a", "second", 6, 0600, &e), 0);
	assert_int_equal(atomic_file_load(f->fd, "a", 100, &data, &len, &e), 0);
	assert_int_equal(len, 6);
	assert_string_equal(data, "second");
	free(data);
	assert_int_equal(atomic_file_remove(f->fd, "a", &e), 0);
	assert_int_equal(atomic_file_remove(f->fd, "a", &e), 0);
	assert_int_equal(atomic_file_load(f->fd, "a", 100, &data, &len, &e), -ENOENT);
	assert_string_equal(e.msg, "open a: No such file or directory");
}

static void a_file_above_the_bound_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	char *data = NULL;
	size_t len = 0;

	assert_int_equal(atomic_file_store(f->fd, "a", "12345", 5, 0600, &e), 0);
	assert_int_equal(atomic_file_load(f->fd, "a", 4, &data, &len, &e), -EFBIG);
	assert_int_equal(atomic_file_load(f->fd, "a", 5, &data, &len, &e), 0);
	free(data);
}

/* The disk takes one byte, then the process dies. */
/* Whoever opened it would wait for somebody to write, and read without an end. */
static void what_is_no_file_is_refused_at_once(void **state)
{
	struct fixture *f = *state;
	char *data = NULL;
	size_t len = 0;

	for (int i = 0; i < 3; i++) {
		struct err e = {0};

		if (i == 0)
			assert_int_equal(mkfifoat(f->fd, "a", 0600), 0);
		else
			assert_int_equal(symlinkat(i == 1 ? "/dev/zero" : ".", f->fd, "a"), 0);
		assert_int_equal(atomic_file_load(f->fd, "a", 100, &data, &len, &e),
				 i == 2 ? -EISDIR : -EINVAL);
		assert_non_null(strstr(e.msg, i == 2 ? "a" : "a: not a file"));
		assert_null(data);
		assert_int_equal(unlinkat(f->fd, "a", 0), 0);
	}
}

static void die_storing(int fd)
{
	const struct rlimit one = {1, 1}, no_core = {0, 0};

	setrlimit(RLIMIT_CORE, &no_core);
	setrlimit(RLIMIT_FSIZE, &one);
	atomic_file_store(fd, "a", "12345", 5, 0600, NULL);
	_exit(0);
}

static void what_a_killed_store_left_goes_with_the_file(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();
		int status = 0;

		if (pid == 0)
			die_storing(f->fd);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		if (i == 0) /* a store that succeeds replaces it */
			assert_int_equal(atomic_file_store(f->fd, "a", "1", 1, 0600, &e), 0);
	}
	assert_int_equal(atomic_file_remove(f->fd, "a", &e), 0);
	assert_int_equal(rmdir(f->path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_stored_is_loaded_and_can_be_removed_twice,
						make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_file_above_the_bound_is_refused, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(what_is_no_file_is_refused_at_once, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(what_a_killed_store_left_goes_with_the_file,
						make_folder, remove_folder),
	};

	return cmocka_run_group_tests_name("atomic_file", tests, NULL, NULL);
}
