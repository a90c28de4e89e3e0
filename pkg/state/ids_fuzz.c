/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as ids.json: a table in its bounds, or an error. A table that was read, with
 * one more policy in it, is written and read again; memory stands for the file.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic_file.h"
#include "base/mem.h"
#include "bpf/abi.h"
#include "state/ids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *file;
static size_t file_len;

static void file_set(const void *data, size_t len)
{
	free(file);
	file = mem_alloc0(len + 1);
	memcpy(file, data, len);
	file_len = len;
}

int atomic_file_load(int dirfd, const char *name, size_t max, char **ret_data, size_t *ret_len,
		     struct err *e)
{
	*ret_data = mem_dup(file, file_len + 1);
	*ret_len = file_len;
	return 0;
}

int atomic_file_store(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
		      struct err *e)
{
	file_set(data, len);
	return 0;
}

static void use(struct ids *ids)
{
	const struct ids_address a = {.vni = 7};
	uint32_t id = 0, index = 0;

	if (ids_address(ids, &a, &id) == 0)
		assert(id >= SLU_ID_FIRST && id < SLU_ID_MAX);
	if (ids_node(ids, "n1", &index) == 0)
		assert(index >= 1 && index < SLU_MAX_NODES);
}

static void keep(struct ids *ids)
{
	__cleanup(ids_freep) struct ids *again = NULL;
	const struct ids_policy *a, *b;
	size_t n, m;
	struct err e = {0};

	ids_policy_add(ids, 1);
	assert(ids_store(ids, -1, &e) == 0);
	assert(ids_load(-1, &again, &e) == 0);
	a = ids_policy_list(ids, &n);
	b = ids_policy_list(again, &m);
	assert(n == m);
	for (size_t i = 0; i < n; i++)
		assert(a[i].id == b[i].id && a[i].key == b[i].key &&
		       a[i].unused_since == b[i].unused_since);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__cleanup(ids_freep) struct ids *ids = NULL;
	struct err e = {0};

	file_set(data, size);
	if (ids_load(-1, &ids, &e) < 0) {
		assert(!ids && *e.msg);
		return 0;
	}
	use(ids);
	keep(ids);
	return 0;
}
