/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One kubeconfig, or several that count as one: of two entries of a name the first is meant, and
 * paths in it are relative to its own file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic_file.h"
#include "base/mem.h"
#include "source/kube_conf_priv.h"

#define FILE_MAX (1024 * 1024)

/* The entry of the list that is called name: [{name: …, what: {…}}] */
static int find_in(const struct kube_context_file *f, const char *list, const char *what,
		   const char *name, struct kube_named *ret, struct err *e)
{
	const struct json *entries = json_get(f->root, list);

	for (size_t i = 0; i < json_len(entries); i++) {
		const struct json *entry = json_at(entries, i);
		const char *its;

		if (json_string(json_get(entry, "name"), &its, NULL) < 0 || strcmp(its, name) != 0)
			continue;
		*ret = (struct kube_named){json_get(entry, what), f->path};
		if (ret->value)
			return 0;
		err_set(e, -EINVAL, "%s.%s: missing", json_path(entry), what);
		return err_wrap(e, "%s", f->path);
	}
	return -ENOENT;
}

static int find_named(const struct kube_context *x, const char *list, const char *what,
		      const char *name, struct kube_named *ret, struct err *e)
{
	for (size_t i = 0; i < x->n_files; i++) {
		int r = find_in(&x->files[i], list, what, name, ret, e);

		if (r != -ENOENT)
			return r;
	}
	err_set(e, -EINVAL, "%s: none is called \"%s\"", list, name);
	return err_wrap(e, "%s", x->paths);
}

static int get_current(const struct kube_context *x, const char **ret, struct err *e)
{
	for (size_t i = 0; i < x->n_files; i++) {
		int r = kube_conf_string(x->files[i].root, "current-context", ret, e);

		if (r < 0)
			return err_wrap(e, "%s", x->files[i].path);
		if (*ret)
			return 0;
	}
	err_set(e, -EINVAL, "current-context: missing: name one of contexts");
	return err_wrap(e, "%s", x->paths);
}

static int read_context(const struct kube_named *context, const char **ret_cluster,
			const char **ret_user, const char **ret_namespace, struct err *e)
{
	int r = kube_conf_string(context->value, "cluster", ret_cluster, e);

	if (r == 0)
		r = kube_conf_string(context->value, "user", ret_user, e);
	if (r == 0)
		r = kube_conf_string(context->value, "namespace", ret_namespace, e);
	if (r == 0 && !*ret_cluster)
		r = err_set(e, -EINVAL, "%s.cluster: missing", json_path(context->value));
	return r < 0 ? err_wrap(e, "%s", context->file) : 0;
}

static int get_context(struct kube_context *x, const char *name, struct err *e)
{
	const char *cluster, *user = NULL;
	struct kube_named context;
	int r = name ? 0 : get_current(x, &name, e);

	if (r == 0)
		r = find_named(x, "contexts", "context", name, &context, e);
	if (r == 0)
		r = read_context(&context, &cluster, &user, &x->namespace, e);
	if (r == 0)
		r = find_named(x, "clusters", "cluster", cluster, &x->cluster, e);
	if (r == 0 && user)
		r = find_named(x, "users", "user", user, &x->user, e);
	return r;
}

static int read_document(const char *text, size_t len, struct json **ret, struct err *e)
{
	struct json *doc = NULL, *second = NULL;
	struct yaml *y;
	int r = yaml_open(text, len, &y, e);

	if (r < 0)
		return r;
	r = yaml_next(y, &doc, e);
	if (r == 0)
		r = yaml_next(y, &second, e);
	yaml_close(y);
	if (r == 0 && second)
		r = err_set(e, -EINVAL, "line %d: a second document", json_line(second));
	if (r == 0)
		r = json_expect(doc, JSON_OBJECT, e);
	json_free(second);
	if (r == 0)
		*ret = TAKE(doc);
	json_free(doc);
	return r;
}

static int read_file(const char *path, struct json **ret, struct err *e)
{
	__cleanup_free char *text = NULL;
	size_t len;
	int r = atomic_file_load(AT_FDCWD, path, FILE_MAX, &text, &len, e);

	if (r < 0)
		return r; /* names the file */
	r = read_document(text, len, ret, e);
	return r < 0 ? err_wrap(e, "%s", path) : 0;
}

static int files_add(struct kube_context *x, const char *path, struct err *e)
{
	struct json *root = NULL;
	int r = read_file(path, &root, e);

	if (r < 0)
		return r;
	MEM_GROW(x->files, x->n_files);
	x->files[x->n_files++] = (struct kube_context_file){mem_strdup(path), root};
	return 0;
}

/* One that is not there is left out, as kubectl does, unless there is none at all. */
static int files_read(struct kube_context *x, const char *paths, struct err *e)
{
	__cleanup_free char *copy = mem_strdup(paths);
	char *save = NULL;
	int r = 0;

	for (char *path = strtok_r(copy, ":", &save); path && (r == 0 || r == -ENOENT);
	     path = strtok_r(NULL, ":", &save))
		r = files_add(x, path, e);
	return r == -ENOENT && x->n_files ? 0 : r;
}

int kube_context_read(const char *paths, const char *name, struct kube_context *ret, struct err *e)
{
	int r;

	*ret = (struct kube_context){.paths = mem_strdup(paths)};
	r = files_read(ret, paths, e);
	if (r == 0)
		r = get_context(ret, name, e);
	if (r < 0)
		kube_context_done(ret);
	return r;
}

void kube_context_done(struct kube_context *x)
{
	for (size_t i = 0; i < x->n_files; i++) {
		free(x->files[i].path);
		json_free(x->files[i].root);
	}
	free(x->files);
	free(x->paths);
	*x = (struct kube_context){0};
}
