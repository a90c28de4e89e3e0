/* SPDX-License-Identifier: Apache-2.0 */
/*
 * List, then watch from the list's version, for ever:
 *
 *	LIST ──whole──► WATCH ──ended, silent──► WATCH from the last version seen
 *	 ▲ │              │  └──────failed─────► WAIT ─► WATCH
 *	 │ └──failed──► WAIT ─► LIST
 *	 └────────410, or what cannot be read───┘
 *
 * The first list takes what the API server has in memory (resourceVersion=0): when 5,000 nodes
 * start at once, none of them makes etcd read. A later one asks for nothing older than what we
 * have seen. Only when that cannot be had (410, or the version is one of a future that a restored
 * backup has undone) the list is a fresh one out of etcd, and a list whose pages expired under
 * it is taken at one go, which costs us nothing: its items are cut out as they come.
 */
#include "source/kube_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "json/json.h"
#include "source/kube_watch_priv.h"

#define PAGE	     500
#define LIST_MOST_MS 600000 /* for a page, however it trickles */
#define GRACE_S	     30	    /* for the server to end a watch itself */
#define SHORT_MS     1000   /* a watch that ends sooner is none */
#define ENOUGH_TRIES 3
#define BOOKMARKS_MS 90000 /* after so long there was one */
#define ANSWER_MAX   (64 * 1024)

static void try_again(struct kube_watch *w);

/* ---- callbacks: any of them may free the watch ---- */

static void enter(struct kube_watch *w)
{
	w->busy++;
}

static void really_free(struct kube_watch *w)
{
	loop_timer_free(w->timer);
	kube_split_done(&w->split);
	kube_lines_done(&w->lines);
	kube_buf_done(&w->answer);
	free(w->path);
	free(w->other);
	free(w->query);
	free(w->version);
	free(w->next);
	free(w);
}

static void leave(struct kube_watch *w)
{
	if (--w->busy == 0 && w->freed)
		really_free(w);
}

void kube_watch_free(struct kube_watch *w)
{
	if (!w)
		return;
	kube_xfer_free(TAKE(w->xfer));
	loop_timer_arm(w->timer, -1);
	w->freed = true;
	if (w->busy == 0)
		really_free(w);
}

/* ---- the transfer ---- */

static void on_head(void *data)
{
	struct kube_watch *w = data;

	w->heard = clock_ms();
	if (kube_xfer_status(w->xfer) != 200 || !kube_xfer_is_json(w->xfer))
		return;
	enter(w);
	if (w->doing == WATCH_WATCH) {
		loop_timer_arm(w->timer, w->kube->times.calm_ms);
	} else if (!w->begun) {
		w->begun = true;
		if (w->ops->begin)
			w->ops->begin(w->data);
	}
	leave(w);
}

static int on_bytes(void *data, const char *p, size_t n, struct err *e)
{
	struct kube_watch *w = data;
	int r;

	w->heard = clock_ms();
	if (kube_xfer_status(w->xfer) != 200 || !kube_xfer_is_json(w->xfer)) {
		kube_buf_add(&w->answer, p, n, ANSWER_MAX);
		return 0;
	}
	enter(w);
	if (w->doing == WATCH_LIST)
		r = kube_split_feed(&w->split, p, n, e);
	else
		r = kube_lines_feed(&w->lines, p, n, e);
	leave(w);
	return r;
}

static void set_string(char **to, const char *s)
{
	free(*to);
	*to = mem_strdup(s && *s ? s : NULL);
}

/* The list, or a page of it, is whole. 0: go on; else what is wrong with it. */
static int list_over(struct kube_watch *w, struct err *e)
{
	__cleanup_json struct json *envelope = NULL;
	const char *version;
	int r = kube_split_end(&w->split, &envelope, e);

	if (r < 0)
		return err_wrap(e, "%s", w->path);
	version = kube_meta(envelope, "resourceVersion");
	if (!version)
		return err_set(e, -EPROTO, "%s: a list without metadata.resourceVersion", w->path);
	set_string(&w->next, kube_meta(envelope, "continue"));
	if (w->next)
		return 0;
	set_string(&w->version, version);
	w->doing = WATCH_WATCH;
	w->fresh = w->whole = w->begun = false;
	w->synced = clock_ms();
	if (w->ops->synced)
		w->ops->synced(w->data);
	kube_watch_trouble(w, NULL);
	return 0;
}

static void begin_list_anew(struct kube_watch *w)
{
	w->doing = WATCH_LIST;
	w->begun = false;
	set_string(&w->next, NULL);
}

static void wait_and_try(struct kube_watch *w, const struct err *e)
{
	const struct kube_times *t = &w->kube->times;
	int64_t ms = kube_backoff_within(&w->backoff, t->first_ms, t->most_ms,
					 kube_retry_after(w->kube));

	if (w->doing == WATCH_LIST)
		begin_list_anew(w);
	if (e)
		kube_watch_trouble(w, e);
	if (!w->freed)
		loop_timer_arm(w->timer, ms);
}

/* Pages that have expired, a version that is not there any more or not yet: list in another way. */
static bool list_otherwise(struct kube_watch *w, int status, const struct err *e)
{
	bool refused = status == 410 || status == 400 ||
		       (status == 504 && strstr(e->msg, "oo large resource version"));

	if (!refused || (w->fresh && (w->whole || !w->next)))
		return false;
	w->whole = w->whole || w->next;
	w->fresh = true;
	begin_list_anew(w);
	return true;
}

/* Not served here: at once by the other version, and then no more often than anything that fails.
 */
static bool list_elsewhere(struct kube_watch *w, int status)
{
	char *path = w->path;

	if (status != 404 || !w->other)
		return false;
	w->path = w->other;
	w->other = path;
	w->turned = !w->turned;
	begin_list_anew(w);
	return w->turned;
}

static void list_ended(struct kube_watch *w, const struct kube_end *end)
{
	__cleanup_json struct json *body = NULL;
	struct err e = {0};
	int r;

	if (end->code == 0 && end->status == 200 && end->is_json)
		r = list_over(w, &e);
	else
		r = kube_read_answer(w->kube, end, &w->answer, &body, &e);
	if (w->freed)
		return;
	if (r == 0)
		w->turned = false;
	if (r == 0 || list_otherwise(w, end->status, &e) || list_elsewhere(w, end->status))
		try_again(w);
	else
		wait_and_try(w, &e);
}

/* Watches are torn and run over their time, and history goes: no more than happens. */
static bool is_usual(bool was_one, int r)
{
	return r == 0 || r == -ESTALE || (was_one && (r == -ECONNRESET || r == -ETIMEDOUT));
}

static void watch_ended(struct kube_watch *w, const struct kube_end *end)
{
	__cleanup_json struct json *body = NULL;
	int64_t now = clock_ms(), lasted = now - w->since;
	bool was_one = end->status == 200 && end->is_json;
	struct err e = {0};
	int r = 0;

	if (!was_one || end->code < 0)
		r = kube_read_answer(w->kube, end, &w->answer, &body, &e);
	else if (w->backoff.tries >= ENOUGH_TRIES && lasted <= SHORT_MS)
		r = err_set(&e, -EAGAIN, "%s: the watch ends as soon as it begins", w->path);
	if (end->status == 410 || strstr(e.msg, "oo large resource version"))
		w->relist = true;
	if (end->status == 404 && w->other)
		w->relist = true;
	if (was_one && lasted > BOOKMARKS_MS && !w->current)
		w->relist = true; /* this server has never been where we are */
	if (w->relist)
		begin_list_anew(w);
	if (w->relist ? r == -ESTALE && now - w->synced > w->kube->times.calm_ms
		      : r == 0 && lasted > SHORT_MS)
		try_again(w);
	else
		wait_and_try(w, is_usual(was_one, r) ? NULL : &e);
}

static void on_end(void *data, const struct kube_end *end)
{
	struct kube_watch *w = data;

	w->xfer = NULL;
	enter(w);
	if (w->doing == WATCH_LIST)
		list_ended(w, end);
	else
		watch_ended(w, end);
	leave(w);
}

static const struct kube_xfer_ops xfer_ops = {
	.head = on_head,
	.bytes = on_bytes,
	.end = on_end,
};

/* ---- requests ---- */

/*
 * With a limit the server reads etcd even where its memory would do (except at version 0), and
 * for the pods of one node it reads those of all. We need no pages: only for what comes out of
 * etcd in any case they are kinder to the server.
 */
static char *list_path(const struct kube_watch *w, const char *separator)
{
	__cleanup_free char *limit = w->whole ? mem_strdup("") : mem_printf("limit=%d", PAGE);
	const char *query = w->query ? w->query : "";
	char *next, *path;

	if (!w->next && w->fresh)
		return mem_printf("%s?%s%s%s", w->path, query, separator, limit);
	if (!w->next && !w->version)
		return mem_printf("%s?%s%sresourceVersion=0&%s", w->path, query, separator, limit);
	if (!w->next)
		return mem_printf("%s?%s%sresourceVersion=%s&resourceVersionMatch=NotOlderThan",
				  w->path, query, separator, w->version);
	next = curl_easy_escape(NULL, w->next, 0);
	if (!next)
		oom();
	path = mem_printf("%s?%s%scontinue=%s&%s", w->path, query, separator, next, limit);
	curl_free(next);
	return path;
}

/* At most as long again, so that 5,000 nodes that began together do not stay together. */
static int watch_seconds(const struct kube_watch *w)
{
	int s = w->kube->times.watch_s;

	return s + (int)kube_chance((uint32_t)s + 1);
}

static void begin_request(struct kube_watch *w)
{
	const char *separator = w->query ? "&" : "";
	__cleanup_free char *path = NULL;
	struct kube_order order = {.method = "GET", .ops = &xfer_ops, .data = w};

	kube_buf_clear(&w->answer);
	kube_split_done(&w->split);
	kube_lines_done(&w->lines);
	w->split = (struct kube_split){.piece = kube_watch_item, .data = w};
	w->lines = (struct kube_lines){.piece = kube_watch_event, .data = w};
	w->current = w->relist = false;
	w->since = w->heard = clock_ms();
	if (w->doing == WATCH_LIST) {
		path = list_path(w, separator);
		order.timeout_ms = LIST_MOST_MS;
	} else {
		int seconds = watch_seconds(w);

		path = mem_printf("%s?%s%swatch=true&allowWatchBookmarks=true&resourceVersion=%s"
				  "&timeoutSeconds=%d",
				  w->path, w->query ? w->query : "", separator, w->version,
				  seconds);
		order.timeout_ms = (seconds + GRACE_S) * 1000;
	}
	order.path = path;
	w->xfer = kube_xfer_new(w->kube, &order);
}

static void try_again(struct kube_watch *w)
{
	begin_request(w);
	loop_timer_arm(w->timer, w->kube->times.list_ms);
}

/* Has it been silent for too long? */
static void look(struct kube_watch *w)
{
	bool watching = w->doing == WATCH_WATCH && kube_xfer_status(w->xfer) == 200;
	int limit = watching ? w->kube->times.quiet_ms : w->kube->times.list_ms;
	int64_t quiet = clock_ms() - w->heard;
	struct err e = {0};

	if (watching) { /* for long enough to be one */
		w->backoff = (struct kube_backoff){0};
		kube_watch_trouble(w, NULL);
		if (w->freed)
			return;
	}
	if (quiet < limit) {
		loop_timer_arm(w->timer, limit - quiet);
		return;
	}
	err_set(&e, -ETIMEDOUT, "%s: nothing came for %d s", w->path, limit / 1000);
	kube_xfer_doubt(w->xfer, limit);
	kube_xfer_free(TAKE(w->xfer));
	wait_and_try(w, watching ? NULL : &e);
}

static void on_timer(void *data)
{
	struct kube_watch *w = data;

	enter(w);
	if (w->xfer)
		look(w);
	else
		try_again(w);
	leave(w);
}

static struct kube_watch *watch_new(struct kube *k, const char *path, const char *query,
				    const struct kube_watch_ops *ops, void *data)
{
	struct kube_watch *w = mem_alloc0(sizeof(*w));

	*w = (struct kube_watch){.kube = k, .ops = ops, .data = data};
	w->path = mem_strdup(path);
	w->query = mem_strdup(query && *query ? query : NULL);
	if (loop_timer_new(k->loop, on_timer, w, &w->timer, NULL) < 0)
		oom(); /* no descriptors left */
	return w;
}

struct kube_watch *kube_watch_new(struct kube *k, const char *path, const char *query,
				  const struct kube_watch_ops *ops, void *data)
{
	struct kube_watch *w = watch_new(k, path, query, ops, data);

	try_again(w);
	return w;
}

struct kube_watch *kube_list_new(struct kube *k, const char *path, const char *query,
				 const struct kube_watch_ops *ops, void *data)
{
	struct kube_watch *w = watch_new(k, path, query, ops, data);

	w->fresh = true;
	try_again(w);
	return w;
}

void kube_watch_want(struct kube_watch *w, const struct json_want *want)
{
	w->want = want;
	w->event[0] = (struct json_want){"type", NULL};
	w->event[1] = (struct json_want){"object", want};
}

void kube_watch_or(struct kube_watch *w, const char *path)
{
	w->other = mem_strdup(path);
}

void kube_watch_again(struct kube_watch *w)
{
	kube_xfer_free(TAKE(w->xfer));
	begin_list_anew(w);
	loop_timer_arm(w->timer, 0);
}
