/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/policies.h"

#include <errno.h>
#include <string.h>

#include "base/atomic_file.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"
#include "source/folder.h"
#include "state/fingerprint.h"

#define FINGERPRINT_NONE  1 /* no folder's, and not 0: that says that there is no folder */
#define LAST_GOOD	  "last-good.json"
#define LAST_GOOD_VERSION 1
#define MAX_LAST_GOOD	  (512u << 20)

/* ---- last good ---- */

/* The text of a file that is not as it was any more, from what was kept when it was. */
static int text_kept(const char *kept, size_t len, struct folder_file *f, struct err *e)
{
	__cleanup_json struct json *root = NULL;
	const struct json *list;
	const char *name, *text;
	int r = kept ? json_parse(kept, len, &root, e) : -ENOENT;

	list = json_get(root, "files");
	for (size_t i = 0; r == 0 && i < json_len(list); i++) {
		const struct json *o = json_at(list, i);

		if (json_string(json_get(o, "name"), &name, NULL) == 0 &&
		    strcmp(name, f->name) == 0 &&
		    json_string(json_get(o, "text"), &text, NULL) == 0 && strlen(text) == f->len) {
			f->data = mem_strdup(text);
			return 0;
		}
	}
	return err_set(e, -ESTALE, "%s: its text is not known any more", f->name);
}

/* Files that an edit left as they were have not been read. */
static int texts_fill(const char *dir, struct folder *f, const char *kept, size_t len,
		      struct err *e)
{
	for (size_t i = 0; i < f->n; i++) {
		int r = 0;

		if (!f->files[i].data && folder_fill(dir, &f->files[i], NULL) < 0)
			r = text_kept(kept, len, &f->files[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int last_good_store(const char *dir, int state_fd, struct folder *f, struct err *e)
{
	__cleanup_json struct json *root = json_new_object();
	__cleanup_free char *text = NULL, *old = NULL;
	struct json *list = json_new_array();
	size_t len = 0;
	int r;

	json_set(root, "version", json_new_int(LAST_GOOD_VERSION));
	json_set(root, "files", list);
	if (atomic_file_load(state_fd, LAST_GOOD, MAX_LAST_GOOD, &old, &len, NULL) < 0)
		len = 0;
	r = texts_fill(dir, f, old, len, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < f->n; i++) {
		struct json *o = json_new_object();

		json_set(o, "name", json_new_string(f->files[i].name));
		json_set(o, "text", json_new_string(f->files[i].data));
		json_append(list, o);
	}
	text = json_emit(root, 0);
	if (old && len == strlen(text) && memcmp(old, text, len) == 0)
		return 0;
	return atomic_file_store(state_fd, LAST_GOOD, text, strlen(text), 0600, e);
}

static int last_good_file(const struct json *o, struct folder *f, struct err *e)
{
	const char *name, *text;
	int r = json_string(json_get(o, "name"), &name, e);

	if (r == 0)
		r = json_string(json_get(o, "text"), &text, e);
	if (r < 0)
		return r;
	MEM_GROW(f->files, f->n);
	f->files[f->n++] = (struct folder_file){
		.name = mem_strdup(name),
		.data = mem_strdup(text),
		.len = strlen(text),
	};
	return 0;
}

static int last_good_load(struct policies *p, const char *dir, int state_fd, struct doc_set **ret,
			  struct err *e)
{
	__cleanup_folder struct folder f = {0};
	__cleanup_json struct json *root = NULL;
	__cleanup_free char *text = NULL;
	const struct json *list;
	int64_t version;
	size_t len;
	int r;

	r = atomic_file_load(state_fd, LAST_GOOD, MAX_LAST_GOOD, &text, &len, e);
	if (r == 0)
		r = json_parse(text, len, &root, e);
	if (r == 0)
		r = json_int(json_get(root, "version"), 1, LAST_GOOD_VERSION, &version, e);
	if (r < 0)
		return r;
	list = json_get(root, "files");
	for (size_t i = 0; r == 0 && i < json_len(list); i++)
		r = last_good_file(json_at(list, i), &f, e);
	return r < 0 ? r : policy_files_parse(&p->files, dir, &f, ret, e);
}

/* ---- the folder ---- */

/* What the folder is like is the matter, not the reading of it. */
static bool folder_refuses(int r)
{
	static const int codes[] = {EINVAL, EFBIG, ENOENT, EACCES, EPERM, ELOOP, EISDIR, ENOTDIR};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (r == -codes[i])
			return true;
	return false;
}

static int folder_load(const char *dir, struct policies *p, struct doc_set **ret, struct err *e)
{
	__cleanup_folder struct folder f = {0};
	int r;

	r = folder_read_after(dir, &p->files.seen, &f, e);
	p->unread = r < 0 && !folder_refuses(r);
	if (r < 0)
		return r;
	p->fingerprint = f.fingerprint;
	r = policy_files_parse(&p->files, dir, &f, ret, e);
	if (r == 0) {
		folder_done(&p->unkept);
		p->unkept = f;
		f = (struct folder){0};
	}
	return r;
}

void policies_keep(struct policies *p, const char *dir, int state_fd)
{
	struct err e = {0};

	if (p->objects && objects_keep(p->objects, &e) < 0)
		log_warn("objects of the API not kept", "error=%s", log_quote(e.msg));
	if (!p->unkept.fingerprint)
		return;
	if (last_good_store(dir, state_fd, &p->unkept, &e) < 0)
		log_warn("last good policies not kept", "error=%s", log_quote(e.msg));
	folder_done(&p->unkept);
}

static void set_replace(struct policies *p, struct doc_set *take, struct doc_set **old)
{
	if (old)
		*old = p->set;
	else
		doc_set_free(p->set);
	p->set = take;
}

static int objects_refresh(struct policies *p, struct doc_set **old_set)
{
	struct doc_set *set = NULL;

	p->err = (struct err){0};
	if (!objects_known(p->objects, &p->err) || objects_set(p->objects, &set) == 0)
		return 0;
	set_replace(p, set, old_set);
	return 1;
}

bool policies_stale(const struct policies *p, const char *dir)
{
	uint64_t now;

	if (p->objects)
		return objects_changed(p->objects);
	return policy_fingerprint(dir, &now, NULL) == 0 && now != p->fingerprint;
}

int policies_refresh(struct policies *p, const char *dir, int state_fd, struct doc_set **old_set,
		     struct err *e)
{
	struct doc_set *set = NULL;
	struct err bad = {0};
	uint64_t fingerprint;
	int r;

	if (p->objects)
		return objects_refresh(p, old_set);
	r = policy_fingerprint(dir, &fingerprint, e);
	if (r < 0)
		return r;
	if (p->fingerprint == fingerprint)
		return 0;
	r = folder_load(dir, p, &set, &bad);
	if (folder_refuses(r))
		p->fingerprint = fingerprint; /* seen: nothing to do before it changes */
	if (r == 0) {
		p->last_good = false;
		p->err = (struct err){0};
		set_replace(p, set, old_set);
		return 1;
	}
	if (strcmp(p->err.msg, bad.msg) != 0)
		log_error("policies refused", "error=%s", log_quote(bad.msg));
	p->err = bad;
	p->err.code = r;
	p->last_good = true;
	if (p->set || last_good_load(p, dir, state_fd, &set, &bad) < 0)
		return 0;
	log_warn("last good policies in force", "folder=%s", log_quote(dir));
	if (p->unread)
		p->fingerprint = FINGERPRINT_NONE;
	set_replace(p, set, old_set);
	return 1;
}

static int log_read(struct policies *p, int state_fd, struct err *e)
{
	int r = objects_new(state_fd, false, &p->objects, e);

	if (r == 0 && !objects_known(p->objects, e))
		r = -EAGAIN;
	if (r == 0)
		objects_set(p->objects, &p->set);
	return r;
}

int policies_read(struct policies *p, const char *dir, int state_fd, struct err *e)
{
	__cleanup_folder struct folder f = {0};
	int r;

	if (state_fd >= 0 && objects_logged(state_fd))
		return log_read(p, state_fd, e);
	r = folder_read(dir, &f, &p->err);
	p->fingerprint = f.fingerprint;
	if (r == 0)
		r = policy_files_parse(&p->files, dir, &f, &p->set, &p->err);
	p->err.code = r;
	p->last_good = r < 0;
	if (r < 0 && (state_fd < 0 || last_good_load(p, dir, state_fd, &p->set, NULL) < 0)) {
		if (e)
			*e = p->err;
		return r;
	}
	return 0;
}

void policies_done(struct policies *p)
{
	doc_set_free(p->set);
	objects_free(p->objects);
	policy_files_done(&p->files);
	folder_done(&p->unkept);
	*p = (struct policies){0};
}
