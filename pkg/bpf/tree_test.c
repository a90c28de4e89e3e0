/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/tree.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define BASE 100

struct tree {
	struct slu_tree_node *nodes;
	size_t n, asked;
};

static const struct slu_tree_node *node_get(void *ctx, uint32_t number)
{
	struct tree *t = ctx;

	t->asked++;
	return number >= BASE && number < BASE + t->n ? &t->nodes[number - BASE] : NULL;
}

/* Every third address of two runs, one in each half of the space. */
static struct tree_interval *intervals_make(size_t n)
{
	struct tree_interval *v = calloc(n, sizeof(*v));

	for (size_t i = 1; i < n; i++) {
		uint64_t half[2] = {htobe64(i < n / 2 ? 0 : 1ull << 63 | i), htobe64(i * 3)};

		memcpy(&v[i].first, half, sizeof(half));
		v[i].value = (uint32_t)i;
	}
	return v;
}

static struct tree tree_make(const struct tree_interval *v, size_t n)
{
	struct tree t = {.n = tree_size(v, n)};

	t.nodes = calloc(t.n, sizeof(*t.nodes));
	tree_build(v, n, BASE, t.nodes);
	return t;
}

static uint32_t root(const struct tree *t)
{
	return BASE + (uint32_t)t->n - 1;
}

/* As the programs do it. */
static uint32_t find(const struct tree *t, uint64_t hi, uint64_t lo)
{
	uint32_t value = SLU_TREE_CHILD | root(t);

	while (value & SLU_TREE_CHILD) {
		const struct slu_tree_node *node = &t->nodes[(value & ~SLU_TREE_CHILD) - BASE];
		size_t i = 0;

		while (i + 1 < SLU_TREE_WAYS &&
		       (node->key[i + 1].hi < hi ||
			(node->key[i + 1].hi == hi && node->key[i + 1].lo <= lo)))
			i++;
		value = node->value[i];
	}
	return value;
}

static void reads_back_what_was_built(void **state)
{
	static const size_t sizes[] = {1, 2, 7, 8, 9, 63, 64, 65, 511, 512, 513, 5000};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct tree_interval *v = intervals_make(sizes[s]), *got;
		struct tree t = tree_make(v, sizes[s]);
		size_t n;

		assert_int_equal(tree_read(node_get, &t, root(&t), &got, &n), 0);
		assert_int_equal(n, sizes[s]);
		assert_memory_equal(got, v, n * sizeof(*v));
		assert_int_equal(t.asked, t.n);
		free(got);
		free(t.nodes);
		free(v);
	}
}

static void finds_the_interval_of_each_address(void **state)
{
	static const size_t sizes[] = {1, 2, 8, 9, 64, 100, 600};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct tree_interval *v = intervals_make(sizes[s]);
		struct tree t = tree_make(v, sizes[s]);

		for (size_t i = 0; i < sizes[s]; i++) {
			uint64_t half[2];

			memcpy(half, &v[i].first, sizeof(half));
			half[0] = be64toh(half[0]);
			half[1] = be64toh(half[1]);
			assert_int_equal(find(&t, half[0], half[1]), v[i].value);
			assert_int_equal(find(&t, half[0], half[1] + 2), v[i].value);
			if (i)
				assert_int_equal(find(&t, half[0], half[1] - 1), i - 1);
		}
		assert_int_equal(find(&t, UINT64_MAX, UINT64_MAX), v[sizes[s] - 1].value);
		free(t.nodes);
		free(v);
	}
}

static void keeps_an_interval_of_the_highest_address_alone(void **state)
{
	struct tree_interval v[2] = {{.value = 5}, {.value = 6}}, *got;
	struct tree t;
	size_t n;

	memset(&v[1].first, 0xff, sizeof(v[1].first));
	t = tree_make(v, 2);
	assert_int_equal(find(&t, UINT64_MAX, UINT64_MAX), 6);
	assert_int_equal(find(&t, UINT64_MAX, UINT64_MAX - 1), 5);
	assert_int_equal(tree_read(node_get, &t, root(&t), &got, &n), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(got, v, sizeof(v));
	free(got);
	free(t.nodes);
}

static void refuses_what_is_no_tree(void **state)
{
	struct tree_interval *v = intervals_make(100), *got = NULL;
	struct tree t = tree_make(v, 100);
	struct slu_tree_node *top = &t.nodes[t.n - 1];
	uint32_t saved = top->value[1];
	size_t n;

	assert_int_equal(tree_read(node_get, &t, 1, &got, &n), -EINVAL);
	top->value[1] = SLU_TREE_CHILD | root(&t); /* into itself */
	assert_int_equal(tree_read(node_get, &t, root(&t), &got, &n), -EINVAL);
	top->value[1] = SLU_TREE_CHILD | 5; /* not there */
	assert_int_equal(tree_read(node_get, &t, root(&t), &got, &n), -EINVAL);
	top->value[1] = saved;
	t.nodes[0].key[3].lo = 0; /* not ascending */
	assert_int_equal(tree_read(node_get, &t, root(&t), &got, &n), -EINVAL);
	assert_null(got);
	free(t.nodes);
	free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back_what_was_built),
		cmocka_unit_test(finds_the_interval_of_each_address),
		cmocka_unit_test(keeps_an_interval_of_the_highest_address_alone),
		cmocka_unit_test(refuses_what_is_no_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
