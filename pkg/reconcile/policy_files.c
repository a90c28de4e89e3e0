/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/policy_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/mem.h"

DEFINE_CLEANUP(struct doc_set *, doc_set_free);

struct policy_file {
	char *name;
	uint64_t hash; /* of its text */
	size_t len;
	struct doc_set *set;
};

void policy_files_done(struct policy_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		free(files->items[i].name);
		doc_set_free(files->items[i].set);
	}
	free(files->items);
	doc_set_free(files->whole);
	*files = (struct policy_files){0};
}

static int compare_file(const void *name, const void *file)
{
	return strcmp(name, ((const struct policy_file *)file)->name);
}

static const struct policy_file *file_find(const struct policy_files *files, const char *name)
{
	return files->n ? bsearch(name, files->items, files->n, sizeof(*files->items), compare_file)
			: NULL;
}

/* What it holds, from the last time when its text is still the same. */
static int file_parse(const struct policy_files *files, const char *dir,
		      const struct folder_file *f, struct policy_file *ret, struct err *e)
{
	const struct policy_file *old = file_find(files, f->name);
	__cleanup_free char *path = mem_printf("%s/%s", dir, f->name);

	*ret = (struct policy_file){
		.name = mem_strdup(f->name),
		.hash = hash_bytes(f->data, f->len, 0),
		.len = f->len,
	};
	if (old && old->hash == ret->hash && old->len == f->len) {
		ret->set = doc_set_ref(old->set);
		return 0;
	}
	ret->set = doc_set_new();
	return doc_set_add_text(ret->set, path, f->data, f->len, e);
}

int policy_files_parse(struct policy_files *files, const char *dir, const struct folder *folder,
		       struct doc_set **ret, struct err *e)
{
	__cleanup(doc_set_freep) struct doc_set *set = doc_set_new();
	__cleanup(policy_files_done) struct policy_files now = {
		.items = mem_alloc0(folder->n * sizeof(*now.items))};
	int r = 0;

	while (r == 0 && now.n < folder->n) {
		const struct folder_file *f = &folder->files[now.n];

		r = file_parse(files, dir, f, &now.items[now.n], e);
		now.n++;
	}
	for (size_t i = 0; r == 0 && i < now.n; i++)
		doc_set_add_part(set, now.items[i].set);
	if (r == 0)
		r = doc_set_finish_after(set, files->whole, e);
	if (r < 0)
		return r;
	policy_files_done(files);
	*files = now;
	files->whole = doc_set_ref(set);
	now = (struct policy_files){0};
	*ret = TAKE(set);
	return 0;
}
