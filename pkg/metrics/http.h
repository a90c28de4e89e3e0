/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * GET and HEAD of /metrics, /healthz and /readyz, in the daemon's own loop. The door to
 * libmicrohttpd, which runs here without threads. Whoever can reach the port costs little:
 *
 *	HTTP_CLIENTS_MAX connections at once; others wait in the kernel's queue
 *	HTTP_HEAD_MS for a request, HTTP_LIFE_MS for its answer: then a connection ends,
 *	whatever it does; and with its answer anyhow
 *	HTTP_HEAD_MAX bytes of request
 *	what /metrics and /readyz say is gathered once in HTTP_PAGE_MS
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "inet/addr.h"
#include "loop/loop.h"

#define HTTP_CLIENTS_MAX 32
#define HTTP_HEAD_MS	 2000
#define HTTP_LIFE_MS	 10000
#define HTTP_HEAD_MAX	 8192
#define HTTP_PAGE_MS	 1000
#define HTTP_RETRY_MS	 3000

struct http;

struct http_in {
	struct loop *loop;
	struct addr addr; /* zero: all, of both families */
	uint16_t port;	  /* 0: any, see http_port */
	int head_ms;	  /* 0: HTTP_HEAD_MS */
	/* What /metrics answers: malloc'd. */
	char *(*metrics)(void *data, size_t *ret_len);
	/* What /readyz answers; false: why not, one line. */
	bool (*ready)(void *data, char *why, size_t size);
	void *data;
};

/*
 * An address that cannot be bound (it is not there yet, somebody has the port) is said and tried
 * again every HTTP_RETRY_MS: nobody's traffic hangs on it.
 */
int http_new(const struct http_in *in, struct http **ret, struct err *e);
void http_free(struct http *h);
DEFINE_CLEANUP(struct http *, http_free);
uint16_t http_port(const struct http *h); /* 0: not bound. For tests, which ask for any port */
