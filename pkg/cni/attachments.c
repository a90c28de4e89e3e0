/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/attachments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct attachment {
	const char *container_id, *ifname; /* borrowed from the request's tree */
};

struct cni_attachments {
	struct attachment *items; /* sorted */
	size_t n;
};

static int attachment_cmp(const void *a, const void *b)
{
	const struct attachment *x = a, *y = b;
	int c = strcmp(x->container_id, y->container_id);

	return c ? c : strcmp(x->ifname, y->ifname);
}

static int member_parse(const struct json *obj, const char *key, const char **ret, struct err *e)
{
	const struct json *j = json_get_nocase(obj, key);

	if (!j)
		return err_set(e, -EINVAL, "%s: no %s", json_path(obj), key);
	return json_string(j, ret, e);
}

static int attachment_parse(const struct json *j, struct attachment *ret, struct err *e)
{
	int r = json_expect(j, JSON_OBJECT, e);

	if (r == 0)
		r = member_parse(j, "containerID", &ret->container_id, e);
	if (r == 0)
		r = member_parse(j, "ifname", &ret->ifname, e);
	return r;
}

static const struct json *list_find(const struct json *conf)
{
	static const char *const keys[] = {"cni.dev/valid-attachments", "cni.dev/attachments"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct json *j = json_get_nocase(conf, keys[i]);

		if (json_type(j) != JSON_NULL)
			return j;
	}
	return NULL;
}

int cni_attachments_parse(const struct json *conf, struct cni_attachments **ret, struct err *e)
{
	__cleanup(cni_attachments_freep) struct cni_attachments *a = NULL;
	const struct json *list = list_find(conf);
	int r;

	*ret = NULL;
	if (!list)
		return 0;
	r = json_expect(list, JSON_ARRAY, e);
	if (r < 0)
		return r;
	a = mem_alloc0(sizeof(*a));
	a->items = mem_alloc0(json_len(list) * sizeof(*a->items));
	for (size_t i = 0; i < json_len(list); i++) {
		r = attachment_parse(json_at(list, i), &a->items[a->n++], e);
		if (r < 0)
			return r;
	}
	qsort(a->items, a->n, sizeof(*a->items), attachment_cmp);
	*ret = TAKE(a);
	return 0;
}

void cni_attachments_free(struct cni_attachments *a)
{
	if (!a)
		return;
	free(a->items);
	free(a);
}

bool cni_attachments_have(const struct cni_attachments *a, const char *container_id,
			  const char *ifname)
{
	const struct attachment key = {container_id, ifname};

	return bsearch(&key, a->items, a->n, sizeof(*a->items), attachment_cmp);
}
