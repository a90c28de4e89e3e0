/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "testkit/fake_tls.h"

#define HEAD_MAX (16 * 1024)
#define BODY_MAX (4 * 1024 * 1024)

struct fake_conn {
	struct fake_api *api;
	struct fake_conn *next;
	pthread_t thread;
	unsigned int n;
	int fd;
	SSL *ssl; /* NULL: plain */
	bool over, last;
	char user[64];
};

struct fake_api {
	struct fake_faults faults;
	fake_handler *handler;
	void *data;
	struct fake_ca ca;
	SSL_CTX *ctx;
	int fd, port;
	int stop[2]; /* a pipe: readable once it stops */
	pthread_t thread;
	pthread_mutex_t lock;
	struct fake_conn *conns;
	unsigned int requests;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

/* ---- bytes ---- */

bool fake_over(const struct fake_conn *c)
{
	struct pollfd p = {.fd = c->api->stop[0], .events = POLLIN};

	return c->over || poll(&p, 1, 0) > 0;
}

void fake_raw(struct fake_conn *c, const char *p, size_t n)
{
	while (n && !c->over) {
		int most = n > 1 << 20 ? 1 << 20 : (int)n;
		ssize_t done = c->ssl ? SSL_write(c->ssl, p, most) : write(c->fd, p, (size_t)most);

		if (done <= 0) {
			c->over = true;
			return;
		}
		p += done;
		n -= (size_t)done;
	}
}

static void raw_text(struct fake_conn *c, const char *text)
{
	fake_raw(c, text, strlen(text));
}

void fake_answer(struct fake_conn *c, int status, const char *type, const char *headers,
		 const char *text)
{
	__cleanup_free char *all = mem_printf("HTTP/1.1 %d Some Words\r\nContent-Type: %s\r\n%s"
					      "Content-Length: %zu\r\n\r\n%s",
					      status, type ? type : "application/json",
					      headers ? headers : "", strlen(text), text);

	raw_text(c, all);
}

void fake_json(struct fake_conn *c, int status, const char *text)
{
	fake_answer(c, status, NULL, NULL, text);
}

void fake_head(struct fake_conn *c, int status, const char *type)
{
	__cleanup_free char *all = mem_printf(
		"HTTP/1.1 %d Some Words\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n",
		status, type ? type : "application/json");

	raw_text(c, all);
}

void fake_chunk(struct fake_conn *c, const char *text, size_t n)
{
	__cleanup_free char *all = mem_alloc0(n + 32);
	size_t head;

	if (!n)
		return;
	head = (size_t)snprintf(all, 32, "%zx\r\n", n);
	memcpy(all + head, text, n);
	memcpy(all + head + n, "\r\n", 2);
	fake_raw(c, all, head + n + 2);
}

void fake_printf(struct fake_conn *c, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	must(n >= 0, "vasprintf");
	fake_chunk(c, text, (size_t)n);
	free(text);
}

void fake_end(struct fake_conn *c)
{
	raw_text(c, "0\r\n\r\n");
}

void fake_close(struct fake_conn *c)
{
	c->last = true;
}

void fake_reset(struct fake_conn *c)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	c->over = true;
}

void fake_pause(struct fake_conn *c, int ms)
{
	struct pollfd p = {.fd = c->api->stop[0], .events = POLLIN};

	poll(&p, 1, ms);
}

void fake_hold(struct fake_conn *c)
{
	struct pollfd p[2] = {{.fd = c->api->stop[0], .events = POLLIN},
			      {.fd = c->fd, .events = POLLRDHUP}};

	while (poll(p, 2, -1) < 0 && errno == EINTR)
		;
	c->over = true;
}

/* ---- requests ---- */

static int read_some(struct fake_conn *c, char *p, size_t n)
{
	return c->ssl ? SSL_read(c->ssl, p, (int)n) : (int)read(c->fd, p, n);
}

static void header(const char *head, const char *name, char *to, size_t size)
{
	const char *at = strcasestr(head, name);
	size_t n;

	to[0] = '\0';
	if (!at)
		return;
	at += strlen(name);
	n = strcspn(at, "\r\n");
	snprintf(to, size, "%.*s", (int)n, at);
}

/* One request into buf (HEAD_MAX + BODY_MAX + 1); false: there comes none. */
static bool read_request(struct fake_conn *c, struct fake_request *r, char *buf)
{
	size_t have = 0, want;
	char *body = NULL;
	char length[32];

	while (!body && have < HEAD_MAX) {
		int n = read_some(c, buf + have, HEAD_MAX - have);

		if (n <= 0)
			return false;
		have += (size_t)n;
		buf[have] = '\0';
		if (buf[0] == 0x16) { /* a ClientHello */
			raw_text(c, "HTTP/1.0 400 Bad Request\r\n\r\nNo TLS here.\n");
			return false;
		}
		body = strstr(buf, "\r\n\r\n");
	}
	if (!body || sscanf(buf, "%15s %2047s", r->method, r->path) != 2)
		return false;
	*body = '\0';
	body += 4;
	header(buf, "\r\nAuthorization: Bearer ", r->token, sizeof(r->token));
	header(buf, "\r\nContent-Type: ", r->type, sizeof(r->type));
	header(buf, "\r\nContent-Length: ", length, sizeof(length));
	want = strtoul(length, NULL, 10);
	have -= (size_t)(body - buf);
	while (have < want && want < BODY_MAX) {
		int n = read_some(c, body + have, want - have);

		if (n <= 0)
			return false;
		have += (size_t)n;
	}
	body[have] = '\0';
	r->body = body;
	r->len = have;
	return have == want;
}

static void find_user(struct fake_conn *c)
{
	X509 *cert = c->ssl ? SSL_get1_peer_certificate(c->ssl) : NULL;

	if (cert)
		X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, c->user,
					  sizeof(c->user));
	X509_free(cert);
}

static void serve(struct fake_conn *c)
{
	__cleanup_free char *buf = mem_alloc0(HEAD_MAX + BODY_MAX + 1);
	struct fake_request r = {.connection = c->n};

	find_user(c);
	while (!fake_over(c) && !c->last && read_request(c, &r, buf)) {
		r.n = __atomic_fetch_add(&c->api->requests, 1, __ATOMIC_SEQ_CST);
		snprintf(r.user, sizeof(r.user), "%s", c->user);
		c->api->handler(c, &r, c->api->data);
	}
	if (c->ssl && !c->over)
		SSL_shutdown(c->ssl);
}

static void *conn_main(void *data)
{
	struct fake_conn *c = data;

	if (c->api->faults.deaf)
		fake_hold(c);
	else if (!c->ssl || SSL_accept(c->ssl) == 1)
		serve(c);
	SSL_free(c->ssl);
	pthread_mutex_lock(&c->api->lock);
	close(c->fd);
	c->fd = -1;
	pthread_mutex_unlock(&c->api->lock);
	return NULL;
}

/* ---- connections ---- */

static void accept_one(struct fake_api *a, int fd)
{
	struct fake_conn *c = mem_alloc0(sizeof(*c));
	int one = 1;

	*c = (struct fake_conn){.api = a, .fd = fd, .n = a->conns ? a->conns->n + 1 : 0};
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!a->faults.plain) {
		c->ssl = SSL_new(a->ctx);
		must(c->ssl && SSL_set_fd(c->ssl, fd), "SSL");
	}
	pthread_mutex_lock(&a->lock);
	c->next = a->conns;
	a->conns = c;
	must(pthread_create(&c->thread, NULL, conn_main, c) == 0, "thread");
	pthread_mutex_unlock(&a->lock);
}

static void *accept_main(void *data)
{
	struct fake_api *a = data;
	struct pollfd p[2] = {{.fd = a->stop[0], .events = POLLIN},
			      {.fd = a->fd, .events = POLLIN}};

	for (;;) {
		int fd;

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents)
			return NULL;
		fd = accept4(a->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			accept_one(a, fd);
	}
}

static void listen_on(struct fake_api *a, int port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = htons((uint16_t)port)};
	socklen_t len = sizeof(sin);
	int one = 1;

	a->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(a->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	must(bind(a->fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 && listen(a->fd, 64) == 0 &&
		     getsockname(a->fd, (struct sockaddr *)&sin, &len) == 0,
	     "fake_api: listen");
	a->port = ntohs(sin.sin_port);
}

struct fake_api *fake_api_start(const struct fake_faults *f, fake_handler *handler, void *data)
{
	struct fake_api *a = mem_alloc0(sizeof(*a));
	sigset_t all, before;

	*a = (struct fake_api){.handler = handler, .data = data};
	if (f)
		a->faults = *f;
	pthread_mutex_init(&a->lock, NULL);
	must(pipe(a->stop) == 0, "pipe");
	fake_ca_init(&a->ca);
	a->ctx = fake_tls_server(&a->ca, &a->faults);
	listen_on(a, a->faults.port);
	/* the threads' own SIGPIPE, and no signal of the test's */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	must(pthread_create(&a->thread, NULL, accept_main, a) == 0, "thread");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return a;
}

void fake_api_stop(struct fake_api *a)
{
	if (!a)
		return;
	must(write(a->stop[1], "", 1) == 1, "pipe");
	pthread_join(a->thread, NULL);
	close(a->fd);
	pthread_mutex_lock(&a->lock);
	for (struct fake_conn *c = a->conns; c; c = c->next)
		if (c->fd >= 0)
			shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_unlock(&a->lock);
	while (a->conns) {
		struct fake_conn *c = a->conns;

		pthread_join(c->thread, NULL);
		a->conns = c->next;
		free(c);
	}
	close(a->stop[0]);
	close(a->stop[1]);
	SSL_CTX_free(a->ctx);
	fake_ca_done(&a->ca);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

int fake_api_port(const struct fake_api *a)
{
	return a->port;
}

unsigned int fake_api_requests(const struct fake_api *a)
{
	return __atomic_load_n(&a->requests, __ATOMIC_SEQ_CST);
}

const char *fake_api_ca(const struct fake_api *a)
{
	return a->ca.pem;
}

char *fake_api_client(const struct fake_api *a, const char *user)
{
	return fake_tls_client(&a->ca, user);
}

void fake_api_conf(const struct fake_api *a, struct kube_conf *ret)
{
	*ret = (struct kube_conf){
		.server = mem_printf("https://127.0.0.1:%d", a->port),
		.ca = {.data = mem_strdup(a->ca.pem), .len = strlen(a->ca.pem)},
		.token = mem_strdup("secret"),
		.namespace = mem_strdup("default"),
	};
}
