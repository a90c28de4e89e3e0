/* SPDX-License-Identifier: Apache-2.0 */
/* Ids in the order in which patterns were first seen; the kernel does not know them yet. */
#include "reconcile/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct names {
	char **patterns; /* by id - 1 */
	size_t n;
};

int names_load(struct bpf_pins *pins, struct names **ret, struct err *e)
{
	*ret = mem_alloc0(sizeof(**ret));
	return 0;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n; i++)
		free(n->patterns[i]);
	free(n->patterns);
	free(n);
}

static uint32_t name_id(struct names *n, const char *pattern)
{
	for (size_t i = 0; i < n->n; i++)
		if (strcmp(n->patterns[i], pattern) == 0)
			return (uint32_t)i + 1;
	MEM_GROW(n->patterns, n->n);
	n->patterns[n->n++] = mem_strdup(pattern);
	return (uint32_t)n->n;
}

int names_apply(struct names *n, struct bpf_pins *pins, const char *const *patterns, size_t count,
		uint32_t *ids, struct err *e)
{
	for (size_t i = 0; i < count; i++)
		ids[i] = name_id(n, patterns[i]);
	return 0;
}

int names_retire(struct names *n, struct bpf_pins *pins, const uint32_t *used, size_t n_used,
		 struct err *e)
{
	return 0;
}
