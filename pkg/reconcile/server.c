/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/listener.h"
#include "state/socket.h"

#define SOCKET_NAME "sluiced.sock"
#define MESSAGE_MAX SOCKET_PIECE
#define UNREAD_MAX  (8 << 20) /* of an answer: who asks reads it later */
#define BACKLOG	    128
#define CLIENTS_MAX 256

struct client {
	int fd;
	uint64_t question;    /* counts up over all clients */
	struct json *request; /* that waits for its answer */
};

struct server {
	struct server_in in;
	int dirfd, fd;
	struct listener *listener; /* on fd */
	struct client clients[CLIENTS_MAX];
	uint64_t questions;
	size_t n_clients;
	char buf[MESSAGE_MAX + 1];
};

typedef struct json *(*op_fn)(struct reconcile *r, const struct json *request);

static struct json *op_status(struct reconcile *r, const struct json *request)
{
	return reconcile_status(r);
}

static struct json *op_shares(struct reconcile *r, const struct json *request)
{
	return reconcile_shares(r);
}

/* The record is there, or gone: the folder's watch says the same, a moment later. */
static struct json *op_noted(struct reconcile *r, const struct json *request)
{
	struct json *o = json_new_object();

	json_set(o, "v", json_new_int(1));
	json_set(o, "ok", json_new_bool(true));
	return o;
}

static const struct {
	const char *name;
	op_fn fn;
} ops[] = {
	{"resolve", reconcile_resolve}, {"status", op_status},
	{"drain", reconcile_drain},	{"added", op_noted},
	{"deleted", op_noted},		{"shares", op_shares},
};

static struct json *refuse(const char *text)
{
	struct json *o = json_new_object();

	json_set(o, "v", json_new_int(1));
	json_set(o, "ok", json_new_bool(false));
	json_set(o, "error", json_new_string(text));
	return o;
}

static struct json *answer(struct server *s, const struct json *request)
{
	struct err e = {0};
	const char *op;
	int64_t v;

	if (json_int(json_get(request, "v"), 1, 1, &v, &e) < 0 ||
	    json_string(json_get(request, "op"), &op, &e) < 0)
		return refuse(e.msg);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (strcmp(ops[i].name, op) == 0)
			return ops[i].fn(s->in.reconcile, request);
	return refuse("unknown op");
}

static void client_drop(struct server *s, int fd)
{
	loop_del_fd(s->in.loop, fd);
	close(fd);
	for (size_t i = 0; i < s->n_clients; i++)
		if (s->clients[i].fd == fd) {
			json_free(s->clients[i].request);
			s->clients[i] = s->clients[--s->n_clients];
			break;
		}
}

static struct client *client_of(struct server *s, int fd)
{
	for (size_t i = 0; i < s->n_clients; i++)
		if (s->clients[i].fd == fd)
			return &s->clients[i];
	return NULL;
}

/* The last piece is one that is not full: white space, where nothing is left. */
static bool answer_send(int fd, const char *text)
{
	size_t len = strlen(text), n = SOCKET_PIECE;

	for (size_t at = 0; n == SOCKET_PIECE; at += n) {
		n = len - at < SOCKET_PIECE ? len - at : SOCKET_PIECE;
		if (send(fd, n ? text + at : " ", n ? n : 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return false;
	}
	return true;
}

static void reply(struct server *s, int fd, struct json *take_answer)
{
	__cleanup_json struct json *j = take_answer;
	__cleanup_free char *text = json_emit(j, 0);

	if (!answer_send(fd, text))
		client_drop(s, fd);
	s->in.asked(s->in.data);
}

static bool is_resolve(const struct json *request)
{
	const char *op;

	return json_string(json_get(request, "op"), &op, NULL) == 0 && strcmp(op, "resolve") == 0;
}

static void ask(struct server *s, int fd, struct json *take_request)
{
	__cleanup_json struct json *request = take_request;
	struct client *c = client_of(s, fd);

	if (s->in.later && is_resolve(request)) {
		c->question = ++s->questions;
		c->request = request;
		if (s->in.later(s->in.data, c->question, request)) {
			request = NULL;
			return;
		}
		c->request = NULL;
	}
	reply(s, fd, answer(s, request));
}

void server_answer(struct server *s, uint64_t question)
{
	for (size_t i = 0; i < s->n_clients; i++) {
		struct client *c = &s->clients[i];
		__cleanup_json struct json *request = NULL;

		if (!c->request || c->question != question)
			continue;
		request = TAKE(c->request);
		reply(s, c->fd, answer(s, request));
		return;
	}
}

static void client_ready(int fd, uint32_t events, void *data)
{
	struct server *s = data;
	ssize_t n = recv(fd, s->buf, MESSAGE_MAX, MSG_DONTWAIT);
	struct json *request = NULL;
	struct err e = {0};

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || client_of(s, fd)->request) {
		client_drop(s, fd);
		return;
	}
	s->buf[n] = '\0';
	if (json_parse(s->buf, (size_t)n, &request, &e) < 0)
		reply(s, fd, refuse(e.msg));
	else
		ask(s, fd, request);
}

static void client_new(void *data, int c, const struct sockaddr_storage *from)
{
	struct server *s = data;
	int size = UNREAD_MAX;

	setsockopt(c, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (s->n_clients == CLIENTS_MAX ||
	    loop_add_fd(s->in.loop, c, EPOLLIN, client_ready, s, NULL) < 0) {
		close(c);
		return;
	}
	s->clients[s->n_clients++] = (struct client){.fd = c};
}

/* Bound through the folder's descriptor, as a unix address has only 108 bytes; 0600. */
static int socket_listen(struct server *s, const char *run_dir, struct err *e)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int rc;

	s->dirfd = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0)
		return err_sys(e, -errno, "open %s", run_dir);
	s->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return err_sys(e, -errno, "socket");
	snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/" SOCKET_NAME, s->dirfd);
	unlinkat(s->dirfd, SOCKET_NAME, 0);
	rc = bind(s->fd, (struct sockaddr *)&sa, sizeof(sa));
	if (rc == 0)
		rc = fchmodat(s->dirfd, SOCKET_NAME, 0600, 0);
	if (rc == 0)
		rc = listen(s->fd, BACKLOG);
	return rc < 0 ? err_sys(e, -errno, "listen on %s/" SOCKET_NAME, run_dir) : 0;
}

int server_new(const struct server_in *in, struct server **ret, struct err *e)
{
	struct server *s = mem_alloc0(sizeof(*s));
	int rc;

	s->in = *in;
	s->dirfd = s->fd = -1;
	rc = socket_listen(s, in->run_dir, e);
	if (rc == 0)
		rc = listener_new(&(struct listener_in){.loop = in->loop,
							.fd = s->fd,
							.what = SOCKET_NAME,
							.accepted = client_new,
							.data = s},
				  &s->listener, e);
	if (rc < 0) {
		server_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	while (s->n_clients)
		client_drop(s, s->clients[0].fd);
	listener_free(s->listener);
	if (s->fd >= 0) {
		close(s->fd);
		unlinkat(s->dirfd, SOCKET_NAME, 0);
	}
	cleanup_closep(&s->dirfd);
	free(s);
}
