/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An API server on loopback that does what a test tells it to, faults included: HTTP/1.1 over
 * TLS with a CA of its own. A handler is called for each request, in a thread for each connection:
 * it writes what it likes, as slowly as it likes, and must not use cmocka's asserts.
 */
#include <stdbool.h>
#include <stddef.h>

#include "source/kube_conf.h"

struct fake_api;
struct fake_conn;

struct fake_request {
	unsigned int n;		 /* how many came before it to this server */
	unsigned int connection; /* the how manieth it came over, from 0 */
	char method[16];
	char path[2048]; /* with the query */
	char token[256]; /* "" without */
	char type[64];
	char user[64]; /* the common name of the client's certificate, "" without */
	const char *body;
	size_t len;
};

typedef void fake_handler(struct fake_conn *c, const struct fake_request *r, void *data);

struct fake_faults {
	bool wrong_name;  /* the certificate is another host's ("kubernetes.test") */
	bool expired;	  /* it was valid until yesterday */
	bool plain;	  /* no TLS at all */
	bool old_tls;	  /* nothing above TLS 1.1 */
	bool need_client; /* a certificate of our CA, or no connection */
	bool deaf;	  /* connections are accepted, and that is all */
	int port;	  /* this one, for a server that comes back */
};

/* f may be NULL. Ends the process when it cannot be. */
struct fake_api *fake_api_start(const struct fake_faults *f, fake_handler *handler, void *data);
/* Ends all connections; a NULL is taken. */
void fake_api_stop(struct fake_api *a);
int fake_api_port(const struct fake_api *a);
unsigned int fake_api_requests(const struct fake_api *a); /* so far */
/* "https://127.0.0.1:port", its CA, token "secret"; to be freed by kube_conf_done(). */
void fake_api_conf(const struct fake_api *a, struct kube_conf *ret);
const char *fake_api_ca(const struct fake_api *a); /* PEM */
/* A client's certificate and key, PEM in one; to be freed. */
char *fake_api_client(const struct fake_api *a, const char *user);

/* ---- within a handler ---- */

void fake_json(struct fake_conn *c, int status, const char *text); /* a whole answer */
/* The same with other headers ("Retry-After: 1\r\n") or another type (NULL: JSON). */
void fake_answer(struct fake_conn *c, int status, const char *type, const char *headers,
		 const char *text);
void fake_head(struct fake_conn *c, int status, const char *type); /* chunks follow */
void fake_chunk(struct fake_conn *c, const char *text, size_t n);
void fake_printf(struct fake_conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fake_end(struct fake_conn *c);			     /* the last chunk */
void fake_raw(struct fake_conn *c, const char *p, size_t n); /* bytes as they are */
void fake_close(struct fake_conn *c);			     /* after this request, in order */
void fake_reset(struct fake_conn *c);			     /* at once, with a RST */
void fake_pause(struct fake_conn *c, int ms);
/* Until the client has gone or the server is stopped. */
void fake_hold(struct fake_conn *c);
bool fake_over(const struct fake_conn *c); /* writing is of no use any more */
