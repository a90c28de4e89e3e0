/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "json/json.h"
#include "source/kube_priv.h"

#define ANSWER_MAX  (4 * 1024 * 1024)
#define TIMEOUT_MS  30000
#define EXCERPT_MAX 160

/* ---- answers ---- */

static const char *phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} table[] = {
		{301, "Moved Permanently"},
		{302, "Found"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{406, "Not Acceptable"},
		{409, "Conflict"},
		{410, "Gone"},
		{413, "Request Entity Too Large"},
		{415, "Unsupported Media Type"},
		{422, "Unprocessable Entity"},
		{429, "Too Many Requests"},
		{500, "Internal Server Error"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].status == status)
			return table[i].phrase;
	return "status";
}

static int code_of_status(int status)
{
	switch (status) {
	case 401:
	case 403:
		return -EACCES;
	case 404:
		return -ENOENT;
	case 409:
		return -EEXIST;
	case 410:
		return -ESTALE;
	case 429:
		return -EAGAIN;
	default:
		return status >= 500 ? -EAGAIN : -EINVAL;
	}
}

/* What a body that is no Status says, on one line; it may be anything. */
static void excerpt(const struct kube_buf *body, char to[EXCERPT_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < body->n && n < EXCERPT_MAX - 1; i++) {
		char c = body->p[i];

		if (c == '\n' && n)
			break;
		if (isprint((unsigned char)c))
			to[n++] = c;
	}
	to[n] = '\0';
}

static int say_status(const struct kube_end *end, const struct json *body,
		      const struct kube_buf *bytes, struct err *e)
{
	char text[EXCERPT_MAX];
	const char *message;

	if (json_string(json_get(body, "message"), &message, NULL) < 0 || !*message) {
		excerpt(bytes, text);
		message = body ? "" : text;
	}
	err_set(e, code_of_status(end->status), "%d %s%s%s", end->status, phrase(end->status),
		*message ? ": " : "", message);
	return err_wrap(e, "%s", end->what);
}

int kube_read_answer(struct kube *k, const struct kube_end *end, const struct kube_buf *body,
		     struct json **ret_body, struct err *e)
{
	struct err why = {0};
	int64_t patience;

	*ret_body = NULL;
	if (end->code < 0) {
		*e = *end->e;
		return end->code;
	}
	if (!end->is_json)
		err_set(&why, -EPROTO, "answered %.64s instead of JSON", end->type);
	else if (json_parse(body->p, body->n, ret_body, &why) < 0)
		err_wrap(&why, "answer");
	if (json_int(json_get(json_get(*ret_body, "details"), "retryAfterSeconds"), 0, 3600,
		     &patience, NULL) == 0 &&
	    (unsigned int)patience > k->retry_after && end->status >= 300)
		k->retry_after = (unsigned int)patience;
	if (end->status >= 300)
		return say_status(end, *ret_body, body, e);
	if (why.code < 0) {
		*e = why;
		return err_wrap(e, "%s", end->what);
	}
	return 0;
}

/* ---- calls ---- */

struct kube_call {
	struct kube *kube;
	struct kube_xfer *xfer;
	size_t max;
	struct kube_buf body;
	void (*done)(void *data, int status, const struct json *body, const struct err *e);
	void *data;
};

static void call_free(void *data)
{
	struct kube_call *c = data;

	kube_buf_done(&c->body);
	free(c);
}

static int call_bytes(void *data, const char *p, size_t n, struct err *e)
{
	struct kube_call *c = data;

	if (!kube_buf_add(&c->body, p, n, c->max))
		return err_set(e, -EFBIG, "the answer is longer than %zu bytes", c->max);
	return 0;
}

static void call_end(void *data, const struct kube_end *end)
{
	struct kube_call *c = data;
	__cleanup_json struct json *body = NULL;
	struct err e = {0};
	int r = kube_read_answer(c->kube, end, &c->body, &body, &e);

	c->done(c->data, end->code < 0 && end->code != -EFBIG ? 0 : end->status, body,
		r < 0 ? &e : NULL);
	call_free(c);
}

static const struct kube_xfer_ops call_ops = {
	.bytes = call_bytes,
	.end = call_end,
	.drop = call_free,
};

struct kube_call *kube_call(struct kube *k, const struct kube_request *r)
{
	struct kube_call *c = mem_alloc0(sizeof(*c));
	struct kube_order order = {
		.method = r->method ? r->method : "GET",
		.path = r->path,
		.content_type = r->content_type,
		.body = r->body,
		.timeout_ms = r->timeout_ms ? r->timeout_ms : TIMEOUT_MS,
		.ops = &call_ops,
		.data = c,
	};

	c->kube = k;
	c->max = r->max ? r->max : ANSWER_MAX;
	c->done = r->done;
	c->data = r->data;
	c->xfer = kube_xfer_new(k, &order);
	return c;
}

void kube_cancel(struct kube_call *c)
{
	if (!c)
		return;
	kube_xfer_free(c->xfer);
	call_free(c);
}
