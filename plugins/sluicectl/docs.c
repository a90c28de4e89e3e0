/* SPDX-License-Identifier: Apache-2.0 */
#include "docs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/atomic_file.h"
#include "base/mem.h"

DEFINE_CLEANUP(struct doc_set *, doc_set_free);

void docs_warn_empty(const char *path, const struct folder *f)
{
	if (f->n == 0)
		ctl_warn("no policies in %s: no file's name ends in .yaml, .yml or .json (folders "
			 "in "
			 "it are not looked into)",
			 path);
}

static int read_folder(struct doc_set *set, const char *path, struct err *e)
{
	__cleanup_folder struct folder f = {0};
	int r = folder_read(path, &f, e);

	if (r == 0 && !f.exists)
		return err_sys(e, -ENOENT, "%s", path);
	if (r == 0)
		docs_warn_empty(path, &f);
	for (size_t i = 0; r == 0 && i < f.n; i++) {
		__cleanup_free char *name = mem_printf("%s/%s", path, f.files[i].name);

		r = doc_set_add_text(set, name, f.files[i].data, f.files[i].len, e);
	}
	return r;
}

static int read_file(struct doc_set *set, const char *path, struct err *e)
{
	__cleanup_free char *data = NULL;
	size_t len = 0;
	int r = atomic_file_load(AT_FDCWD, path, FOLDER_MAX_FILE, &data, &len, e);

	return r < 0 ? r : doc_set_add_text(set, path, data, len, e);
}

int docs_read(const char *path, struct doc_set **ret, struct err *e)
{
	__cleanup(doc_set_freep) struct doc_set *set = doc_set_new();
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return err_sys(e, -errno, "%s", path);
	r = S_ISDIR(st.st_mode) ? read_folder(set, path, e) : read_file(set, path, e);
	if (r == 0)
		r = doc_set_finish(set, e);
	if (r < 0)
		return r;
	*ret = TAKE(set);
	return 0;
}

static bool says_what_is_inside(const struct doc_set *set)
{
	for (size_t i = 0; i < set->n_configs; i++)
		if (set->configs[i].n_cluster_cidrs)
			return true;
	return false;
}

struct node_view docs_node(const struct ctl *ctl, const struct doc_set *const *sets, size_t n)
{
	static struct cidr own; /* sluice0's own address: inside everywhere */
	struct node_view node = {
		.name = ctl->conf.node_name,
		.cluster_cidrs = ctl->conf.cluster_cidrs,
		.n_cluster_cidrs = ctl->conf.n_cluster_cidrs,
		.now = time(NULL),
	};
	bool said = true;

	for (size_t i = 0; i < n; i++)
		said = said && says_what_is_inside(sets[i]);
	if (!node.n_cluster_cidrs && !said && cidr_parse("169.254.83.1/32", &own) == 0) {
		node.cluster_cidrs = &own;
		node.n_cluster_cidrs = 1;
	}
	return node;
}
