/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bpf/abi.h"
#include "policy/compiled.h"
#include "policy/image_format.h"

uint32_t pod_spread(const char *namespace, const char *name)
{
	return (uint32_t)name_hash(namespace, name);
}

int policy_resolve(const struct compiled *c, const struct pod_info *pod, struct binding *ret)
{
	struct image img = {c->subjects, c->subjects_len};

	*ret = (struct binding){};
	return image_match(&img, pod, &ret->policies, &ret->n, &ret->key);
}

void binding_done(struct binding *b)
{
	free(b->policies);
	*b = (struct binding){};
}

static const struct image_program_rec *program_find(const struct image *img, uint64_t key,
						    struct image_program_rec *ret)
{
	struct image_header h;
	size_t lo = 0, hi;

	memcpy(&h, img->data, sizeof(h));
	hi = h.sections[IMAGE_PROGRAMS].count;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		memcpy(ret, img->data + h.sections[IMAGE_PROGRAMS].offset + mid * sizeof(*ret),
		       sizeof(*ret));
		if (ret->key == key)
			return ret;
		if (ret->key < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool is_exempt(const struct image *img, const char *namespace)
{
	struct image_header h;
	const char *s, *end;

	memcpy(&h, img->data, sizeof(h));
	s = (const char *)img->data + h.sections[IMAGE_EXEMPT].offset;
	for (end = s + h.sections[IMAGE_EXEMPT].count; s < end; s += strlen(s) + 1)
		if (strcmp(s, namespace) == 0)
			return true;
	return false;
}

int image_resolve(const struct image *img, const struct pod_info *pod, struct image_answer *ret)
{
	__cleanup_free uint32_t *policies = NULL;
	struct image_program_rec rec;
	size_t n = 0;
	int r;

	*ret = (struct image_answer){.spread = pod_spread(pod->namespace, pod->name)};
	if (is_exempt(img, pod->namespace))
		ret->flags = SLU_POD_NO_SOURCE_CHECK;
	r = image_match(img, pod, &policies, &n, &ret->key);
	if (r < 0)
		return r;
	ret->n_policies = (uint32_t)n;
	for (size_t i = 0; i < n && i < sizeof(ret->policies) / sizeof(*ret->policies); i++)
		ret->policies[i] = policies[i];
	if (r || !n) {
		ret->kind = r ? IMAGE_UNDECIDED : IMAGE_FREE;
		return 0;
	}
	ret->kind = program_find(img, ret->key, &rec) ? IMAGE_POLICY : IMAGE_NO_PROGRAM;
	if (ret->kind == IMAGE_POLICY)
		ret->policy = rec.policy;
	return 0;
}
