/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A watch, for kube_watch.c (when what is asked) and kube_watch_pieces.c (what the pieces say). */
#include "json/json.h"
#include "source/kube_priv.h"
#include "source/kube_stream.h"
#include "source/kube_watch.h"

struct kube_watch {
	struct kube *kube;
	char *path, *query;
	char *other; /* kube_watch_or, or NULL */
	bool turned; /* it is asked for at the other path since it was asked for last */
	const struct kube_watch_ops *ops;
	void *data;
	const struct json_want *want; /* of an object; NULL: all */
	struct json_want event[3];    /* the same of an event */
	struct kube_xfer *xfer;
	struct loop_timer *timer; /* WAIT: the next try; else: silence */
	struct kube_backoff backoff;
	enum { WATCH_LIST, WATCH_WATCH } doing;
	char *version; /* of the last list or event; NULL: no list yet */
	char *next;    /* continue token of the list */
	bool fresh;    /* the next list comes from etcd */
	bool whole;    /* and without pages */
	bool begun;    /* begin was called */
	bool current;  /* the watch has shown a version that is not older than ours */
	bool relist;   /* the watch cannot go on */
	bool troubled; /* trouble was called */
	bool freed;    /* within a callback */
	int busy;
	int64_t since, heard, synced; /* ms */
	struct kube_split split;
	struct kube_lines lines;
	struct kube_buf answer; /* of an error */
};

/* Any callback may free the watch: w->freed then says so, and w itself lasts a while longer. */
void kube_watch_trouble(struct kube_watch *w, const struct err *e);
kube_piece_fn kube_watch_item;	/* of a list */
kube_piece_fn kube_watch_event; /* a line of a watch */
/* metadata.KEY, NULL when it is no string. */
const char *kube_meta(const struct json *object, const char *key);
