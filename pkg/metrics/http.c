/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/listener.h"
#include "metrics/text.h"

#define BACKLOG 64
#define PLAIN	"text/plain; charset=utf-8"

/* The library's own time limit begins anew with each byte; this one does not. */
struct client {
	struct client *next;
	struct http *http;
	int fd;
	int64_t until; /* ms: for its request, then for its answer */
};

struct http {
	struct http_in in;
	struct MHD_Daemon *daemon; /* NULL: not bound */
	int fd;			   /* of its epoll */
	uint16_t port;
	struct loop_timer *timer, *retry;
	struct client *clients;
	size_t n_clients;
	bool rests;			 /* there is no descriptor for who connects */
	int64_t quiet_until;		 /* ms: that was said */
	struct MHD_Response *page;	 /* of /metrics; NULL: to be gathered */
	int64_t page_until, ready_until; /* ms */
	bool ready;
	char why[512]; /* not; "ok" */
};

/* ---- who is connected ---- */

static void client_new(struct http *h, struct MHD_Connection *c, void **ret)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct client *k = mem_alloc0(sizeof(*k));

	*k = (struct client){
		.next = h->clients,
		.http = h,
		.fd = info ? info->connect_fd : -1,
		.until = clock_ms() + (h->in.head_ms ? h->in.head_ms : HTTP_HEAD_MS),
	};
	h->clients = k;
	h->n_clients++;
	*ret = k;
}

static void client_free(struct client *k)
{
	struct client **at = &k->http->clients;

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	k->http->n_clients--;
	free(k);
}

/* Its request is there, whole. */
static void client_asked(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct client *k = info ? info->socket_context : NULL;

	if (k)
		k->until = clock_ms() + HTTP_LIFE_MS;
}

static void on_connection(void *data, struct MHD_Connection *c, void **client,
			  enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		client_new(data, c, client);
	else if (*client)
		client_free(TAKE(*client));
}

/* It ends for the library as if the other side had ended it. The next one's time; -1: nobody. */
static int64_t clients_end(struct http *h, int64_t now)
{
	int64_t next = -1;

	for (struct client *k = h->clients; k; k = k->next) {
		if (k->until <= now && k->fd >= 0)
			shutdown(TAKE_FD(k->fd), SHUT_RDWR);
		else if (k->fd >= 0 && (next < 0 || k->until < next))
			next = k->until;
	}
	return next;
}

/* ---- answers ---- */

static enum MHD_Result answer(struct MHD_Connection *c, unsigned int status,
			      struct MHD_Response *response)
{
	return response ? MHD_queue_response(c, status, response) : MHD_NO;
}

/* Connections are not kept: one that stays open would be one that others wait for. */
static struct MHD_Response *response_new(char *text, size_t len, enum MHD_ResponseMemoryMode mode,
					 const char *type)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(len, text, mode);

	if (!r)
		return NULL;
	if (MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
	    MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES)
		return r;
	MHD_destroy_response(r);
	return NULL;
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned int status, const char *text)
{
	char line[600];
	int n = snprintf(line, sizeof(line), "%s\n", text);
	size_t len = n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1;
	struct MHD_Response *r = response_new(line, len, MHD_RESPMEM_MUST_COPY, PLAIN);
	enum MHD_Result done;

	if (r && status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	done = answer(c, status, r);
	if (r)
		MHD_destroy_response(r);
	return done;
}

static enum MHD_Result say_healthy(struct http *h, struct MHD_Connection *c)
{
	return say(c, MHD_HTTP_OK, "ok");
}

static enum MHD_Result say_ready(struct http *h, struct MHD_Connection *c)
{
	int64_t now = clock_ms();

	if (now >= h->ready_until) {
		snprintf(h->why, sizeof(h->why), "ok");
		h->ready = h->in.ready(h->in.data, h->why, sizeof(h->why));
		h->ready_until = now + HTTP_PAGE_MS;
	}
	return say(c, h->ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, h->why);
}

static void page_drop(struct http *h)
{
	if (h->page)
		MHD_destroy_response(h->page); /* who is reading it has it until then */
	h->page = NULL;
}

static enum MHD_Result say_metrics(struct http *h, struct MHD_Connection *c)
{
	size_t len;

	if (h->page && clock_ms() >= h->page_until)
		page_drop(h);
	if (!h->page) {
		char *text = h->in.metrics(h->in.data, &len);

		h->page = response_new(text, len, MHD_RESPMEM_MUST_FREE, METRICS_TYPE);
		h->page_until = clock_ms() + HTTP_PAGE_MS;
	}
	return answer(c, MHD_HTTP_OK, h->page);
}

static const struct {
	const char *path;
	enum MHD_Result (*say)(struct http *h, struct MHD_Connection *c);
} pages[] = {
	{"/metrics", say_metrics},
	{"/healthz", say_healthy},
	{"/readyz", say_ready},
};

static enum MHD_Result on_request(void *data, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **request)
{
	struct http *h = data;

	client_asked(c);
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only");
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		if (strcmp(url, pages[i].path) == 0)
			return pages[i].say(h, c);
	return say(c, MHD_HTTP_NOT_FOUND, "/metrics, /healthz, /readyz");
}

/* ---- in the loop ---- */

static void sooner(int64_t *at, int64_t then)
{
	if (*at < 0 || then < *at)
		*at = then;
}

static void run(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;
	size_t before = h->n_clients;
	int64_t now, next;

	MHD_run(h->daemon);
	now = clock_ms();
	next = clients_end(h, now);
	if (h->page && now >= h->page_until)
		page_drop(h);
	if (h->page)
		sooner(&next, h->page_until);
	if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
		sooner(&next, now + (int64_t)(ms < HTTP_LIFE_MS ? ms : HTTP_LIFE_MS));
	/* where it had no room for more it stopped listening, and begins again in its next run, of
	 * which no event tells */
	if (h->n_clients < before)
		next = now;
	loop_timer_arm(h->timer, next < 0 ? -1 : next > now ? next - now : 0);
}

/* Without a descriptor for its first client the library tries again and again. */
static bool rest(struct http *h)
{
	int r = h->n_clients ? 0 : listener_room();

	if (r == 0)
		return false;
	listener_say("metrics", r, &h->quiet_until);
	loop_del_fd(h->in.loop, h->fd);
	h->rests = true;
	loop_timer_arm(h->timer, LISTENER_REST_MS);
	return true;
}

static void on_ready(int fd, uint32_t events, void *data)
{
	if (!rest(data))
		run(data);
}

static void on_timer(void *data)
{
	struct http *h = data;

	if (h->rests && loop_add_fd(h->in.loop, h->fd, EPOLLIN, on_ready, h, NULL) < 0) {
		loop_timer_arm(h->timer, LISTENER_REST_MS);
		return;
	}
	h->rests = false;
	run(h);
}

/* ---- listening ---- */

static socklen_t address_of(const struct http_in *in, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (addr_is_v4(in->addr)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(in->port);
		memcpy(&v4->sin_addr, addr_bytes(&in->addr), sizeof(v4->sin_addr));
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(in->port);
	memcpy(&v6->sin6_addr, addr_bytes(&in->addr), sizeof(v6->sin6_addr));
	return sizeof(*v6);
}

static int bind_to(const struct http_in *in, int *ret_fd)
{
	struct sockaddr_storage sa;
	socklen_t len = address_of(in, &sa);
	__cleanup_close int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
					IPPROTO_TCP);
	const int yes = 1, no = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (addr_is_zero(in->addr))
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
	if (bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* All addresses of a kernel without IPv6 are those of IPv4. */
static int listen_open(const struct http_in *in, int *ret_fd)
{
	struct http_in v4 = *in;
	int r = bind_to(in, ret_fd);

	v4.addr = addr_from_v4((const uint8_t[4]){0});
	return r == -EAFNOSUPPORT && addr_is_zero(in->addr) ? bind_to(&v4, ret_fd) : r;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return 0;
	return ntohs(sa.ss_family == AF_INET ? ((struct sockaddr_in *)&sa)->sin_port
					     : ((struct sockaddr_in6 *)&sa)->sin6_port);
}

/* The library closes what it listens on. */
static int daemon_open(struct http *h, struct err *e)
{
	const union MHD_DaemonInfo *info;
	int fd, r = listen_open(&h->in, &fd);

	if (r < 0)
		return err_sys(e, r, "listen on %s port %u", addr_str(h->in.addr), h->in.port);
	h->port = port_of(fd);
	h->daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned int)HTTP_CLIENTS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)HTTP_HEAD_MAX, MHD_OPTION_END);
	if (!h->daemon) {
		close(fd);
		return err_set(e, -EIO, "libmicrohttpd does not start");
	}
	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	h->fd = info ? info->epoll_fd : -1;
	return loop_add_fd(h->in.loop, h->fd, EPOLLIN, on_ready, h, e);
}

static void daemon_close(struct http *h)
{
	if (!h->daemon)
		return;
	if (!h->rests)
		loop_del_fd(h->in.loop, h->fd);
	h->rests = false;
	MHD_stop_daemon(h->daemon);
	h->daemon = NULL;
	h->port = 0;
}

static void on_retry(void *data)
{
	struct http *h = data;
	struct err e = {0};

	if (daemon_open(h, &e) == 0) {
		log_info("metrics", "address=%s port=%u", addr_str(h->in.addr), h->port);
		return;
	}
	daemon_close(h);
	loop_timer_arm(h->retry, HTTP_RETRY_MS);
}

int http_new(const struct http_in *in, struct http **ret, struct err *e)
{
	__cleanup(http_freep) struct http *h = mem_alloc0(sizeof(*h));
	struct err own = {0};
	int r;

	h->in = *in;
	r = loop_timer_new(in->loop, on_timer, h, &h->timer, e);
	if (r == 0)
		r = loop_timer_new(in->loop, on_retry, h, &h->retry, e);
	if (r < 0)
		return r;
	if (daemon_open(h, &own) < 0) {
		log_warn("no metrics for now", "error=%s", log_quote(own.msg));
		daemon_close(h);
		loop_timer_arm(h->retry, HTTP_RETRY_MS);
	}
	*ret = TAKE(h);
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	daemon_close(h);
	page_drop(h);
	loop_timer_free(h->timer);
	loop_timer_free(h->retry);
	free(h);
}

uint16_t http_port(const struct http *h)
{
	return h->port;
}
