/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify watches folders, not paths. So every folder that one walks through to
 * reach the policy folder, and to reach the target of each symlink in it, is
 * watched for the one name that is looked up there; the policy folder itself for
 * all names. After a burst of events the way is walked anew (it may lead elsewhere
 * now) and the fingerprint compared: Kubernetes' swap of "..data", a remount of a
 * link, a folder that appears are all the same case.
 */
#include "source/file_watch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "state/fingerprint.h"

#define DEBOUNCE_MS   50
#define PATIENCE_MS   500
#define RETRY_MS      5000 /* no watches left in the system: look every now and then */
#define MAX_LINKS     40
#define MAX_INTERESTS (64 * 1024)

/*
 * What is written into a file concerns whoever reads it, not who passes its folder: /etc and /tmp
 * are on many ways. A folder may be both, so the events add up.
 */
#define EVENTS_PASSED                                                                       \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | \
	 IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK | IN_MASK_ADD)
#define EVENTS (EVENTS_PASSED | IN_CLOSE_WRITE)

struct interest {
	int wd;
	char *name; /* NULL: all */
};

struct interests {
	struct interest *items;
	size_t n;
};

struct file_watch {
	struct loop *loop;
	char *path;  /* absolute */
	bool single; /* it is no folder */
	void (*changed)(void *data);
	void *data;
	int inotify;
	struct loop_timer *timer;
	int64_t burst_since; /* ms, 0 = quiet */
	bool content;	     /* a policy file was written: call even if size and time are equal */
	uint64_t fingerprint;
	struct interests interests;
};

static void interests_done(struct interests *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i].name);
	free(list->items);
	*list = (struct interests){0};
}

static int interests_add(struct interests *list, int inotify, const char *folder, const char *name,
			 uint32_t events)
{
	int wd;

	if (list->n == MAX_INTERESTS)
		return -ENOSPC;
	wd = inotify_add_watch(inotify, folder[0] ? folder : "/", events);
	/* vanished just now: its parent is watched, and will tell; or not ours to read */
	if (wd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
	MEM_GROW(list->items, list->n);
	list->items[list->n++] = (struct interest){wd, mem_strdup(name)};
	return 0;
}

/* Cuts the first component off *rest (which it rewrites); NULL when there is none. */
static char *next_component(char **rest)
{
	char *s = *rest + strspn(*rest, "/"), *end;

	if (!*s)
		return NULL;
	end = s + strcspn(s, "/");
	*rest = *end ? end + 1 : end;
	*end = '\0';
	return s;
}

static void go_up(char *at)
{
	char *slash = strrchr(at, '/');

	if (slash)
		*slash = '\0';
}

/* Appends "/name" to at (PATH_MAX). */
static int go_down(char *at, const char *name)
{
	size_t n = strlen(at), m = strlen(name);

	if (n + m + 2 > PATH_MAX)
		return -ENAMETOOLONG;
	at[n] = '/';
	memcpy(at + n + 1, name, m + 1);
	return 0;
}

/*
 * Walks from folder at along todo, as path resolution does, leaving an interest
 * in each name that is looked up. at ends as the resolved path, or where the way
 * breaks off. Both are buffers of PATH_MAX. 1 = all the way, 0 = broken off.
 */
static int walk(struct interests *list, int inotify, char *at, char *todo)
{
	char target[PATH_MAX];
	char *rest = todo, *name;
	int links = 0;

	while ((name = next_component(&rest))) {
		ssize_t n;
		int r;

		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			go_up(at);
			continue;
		}
		r = interests_add(list, inotify, at, name,
				  rest[strspn(rest, "/")] ? EVENTS_PASSED : EVENTS);
		if (r == 0)
			r = go_down(at, name);
		if (r < 0)
			return r;
		n = readlink(at, target, sizeof(target) - 1);
		if (n < 0 && errno == EINVAL) /* no link: an ordinary step */
			continue;
		if (n < 0)
			return 0;
		target[n] = '\0';
		if (++links > MAX_LINKS || (size_t)n + strlen(rest) + 2 > PATH_MAX)
			return 0;
		memmove(todo + n + 1, rest, strlen(rest) + 1);
		memcpy(todo, target, (size_t)n);
		todo[n] = '/';
		rest = todo;
		if (target[0] == '/')
			at[0] = '\0';
		else
			go_up(at);
	}
	return 1;
}

/* The links among the files: their targets live in other folders. */
static int walk_files(struct interests *list, int inotify, const char *folder)
{
	DIR *d = opendir(folder[0] ? folder : "/");
	char at[PATH_MAX], todo[PATH_MAX];
	struct dirent *de;
	int r = 1;

	if (!d)
		return 0;
	while (r >= 0 && (de = readdir(d))) {
		if (!policy_file_name(de->d_name) ||
		    (de->d_type != DT_LNK && de->d_type != DT_UNKNOWN))
			continue;
		memcpy(at, folder, strlen(folder) + 1);
		memcpy(todo, de->d_name, strlen(de->d_name) + 1);
		r = walk(list, inotify, at, todo);
	}
	closedir(d);
	return r;
}

static bool still_wanted(const struct interests *list, int wd)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].wd == wd)
			return true;
	return false;
}

/* Replaces the interests by those of today; folders nobody asks about any more are let go. */
static int walk_again(struct file_watch *w, struct err *e)
{
	struct interests list = {0};
	char at[PATH_MAX] = "", todo[PATH_MAX];
	int r;

	memcpy(todo, w->path, strlen(w->path) + 1);
	r = walk(&list, w->inotify, at, todo);
	if (r > 0 && !w->single) {
		r = interests_add(&list, w->inotify, at, NULL, EVENTS);
		if (r == 0)
			r = walk_files(&list, w->inotify, at);
	}
	for (size_t i = 0; r >= 0 && i < w->interests.n; i++)
		if (!still_wanted(&list, w->interests.items[i].wd))
			inotify_rm_watch(w->inotify, w->interests.items[i].wd);
	interests_done(&w->interests);
	w->interests = list;
	return r < 0 ? err_sys(e, r, "watch %s", w->path) : 0;
}

static bool concerns(struct file_watch *w, const struct inotify_event *ev)
{
	if (ev->mask & IN_Q_OVERFLOW)
		return true;
	for (size_t i = 0; i < w->interests.n; i++) {
		const struct interest *in = &w->interests.items[i];

		if (in->wd != ev->wd)
			continue;
		if (!ev->len || !in->name || strcmp(in->name, ev->name) == 0)
			return !(ev->mask & IN_IGNORED);
	}
	return false;
}

static void on_events(int fd, uint32_t events, void *data)
{
	struct file_watch *w = data;
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool any = false;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		const struct inotify_event *ev;

		for (char *p = buf; p < buf + n; p += sizeof(*ev) + ev->len) {
			ev = (const void *)p;
			if (!concerns(w, ev))
				continue;
			any = true;
			if (ev->len && (ev->mask & (IN_CLOSE_WRITE | IN_ATTRIB)) &&
			    policy_file_name(ev->name))
				w->content = true;
		}
	}
	if (!any)
		return;
	if (!w->burst_since)
		w->burst_since = clock_ms();
	if (clock_ms() - w->burst_since < PATIENCE_MS - DEBOUNCE_MS)
		loop_timer_arm(w->timer, DEBOUNCE_MS);
}

static void on_quiet(void *data)
{
	struct file_watch *w = data;
	uint64_t fingerprint = 0; /* none: unreadable, which the reader has to be told too */
	bool changed;

	w->burst_since = 0;
	if (walk_again(w, NULL) < 0)
		loop_timer_arm(w->timer, RETRY_MS);
	if (!w->single)
		policy_fingerprint(w->path, &fingerprint, NULL);
	changed = w->single || w->content || fingerprint != w->fingerprint;
	w->content = false;
	w->fingerprint = fingerprint;
	if (changed)
		w->changed(w->data);
}

static char *absolute(const char *path)
{
	__cleanup_free char *cwd = NULL;

	if (path[0] == '/')
		return mem_strdup(path);
	cwd = getcwd(NULL, 0);
	return mem_printf("%s/%s", cwd ? cwd : "", path);
}

static int start(struct file_watch *w, struct err *e)
{
	int r;

	if (strlen(w->path) >= PATH_MAX)
		return err_set(e, -ENAMETOOLONG, "watch %.64s…: path too long", w->path);
	w->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->inotify < 0)
		return err_sys(e, -errno, "inotify");
	r = loop_timer_new(w->loop, on_quiet, w, &w->timer, e);
	if (r == 0)
		r = walk_again(w, e);
	if (r == 0)
		r = loop_add_fd(w->loop, w->inotify, EPOLLIN, on_events, w, e);
	if (r == 0 && !w->single)
		policy_fingerprint(w->path, &w->fingerprint, NULL);
	return r;
}

/* Takes w over. */
static int watch(struct file_watch *w, const char *path, struct file_watch **ret, struct err *e)
{
	int r;

	w->inotify = -1;
	w->path = absolute(path);
	r = start(w, e);
	if (r < 0) {
		file_watch_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

int file_watch_new(struct loop *l, const char *path, void (*changed)(void *data), void *data,
		   struct file_watch **ret, struct err *e)
{
	struct file_watch *w = mem_alloc0(sizeof(*w));

	*w = (struct file_watch){.loop = l, .changed = changed, .data = data};
	return watch(w, path, ret, e);
}

int file_watch_one(struct loop *l, const char *path, void (*changed)(void *data), void *data,
		   struct file_watch **ret, struct err *e)
{
	struct file_watch *w = mem_alloc0(sizeof(*w));

	*w = (struct file_watch){.loop = l, .changed = changed, .data = data, .single = true};
	return watch(w, path, ret, e);
}

void file_watch_free(struct file_watch *w)
{
	if (!w)
		return;
	loop_timer_free(w->timer);
	if (w->inotify >= 0) {
		loop_del_fd(w->loop, w->inotify);
		close(w->inotify);
	}
	interests_done(&w->interests);
	free(w->path);
	free(w);
}
