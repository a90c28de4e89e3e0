/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/policies.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "source/folder.h"
#include "state/fingerprint.h"

#define KEEP_AGAIN_MS	 5000
#define FINGERPRINT_NONE 1 /* no folder's, and not 0: that says that there is no folder */

/* ---- the folder ---- */

static int set_load(struct policies *p, const char *dir, int state_fd, struct doc_set **ret,
		    struct err *e)
{
	__cleanup_folder struct folder f = {0};
	int r = last_good_load(state_fd, &f, e);

	return r < 0 ? r : policy_files_parse(&p->files, dir, &f, ret, e);
}

/*
 * A folder that is not there, though there were policies in it: not mounted (yet), or moved away by
 * mistake. Whoever wants none leaves an empty one; on silence nobody is let go.
 */
static int folder_gone(const struct policies *p, const char *dir, int state_fd, struct err *e)
{
	__cleanup_folder struct folder kept = {0};
	int r = 0;

	if (!p->set)
		r = state_fd < 0 ? -ENOENT : last_good_load(state_fd, &kept, NULL);
	if (r == -ENOENT || (r == 0 && !(p->set ? p->files.n : kept.n)))
		return 0;
	return err_set(e, -ESTALE,
		       "%s: the folder is gone: put it back, or make an empty one if no policy is "
		       "to be in force",
		       dir);
}

/* What the folder is like is the matter, not the reading of it. */
static bool folder_refuses(int r)
{
	static const int codes[] = {EINVAL, EFBIG, ENOENT, EACCES, EPERM, ELOOP, EISDIR, ENOTDIR};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (r == -codes[i])
			return true;
	return false;
}

static int folder_load(const char *dir, struct policies *p, int state_fd, struct doc_set **ret,
		       struct err *e)
{
	__cleanup_folder struct folder f = {0};
	int r;

	r = folder_read_after(dir, &p->files.seen, &f, e);
	p->unread = r < 0 && !folder_refuses(r);
	if (r == 0 && !f.exists)
		r = folder_gone(p, dir, state_fd, e);
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

static int keep(struct policies *p, const char *dir, int state_fd, struct err *e)
{
	int r;

	if (p->objects)
		return objects_keep(p->objects, e);
	r = p->unkept.fingerprint ? last_good_store(&p->kept, state_fd, dir, &p->unkept, e) : 0;
	if (r == 0 || r == -ESTALE) /* then the folder has others by now */
		folder_done(&p->unkept);
	return r;
}

void policies_keep(struct policies *p, const char *dir, int state_fd)
{
	const char *what = p->objects ? "objects of the API" : "last good policies";
	struct err e = {0};
	int r;

	if (p->keep_at > clock_ms())
		return;
	r = keep(p, dir, state_fd, &e);
	if (r < 0 && !p->keep_at)
		log_warn("not kept for the next start", "what=%s error=%s", log_quote(what),
			 log_quote(e.msg));
	else if (r == 0 && p->keep_at)
		log_info("kept for the next start again", "what=%s", log_quote(what));
	p->keep_at = r < 0 ? clock_ms() + KEEP_AGAIN_MS : 0;
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
	r = folder_load(dir, p, state_fd, &set, &bad);
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
	if (p->set || set_load(p, dir, state_fd, &set, &bad) < 0)
		return 0;
	log_warn("last good policies in force", "folder=%s", log_quote(dir));
	if (!folder_refuses(r)) /* one that is gone has the fingerprint of an empty one */
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
	if (r == 0 && !f.exists)
		r = folder_gone(p, dir, state_fd, &p->err);
	if (r == 0)
		r = policy_files_parse(&p->files, dir, &f, &p->set, &p->err);
	p->err.code = r;
	p->last_good = r < 0;
	if (r < 0 && (state_fd < 0 || set_load(p, dir, state_fd, &p->set, NULL) < 0)) {
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
	last_good_free(p->kept);
	*p = (struct policies){0};
}
