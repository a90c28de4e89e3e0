/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/tree.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "testkit/addr_fixture.h"

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

static uint32_t random_u32(void)
{
	static uint32_t seed = 7;

	seed = seed * 1103515245 + 12345;
	return seed >> 8 ^ seed << 20;
}

static int by_address(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct addr));
}

/* A word of few values, so that addresses have words in common; the edges among them. */
static uint32_t word_make(uint32_t mask)
{
	static const uint32_t edges[] = {0, 1, 0xffff, 0x10000, UINT32_MAX};
	uint32_t r = random_u32();

	return htonl(r % 4 ? random_u32() & mask : edges[r / 4 % 5]);
}

static struct addr addr_make(void)
{
	uint32_t w[4] = {0, 0, htonl(0xffff), word_make(UINT32_MAX)};
	struct addr a;

	if (random_u32() % 2) {
		for (size_t i = 0; i < 4; i++)
			w[i] = word_make(i ? 7 : 31);
	}
	memcpy(&a, w, sizeof(a));
	return a;
}

/* n of them or less: ascending, neighbours differ in value. */
static struct tree_interval *intervals_make(size_t *n)
{
	struct tree_interval *v = calloc(*n, sizeof(*v));
	size_t kept = 1;

	for (size_t i = 1; i < *n; i++) {
		v[i].first = addr_make();
		v[i].value = random_u32() % 5;
	}
	qsort(v + 1, *n - 1, sizeof(*v), by_address);
	for (size_t i = 1; i < *n; i++) {
		if (by_address(&v[i], &v[kept - 1]) && v[i].value != v[kept - 1].value)
			v[kept++] = v[i];
	}
	*n = kept;
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
static uint32_t find(const struct tree *t, struct addr a)
{
	uint32_t value = root(t), w[4], word = 0;
	bool v4 = addr_is_v4(a);

	memcpy(w, &a, sizeof(w));
	if (v4) {
		value--;
		word = 3;
	}
	for (value |= SLU_TREE_CHILD; value & SLU_TREE_CHILD;) {
		const struct slu_tree_node *node = &t->nodes[(value & SLU_TREE_VALUE) - BASE];
		size_t i = 0;

		word += !!(value & SLU_TREE_WORD);
		while (i + 1 < SLU_TREE_WAYS && node->key[i + 1] <= ntohl(w[word]))
			i++;
		value = node->value[i];
	}
	return value;
}

static uint32_t find_linear(const struct tree_interval *v, size_t n, struct addr a)
{
	while (n > 1 && addr_cmp(v[n - 1].first, a) > 0)
		n--;
	return v[n - 1].value;
}

static const size_t sizes[] = {1, 2, 3, 15, 16, 17, 18, 100, 255, 256, 257, 258, 1000, 5000};

static void reads_back_what_was_built(void **state)
{
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		size_t n = sizes[s], got_n;
		struct tree_interval *v = intervals_make(&n), *got;
		struct tree t = tree_make(v, n);

		assert_int_equal(tree_read(node_get, &t, root(&t), &got, &got_n), 0);
		assert_int_equal(got_n, n);
		for (size_t i = 0; i < n; i++) {
			assert_true(addr_eq(got[i].first, v[i].first));
			assert_int_equal(got[i].value, v[i].value);
		}
		assert_int_equal(t.asked, t.n);
		free(got);
		free(t.nodes);
		free(v);
	}
}

static struct addr addr_before(struct addr a)
{
	for (size_t i = sizeof(a.b); i-- && !a.b[i]--;)
		;
	return a;
}

static void finds_the_interval_of_each_address(void **state)
{
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		size_t n = sizes[s];
		struct tree_interval *v = intervals_make(&n);
		struct tree t = tree_make(v, n);

		for (size_t i = 0; i < n + 1000; i++) {
			struct addr a = i < n ? v[i].first : addr_make();
			struct addr near[] = {a, addr_next(a), addr_before(a)};

			for (size_t k = 0; k < 3; k++)
				assert_int_equal(find(&t, near[k]), find_linear(v, n, near[k]));
		}
		free(t.nodes);
		free(v);
	}
}

/* What begins where IPv4 ends, or just before; and the highest addresses of both. */
static void knows_the_edges_of_ipv4(void **state)
{
	static const char *const firsts[] = {"0.0.0.0", "255.255.255.255", "::1:0:0:0",
					     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};

	for (unsigned int mask = 0; mask < 16; mask++) {
		struct tree_interval v[5] = {{.value = 1}}, *got;
		struct tree t;
		size_t n = 1, got_n;

		for (size_t i = 0; i < 4; i++) {
			if (mask >> i & 1)
				v[n++] = (struct tree_interval){addr_of(firsts[i]), 0};
		}
		for (size_t i = 1; i < n; i++)
			v[i].value = v[i - 1].value % 3 + 1;
		t = tree_make(v, n);
		for (size_t i = 0; i < 4; i++) {
			struct addr a = addr_of(firsts[i]), before = addr_before(a);

			assert_int_equal(find(&t, a), find_linear(v, n, a));
			assert_int_equal(find(&t, before), find_linear(v, n, before));
		}
		assert_int_equal(tree_read(node_get, &t, root(&t), &got, &got_n), 0);
		assert_int_equal(got_n, n);
		assert_memory_equal(got, v, n * sizeof(*v));
		free(got);
		free(t.nodes);
	}
}

static void takes_two_nodes_for_what_is_simple(void **state)
{
	struct tree_interval v[3] = {
		{.value = 5}, {addr_of("10.0.0.0"), 6}, {addr_of("11.0.0.0"), 5}};

	assert_int_equal(tree_size(v, 1), 2);
	assert_int_equal(tree_size(v, 3), 2);
}

static void refuses_what_is_no_tree(void **state)
{
	size_t wanted = 1000, n;
	struct tree_interval *v = intervals_make(&wanted), *got = NULL;
	struct tree t = tree_make(v, wanted);
	struct slu_tree_node *top = &t.nodes[t.n - 2];
	uint32_t saved = top->value[1];

	assert_int_equal(tree_read(node_get, &t, 1, &got, &n), -EINVAL);
	top->value[1] = SLU_TREE_CHILD | (root(&t) - 1); /* into itself */
	assert_int_equal(tree_read(node_get, &t, root(&t), &got, &n), -EINVAL);
	top->value[1] = SLU_TREE_CHILD | 5; /* not there */
	assert_int_equal(tree_read(node_get, &t, root(&t), &got, &n), -EINVAL);
	top->value[1] = SLU_TREE_CHILD | SLU_TREE_WORD | BASE; /* a fifth word */
	assert_int_equal(tree_read(node_get, &t, root(&t), &got, &n), -EINVAL);
	top->value[1] = saved;
	t.nodes[0].key[3] = 0; /* not ascending */
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
		cmocka_unit_test(knows_the_edges_of_ipv4),
		cmocka_unit_test(takes_two_nodes_for_what_is_simple),
		cmocka_unit_test(refuses_what_is_no_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
