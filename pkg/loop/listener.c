/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

struct listener {
	struct listener_in in;
	struct loop_timer *timer;
	int64_t quiet_until; /* ms: it was said */
	bool listens;
};

static bool lacks_room(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

void listener_say(const char *what, int error, int64_t *quiet_until)
{
	int64_t now = clock_ms();

	if (now < *quiet_until)
		return;
	log_warn("connections wait", "for=%s error=%s retryMs=%d", what,
		 log_quote(strerror(-error)), LISTENER_REST_MS);
	*quiet_until = now + LISTENER_SAY_MS;
}

static void rest(struct listener *l, int error)
{
	listener_say(l->in.what, error, &l->quiet_until);
	loop_del_fd(l->in.loop, l->in.fd);
	l->listens = false;
	loop_timer_arm(l->timer, LISTENER_REST_MS);
}

static void on_ready(int fd, uint32_t events, void *data)
{
	struct listener *l = data;
	struct sockaddr_storage from = {0};
	socklen_t len = sizeof(from);
	int c = accept4(fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (c >= 0)
		l->in.accepted(l->in.data, c, &from);
	else if (lacks_room(errno))
		rest(l, -errno);
}

static int listen_again(struct listener *l, struct err *e)
{
	int r = loop_add_fd(l->in.loop, l->in.fd, EPOLLIN, on_ready, l, e);

	l->listens = r == 0;
	return r;
}

static void on_rested(void *data)
{
	struct listener *l = data;

	if (listen_again(l, NULL) < 0)
		loop_timer_arm(l->timer, LISTENER_REST_MS);
}

int listener_new(const struct listener_in *in, struct listener **ret, struct err *e)
{
	__cleanup(listener_freep) struct listener *l = mem_alloc0(sizeof(*l));
	int r;

	l->in = *in;
	r = loop_timer_new(in->loop, on_rested, l, &l->timer, e);
	if (r == 0)
		r = listen_again(l, e);
	if (r < 0)
		return r;
	*ret = TAKE(l);
	return 0;
}

void listener_free(struct listener *l)
{
	if (!l)
		return;
	if (l->listens)
		loop_del_fd(l->in.loop, l->in.fd);
	loop_timer_free(l->timer);
	free(l);
}

int listener_room(void)
{
	int fd = eventfd(0, EFD_CLOEXEC), r = fd < 0 && lacks_room(errno) ? -errno : 0;

	cleanup_closep(&fd);
	return r;
}
