/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi.h"
#include "policy/compiled.h"
#include "policy/image_format.h"

uint32_t pod_spread(const char *namespace, const char *name)
{
	return (uint32_t)name_hash(namespace, name);
}

uint32_t pod_tenant(const char *namespace)
{
	return (uint32_t)name_hash(namespace && *namespace ? namespace : "default", "");
}

static int resolve(const struct compiled *c, const struct pod_info *pod, bool audit,
		   struct binding *ret)
{
	struct image img = {.data = c->subjects, .len = c->subjects_len};
	struct image_bindings both;
	int r = image_match(&img, pod, &both);

	*ret = (struct binding){};
	if (r < 0)
		return r;
	*ret = audit ? both.audit : both.enforced;
	binding_done(audit ? &both.enforced : &both.audit);
	return audit ? both.audit_undecided : both.undecided;
}

int policy_resolve(const struct compiled *c, const struct pod_info *pod, struct binding *ret)
{
	return resolve(c, pod, false, ret);
}

int policy_resolve_audit(const struct compiled *c, const struct pod_info *pod, struct binding *ret)
{
	return resolve(c, pod, true, ret);
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

/* The policy id of a binding whose program is in the kernel, else 0. */
static uint32_t program_of(const struct image *img, const struct binding *b)
{
	struct image_program_rec rec;

	return b->n && program_find(img, b->key, &rec) ? rec.policy : 0;
}

static void answer_policies(const struct binding *b, struct image_answer *ret)
{
	ret->key = b->key;
	ret->n_policies = (uint32_t)b->n;
	for (size_t i = 0; i < b->n && i < sizeof(ret->policies) / sizeof(*ret->policies); i++)
		ret->policies[i] = b->policies[i];
}

int image_resolve(const struct image *img, const struct pod_info *pod, struct image_answer *ret)
{
	struct image_bindings both;
	int r;

	*ret = (struct image_answer){.spread = pod_spread(pod->namespace, pod->name)};
	if (is_exempt(img, pod->namespace))
		ret->flags = SLU_POD_NO_SOURCE_CHECK;
	r = image_match(img, pod, &both);
	if (r < 0)
		return r;
	answer_policies(&both.enforced, ret);
	ret->policy = program_of(img, &both.enforced);
	ret->audit_key = both.audit.key;
	ret->audit_policy = program_of(img, &both.audit);
	if (both.undecided)
		ret->kind = IMAGE_UNDECIDED;
	else if (!both.enforced.n)
		ret->kind = IMAGE_FREE;
	else
		ret->kind = ret->policy ? IMAGE_POLICY : IMAGE_NO_PROGRAM;
	image_bindings_done(&both);
	return 0;
}
