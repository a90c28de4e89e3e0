/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One transfer of libcurl's, beneath calls and watches; kube.c and kube_xfer.c and nobody else
 * speak to libcurl. What a transfer hands on it hands on from within libcurl, which must not be
 * called again from there: so a transfer begun in a callback is started, and one freed there
 * is released, when libcurl has returned.
 */
#include <curl/curl.h>

#include "source/kube.h"
#include "source/kube_buf.h"
#include "source/kube_conf.h"

/* What tests make shorter. */
struct kube_times {
	int connect_ms;
	int first_ms, most_ms; /* of back-off */
	int calm_ms;  /* a watch that has lasted so long is one, and what was is forgotten */
	int watch_s;  /* the server ends a watch after so long, or up to twice that */
	int quiet_ms; /* a watch without a byte for so long is begun anew */
	int list_ms;  /* a list without a byte for so long has failed */
};

/* A socket of libcurl's that the kernel had no room for in the loop, and its events. */
struct kube_deaf {
	int fd;
	uint32_t events;
};

struct kube {
	struct loop *loop;
	struct kube_conf conf;
	struct kube_times times;
	char *base; /* the server, by the name that its certificate must have */
	struct curl_slist *connect_to;
	CURLM *multi;
	struct loop_timer *timer; /* libcurl's */
	struct loop_timer *later; /* ours: there is something to start, end or release */
	struct loop_timer *again; /* to take into the loop what it did not take */
	struct kube_deaf *deaf;
	size_t n_deaf;
	bool within; /* libcurl is running */
	struct kube_xfer *xfers, *last;
	unsigned int retry_after;
	bool refused; /* 401 was its last word */
	void (*told_refused)(void *data, const char *what);
	void *refused_data;
};

/* How a transfer ended. */
struct kube_end {
	int code;		 /* 0: the answer is whole; -errno: it is not, and e says why */
	int status;		 /* of HTTP; 0: none came */
	const char *what, *type; /* "GET /api/v1/pods"; the content type */
	bool is_json;
	const struct err *e;
};

struct kube_xfer_ops {
	/* Status and type are known; may be NULL. */
	void (*head)(void *data);
	/* Bytes of the body; status and type are known. < 0 (with e) ends the transfer with it. */
	int (*bytes)(void *data, const char *p, size_t n, struct err *e);
	/* Outside of libcurl; x is freed behind it, so forget it. */
	void (*end)(void *data, const struct kube_end *end);
	void (*drop)(void *data); /* the client is being freed */
};

struct kube_order {
	const char *method, *path, *content_type, *body; /* content_type and body may be NULL */
	int timeout_ms;
	const struct kube_xfer_ops *ops;
	void *data;
};

struct kube_xfer {
	struct kube *kube;
	struct kube_xfer *prev, *next;
	CURL *easy;
	struct curl_slist *headers;
	const struct kube_xfer_ops *ops;
	void *data;
	char *what; /* "GET /api/v1/pods", for messages */
	bool added; /* to the multi handle */
	bool dead;  /* freed, or at its end */
	int code;   /* < 0: ended by us, e says why */
	struct err e;
	char words[CURL_ERROR_SIZE];
};

struct kube_xfer *kube_xfer_new(struct kube *k, const struct kube_order *order);
void kube_xfer_free(struct kube_xfer *x); /* without an end; NULL is taken */
void kube_xfer_start(struct kube_xfer *x);
void kube_xfer_release(struct kube_xfer *x); /* at once: outside of libcurl only */
int kube_xfer_status(const struct kube_xfer *x);
/* Notes whether the server knows us (401 or not) and tells kube_on_refused when that changes. */
void kube_heard_status(struct kube *k, int status, const char *what);
const char *kube_xfer_type(const struct kube_xfer *x); /* for messages */
bool kube_xfer_is_json(const struct kube_xfer *x);
/*
 * Call it when x has had no answer in time. If nothing came over its connection for quiet_ms, for
 * whichever transfer, or the peer's TCP does not even acknowledge, the connection is closed for all
 * transfers on it: so they need not each wait for a deadline of their own, nor the next request.
 */
void kube_xfer_doubt(struct kube_xfer *x, int quiet_ms);

/*
 * The body of an answer as JSON and what the answer says if it is no success, in words:
 * "403 Forbidden: pods is forbidden". Returns the code that e then has, else 0. A Status that
 * asks for patience counts as Retry-After.
 */
int kube_read_answer(struct kube *k, const struct kube_end *end, const struct kube_buf *body,
		     struct json **ret_body, struct err *e);

uint32_t kube_chance(uint32_t below); /* a random number under below; not for secrets */
/* As kube_backoff_ms, between these bounds. */
int64_t kube_backoff_within(struct kube_backoff *b, int first_ms, int most_ms,
			    unsigned int retry_after);
