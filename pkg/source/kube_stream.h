/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the API streams, cut into pieces as the bytes come, so that no list and no watch is ever
 * in memory as a whole: the items of a list one by one, the events of a watch line by line. PURE.
 *
 * A piece longer than KUBE_PIECE_MAX is handed on cut off there and said to be cut. (etcd takes
 * requests of 1.5 MB, and an event is an object and a few bytes, so a real server sends none.)
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "source/kube_buf.h"

struct json;

#define KUBE_PIECE_MAX	  (4 * 1024 * 1024)
#define KUBE_ENVELOPE_MAX (256 * 1024)

/* text[0..n) is borrowed. < 0 (with e) ends the feeding with it. */
typedef int kube_piece_fn(void *data, const char *text, size_t n, bool cut, struct err *e);

/* {"kind": …, "metadata": …, "items": [piece, piece, …]}: all but the pieces is the envelope. */
struct kube_split {
	kube_piece_fn *piece;
	void *data;
	size_t max; /* of a piece; 0: KUBE_PIECE_MAX */
	struct kube_buf envelope, item;
	size_t depth, key, n;
	enum { SPLIT_ENVELOPE, SPLIT_FIRST, SPLIT_NEXT, SPLIT_BEHIND, SPLIT_ITEM } where;
	bool string, escaped, want_key, in_key, is_items, cut;
};

/* Begin with {.piece, .data}. */
int kube_split_feed(struct kube_split *s, const char *p, size_t n, struct err *e);
/* The bytes are over: the envelope, with "items": []. An error when it is not whole. */
int kube_split_end(struct kube_split *s, struct json **ret, struct err *e);
void kube_split_done(struct kube_split *s);

struct kube_lines {
	kube_piece_fn *piece; /* a line that is not empty, without its newline */
	void *data;
	size_t max;
	struct kube_buf line;
	bool cut;
};

int kube_lines_feed(struct kube_lines *l, const char *p, size_t n, struct err *e);
void kube_lines_done(struct kube_lines *l);

/*
 * The string at a path ("metadata", "name", NULL) in text that may be cut off, or no JSON by
 * the strict reader's lights: what is needed to say whose it is. false: not found, or not plain.
 */
bool kube_peek(const char *text, size_t n, const char *const path[], char *to, size_t size);
