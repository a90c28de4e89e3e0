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
#include "bpf/abi.h"
#include "state/ids.h"

static struct ids_address address(uint32_t n)
{
	struct ids_address a = {.vni = 1};

	a.addr.b[15] = (uint8_t)n;
	a.addr.b[14] = (uint8_t)(n >> 8);
	a.endpoint = a.addr;
	return a;
}

static uint32_t give(struct ids *ids, uint32_t n)
{
	struct ids_address a = address(n);
	uint32_t id = 0;

	assert_int_equal(ids_address(ids, &a, &id), 0);
	return id;
}

static void gives_an_address_the_same_id_again(void **state)
{
	struct ids *ids = ids_new();
	struct ids_address other = address(1);
	uint32_t id;

	assert_int_equal(give(ids, 1), SLU_ID_FIRST);
	assert_int_equal(give(ids, 2), SLU_ID_FIRST + 1);
	assert_int_equal(give(ids, 1), SLU_ID_FIRST);
	other.vni = 2; /* another tunnel end is another thing */
	assert_int_equal(ids_address(ids, &other, &id), 0);
	assert_int_equal(id, SLU_ID_FIRST + 2);
	ids_free(ids);
}

static void keeps_an_id_but_gives_none(void **state)
{
	struct ids *ids = ids_new();
	struct ids_address a = address(1), b = address(2);
	uint32_t id = 0;

	assert_int_equal(ids_address_keep(ids, &a, &id), -ENOENT);
	give(ids, 1);
	give(ids, 2);
	ids_begin(ids);
	assert_int_equal(ids_address_keep(ids, &b, &id), 0);
	assert_int_equal(id, SLU_ID_FIRST + 1);
	ids_sweep(ids);
	assert_int_equal(ids_address_keep(ids, &a, &id), -ENOENT);
	assert_int_equal(ids_address_keep(ids, &b, &id), 0);
	ids_free(ids);
}

static void gives_a_freed_id_out_last(void **state)
{
	struct ids *ids = ids_new();
	const uint32_t n = SLU_ID_MAX - SLU_ID_FIRST;

	give(ids, 0);
	ids_begin(ids);
	ids_sweep(ids);
	for (uint32_t i = 1; i < n; i++)
		assert_int_not_equal(give(ids, i), SLU_ID_FIRST);
	assert_int_equal(give(ids, n), SLU_ID_FIRST);
	ids_free(ids);
}

/* With more than one in most chains. */
static void finds_each_of_many_after_some_went(void **state)
{
	struct ids *ids = ids_new();
	const uint32_t n = SLU_ID_MAX - SLU_ID_FIRST;
	uint32_t id;

	for (uint32_t i = 0; i < n; i++)
		give(ids, i);
	ids_begin(ids);
	for (uint32_t i = 0; i < n; i += 3)
		give(ids, i);
	ids_sweep(ids);
	for (uint32_t i = 0; i < n; i++) {
		struct ids_address a = address(i);

		assert_int_equal(ids_address_keep(ids, &a, &id), i % 3 ? -ENOENT : 0);
		if (i % 3 == 0)
			assert_int_equal(id, SLU_ID_FIRST + i);
	}
	ids_free(ids);
}

static void says_when_no_id_is_free(void **state)
{
	struct ids *ids = ids_new();
	struct ids_address one_more = address(5000);
	uint32_t id;

	for (uint32_t i = 0; i < SLU_ID_MAX - SLU_ID_FIRST; i++)
		give(ids, i);
	assert_int_equal(ids_address(ids, &one_more, &id), -ENOSPC);
	assert_int_equal(give(ids, 7), SLU_ID_FIRST + 7);
	ids_free(ids);
}

static void sweeps_only_what_nobody_asked_for(void **state)
{
	struct ids *ids = ids_new();
	uint32_t index;

	give(ids, 1);
	give(ids, 2);
	assert_int_equal(ids_node(ids, "a", &index), 0);
	assert_int_equal(index, 1);
	assert_int_equal(ids_node(ids, "b", &index), 0);
	ids_begin(ids);
	give(ids, 2);
	assert_int_equal(ids_node(ids, "b", &index), 0);
	ids_sweep(ids);
	assert_int_equal(give(ids, 2), SLU_ID_FIRST + 1);
	assert_int_equal(give(ids, 1), SLU_ID_FIRST + 2);
	assert_int_equal(ids_node(ids, "b", &index), 0);
	assert_int_equal(index, 2);
	assert_int_equal(ids_node(ids, "a", &index), 0);
	assert_int_equal(index, 3);
	ids_free(ids);
}

static void keeps_the_id_of_a_program_with_the_same_content(void **state)
{
	struct ids *ids = ids_new();
	struct ids_policy first[] = {{.key = 10}, {.key = 20}};
	struct ids_policy again[] = {{.key = 20}, {.key = 30}};

	ids_policies(ids, first, 2, 100);
	assert_int_equal(first[0].id, 1);
	assert_int_equal(first[1].id, 2);
	ids_policies(ids, again, 2, 101);
	assert_int_equal(again[0].id, 2);
	assert_int_equal(again[1].id, 3);
	ids_free(ids);
}

static void lets_an_edit_take_over_the_id(void **state)
{
	struct ids *ids = ids_new();
	struct ids_policy first[] = {{.key = 10}, {.key = 20}};
	struct ids_policy edit[] = {{.key = 11, .id = 1}, {.key = 20}};
	struct ids_policy greedy[] = {{.key = 12, .id = 2}, {.key = 20}};

	ids_policies(ids, first, 2, 100);
	ids_policies(ids, edit, 2, 101);
	assert_int_equal(edit[0].id, 1);
	/* an id that another one keeps is not to be had */
	ids_policies(ids, greedy, 2, 102);
	assert_int_equal(greedy[0].id, 3);
	assert_int_equal(greedy[1].id, 2);
	ids_free(ids);
}

static void remembers_since_when_a_program_is_unused(void **state)
{
	struct ids *ids = ids_new();
	struct ids_policy one = {.key = 10};
	const struct ids_policy *list;
	size_t n;

	ids_policies(ids, &one, 1, 100);
	ids_policies(ids, NULL, 0, 200);
	ids_policies(ids, NULL, 0, 300);
	list = ids_policy_list(ids, &n);
	assert_int_equal(n, 1);
	assert_int_equal(list[0].unused_since, 200);
	assert_int_equal(ids_policy_add(ids, 10), 1);
	assert_int_equal(ids_policy_list(ids, &n)[0].unused_since, 0);
	ids_policy_drop(ids, 1);
	ids_policy_list(ids, &n);
	assert_int_equal(n, 0);
	assert_int_equal(ids_policy_add(ids, 10), 2); /* never an id again */
	ids_free(ids);
}

/* ---- the file ---- */

struct folder {
	char path[64];
	int fd;
};

static int folder_make(void **state)
{
	static struct folder f;

	snprintf(f.path, sizeof(f.path), "/tmp/ids_test.XXXXXX");
	assert_non_null(mkdtemp(f.path));
	f.fd = open(f.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = &f;
	return f.fd < 0;
}

static int folder_remove(void **state)
{
	struct folder *f = *state;

	unlinkat(f->fd, "ids.json", 0);
	close(f->fd);
	return rmdir(f->path);
}

static void means_the_same_after_a_restart(void **state)
{
	struct folder *f = *state;
	struct ids *ids = ids_new(), *again = NULL;
	struct ids_policy want[] = {{.key = 0xfedcba9876543210}, {.key = 20}};
	struct err e = {0};
	uint32_t index;

	give(ids, 1);
	give(ids, 2);
	ids_node(ids, "node-1", &index);
	ids_policies(ids, want, 2, 100);
	ids_policies(ids, want + 1, 1, 150);
	assert_int_equal(ids_store(ids, f->fd, &e), 0);
	assert_int_equal(ids_load(f->fd, &again, &e), 0);
	assert_int_equal(give(again, 2), SLU_ID_FIRST + 1);
	assert_int_equal(give(again, 3), SLU_ID_FIRST + 2);
	assert_int_equal(ids_node(again, "node-1", &index), 0);
	assert_int_equal(index, 1);
	ids_policies(again, want, 2, 200);
	assert_int_equal(want[0].id, 1);
	assert_int_equal(want[1].id, 2);
	ids_free(ids);
	ids_free(again);
}

static void writes_only_what_changed(void **state)
{
	struct folder *f = *state;
	struct ids *ids = ids_new();
	struct err e = {0};

	give(ids, 1);
	assert_int_equal(ids_store(ids, f->fd, &e), 0);
	unlinkat(f->fd, "ids.json", 0);
	give(ids, 1);
	assert_int_equal(ids_store(ids, f->fd, &e), 0);
	assert_int_equal(faccessat(f->fd, "ids.json", F_OK, 0), -1);
	ids_free(ids);
}

/* What is not in the file is given to others after a restart. */
static void writes_each_change(void **state)
{
	enum {
		ADDRESS,
		NODE,
		POLICY,
		EDIT,
		UNUSED,
		USED,
		ABOVE,
		DROP,
		SWEEP_ADDRESS,
		SWEEP_NODE,
		N
	};
	struct ids_policy one = {.key = 10}, edit = {.key = 11, .id = 1};
	struct folder *f = *state;
	struct ids *ids = ids_new();
	struct err e = {0};
	uint32_t index;

	for (int change = 0; change < N; change++) {
		ids_begin(ids);
		if (change != ADDRESS && change != SWEEP_ADDRESS)
			give(ids, 1);
		if (change != ADDRESS && change != NODE && change != SWEEP_NODE)
			ids_node(ids, "a", &index);
		assert_int_equal(ids_store(ids, f->fd, &e), 0);
		unlinkat(f->fd, "ids.json", 0);
		if (change == ADDRESS)
			give(ids, 1);
		else if (change == NODE)
			ids_node(ids, "a", &index);
		else if (change == POLICY)
			ids_policies(ids, &one, 1, 100);
		else if (change == EDIT || change == USED)
			ids_policies(ids, &edit, 1, 101);
		else if (change == UNUSED)
			ids_policies(ids, NULL, 0, 102);
		else if (change == ABOVE)
			ids_policy_above(ids, 77);
		else if (change == DROP)
			ids_policy_drop(ids, 1);
		else
			ids_sweep(ids);
		assert_int_equal(ids_store(ids, f->fd, &e), 0);
		if (faccessat(f->fd, "ids.json", F_OK, 0) < 0)
			fail_msg("change %d", change);
	}
	ids_free(ids);
}

static void refuses_a_file_that_is_not_its_own(void **state)
{
	static const char *const texts[] = {
		"",
		"{}",
		"[]",
		"{\"version\":2}",
		"{\"version\":1,\"nextAddress\":16,\"nextNode\":1,\"nextPolicy\":1,"
		"\"addresses\":[{\"id\":3,\"address\":\"10.0.0.1\",\"vni\":1}],"
		"\"nodes\":[],\"policies\":[]}",
		"{\"version\":1,\"nextAddress\":16,\"nextNode\":1,\"nextPolicy\":1,"
		"\"addresses\":[],\"nodes\":[],\"policies\":[{\"id\":7,\"key\":\"0a\"}]}",
		"{\"version\":1,\"nextAddress\":16,\"nextNode\":1,\"nextPolicy\":9,"
		"\"addresses\":[],\"nodes\":[],\"policies\":[{\"id\":7,\"key\":\"xyz\"}]}",
		"{\"version\":1,\"nextAddress\":16,\"nextNode\":1,\"nextPolicy\":9,"
		"\"addresses\":[],\"nodes\":{},\"policies\":[]}",
		"{\"version\":1,\"nextAddress\":16,\"nextNode\":1,\"nextPolicy\":9,"
		"\"addresses\":[],\"nodes\":[],\"policies\":[{\"id\":7,\"key\":\"0a\"},"
		"{\"id\":7,\"key\":\"0b\"}]}",
		"{\"version\":1,\"nextAddress\":16,\"nextNode\":1,\"nextPolicy\":9,\"addresses\":[]"
		","
		"\"nodes\":[{\"index\":1,\"name\":\"a\"},{\"index\":1,\"name\":\"b\"}],"
		"\"policies\":[]}",
	};
	struct folder *f = *state;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ids *ids = NULL;
		struct err e = {0};

		assert_int_equal(
			atomic_file_store(f->fd, "ids.json", texts[i], strlen(texts[i]), 0600, &e),
			0);
		assert_int_equal(ids_load(f->fd, &ids, &e), -EBADMSG);
		assert_non_null(strstr(e.msg, "ids.json"));
	}
}

static void takes_the_last_of_an_id_that_a_file_has_twice(void **state)
{
	static const char text[] =
		"{\"version\":1,\"nextAddress\":18,\"nextNode\":1,\"nextPolicy\":1,\"addresses\":["
		"{\"id\":16,\"address\":\"::1\",\"endpoint\":\"::1\",\"vni\":1},"
		"{\"id\":16,\"address\":\"::2\",\"endpoint\":\"::2\",\"vni\":1},"
		"{\"id\":16,\"address\":\"::2\",\"endpoint\":\"::2\",\"vni\":1}],"
		"\"nodes\":[],\"policies\":[]}";
	struct ids_address one = address(1), two = address(2);
	struct folder *f = *state;
	struct ids *ids = NULL;
	struct err e = {0};
	uint32_t id = 0;

	assert_int_equal(atomic_file_store(f->fd, "ids.json", text, strlen(text), 0600, &e), 0);
	assert_int_equal(ids_load(f->fd, &ids, &e), 0);
	assert_int_equal(ids_address_keep(ids, &one, &id), -ENOENT);
	assert_int_equal(ids_address_keep(ids, &two, &id), 0);
	assert_int_equal(id, 16);
	ids_free(ids);
}

static void starts_empty_without_a_file(void **state)
{
	struct folder *f = *state;
	struct ids *ids = NULL;
	struct err e = {0};

	assert_int_equal(ids_load(f->fd, &ids, &e), 0);
	assert_int_equal(give(ids, 1), SLU_ID_FIRST);
	ids_free(ids);
}

static void gives_no_policy_an_id_that_the_kernel_uses(void **state)
{
	struct ids *ids = ids_new();

	ids_policy_above(ids, 7);
	assert_int_equal(ids_policy_add(ids, 100), 8);
	ids_policy_above(ids, 3);
	assert_int_equal(ids_policy_add(ids, 101), 9);
	ids_free(ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_an_address_the_same_id_again),
		cmocka_unit_test(keeps_an_id_but_gives_none),
		cmocka_unit_test(gives_a_freed_id_out_last),
		cmocka_unit_test(finds_each_of_many_after_some_went),
		cmocka_unit_test(says_when_no_id_is_free),
		cmocka_unit_test(sweeps_only_what_nobody_asked_for),
		cmocka_unit_test(keeps_the_id_of_a_program_with_the_same_content),
		cmocka_unit_test(lets_an_edit_take_over_the_id),
		cmocka_unit_test(remembers_since_when_a_program_is_unused),
		cmocka_unit_test_setup_teardown(means_the_same_after_a_restart, folder_make,
						folder_remove),
		cmocka_unit_test_setup_teardown(writes_only_what_changed, folder_make,
						folder_remove),
		cmocka_unit_test_setup_teardown(writes_each_change, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(refuses_a_file_that_is_not_its_own, folder_make,
						folder_remove),
		cmocka_unit_test(gives_no_policy_an_id_that_the_kernel_uses),
		cmocka_unit_test_setup_teardown(takes_the_last_of_an_id_that_a_file_has_twice,
						folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(starts_empty_without_a_file, folder_make,
						folder_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
