/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Callbacks may remove anything, also what has an event waiting in the batch
 * that is just being handed out. So a removed source is only marked, and freed
 * when the batch is over: no callback is ever called after its removal, and no
 * pointer in the batch dangles.
 */
#include "loop/loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define BATCH 32
#define TRIES 10

struct source {
	int fd;
	void (*fn)(int fd, uint32_t events, void *data);
	void *data;
	bool dead;
	struct source *next;
};

struct signal {
	int fd, signo;
	void (*fn)(int signo, void *data);
	void *data;
	struct signal *next;
};

struct loop {
	int epoll;
	bool quit;
	sigset_t blocked_before;
	struct source *sources;
	bool some_dead;
	struct signal *signals;
};

struct loop_timer {
	struct loop *loop;
	int fd;
	void (*fn)(void *data);
	void *data;
};

int loop_new(struct loop **ret, struct err *e)
{
	struct loop *l;
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return err_sys(e, -errno, "epoll");
	l = mem_alloc0(sizeof(*l));
	l->epoll = fd;
	sigprocmask(SIG_BLOCK, NULL, &l->blocked_before);
	*ret = l;
	return 0;
}

static void sweep(struct loop *l, bool all)
{
	struct source **at = &l->sources;

	l->some_dead = false;
	while (*at) {
		struct source *s = *at;

		if (!all && !s->dead) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		free(s);
	}
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	sweep(l, true);
	while (l->signals) {
		struct signal *s = l->signals;

		l->signals = s->next;
		close(s->fd);
		free(s);
	}
	sigprocmask(SIG_SETMASK, &l->blocked_before, NULL);
	close(l->epoll);
	free(l);
}

int loop_add_fd(struct loop *l, int fd, uint32_t events,
		void (*fn)(int fd, uint32_t events, void *data), void *data, struct err *e)
{
	struct source *s = mem_alloc0(sizeof(*s));
	struct epoll_event ev = {.events = events, .data.ptr = s};

	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
		int code = -errno;

		free(s);
		return err_sys(e, code, "epoll: add descriptor %d", fd);
	}
	*s = (struct source){.fd = fd, .fn = fn, .data = data, .next = l->sources};
	l->sources = s;
	return 0;
}

void loop_del_fd(struct loop *l, int fd)
{
	for (struct source *s = l->sources; s; s = s->next) {
		if (s->fd != fd || s->dead)
			continue;
		/* else it would go on telling of what is freed */
		for (int i = 0; i < TRIES && epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL) < 0; i++)
			;
		s->dead = l->some_dead = true;
		return;
	}
}

static void timer_fired(int fd, uint32_t events, void *data)
{
	struct loop_timer *t = data;
	uint64_t times;

	/* armed anew or disarmed since epoll saw it */
	if (read(fd, &times, sizeof(times)) != sizeof(times))
		return;
	t->fn(t->data); /* may free t */
}

int loop_timer_new(struct loop *l, void (*fn)(void *data), void *data, struct loop_timer **ret,
		   struct err *e)
{
	__cleanup_close int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	struct loop_timer *t;
	int r;

	if (fd < 0)
		return err_sys(e, -errno, "timerfd");
	t = mem_alloc0(sizeof(*t));
	*t = (struct loop_timer){.loop = l, .fd = fd, .fn = fn, .data = data};
	r = loop_add_fd(l, fd, EPOLLIN, timer_fired, t, e);
	if (r < 0) {
		free(t);
		return r;
	}
	TAKE_FD(fd);
	*ret = t;
	return 0;
}

void loop_timer_arm(struct loop_timer *t, int64_t ms)
{
	struct itimerspec when = {0};

	if (ms >= 0) {
		when.it_value.tv_sec = ms / 1000;
		when.it_value.tv_nsec = ms % 1000 * 1000000;
		if (ms == 0)
			when.it_value.tv_nsec = 1; /* zero would disarm */
	}
	/* whoever waits for it would wait for ever */
	for (int i = 0; i < TRIES && timerfd_settime(t->fd, 0, &when, NULL) < 0; i++)
		;
}

void loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	loop_del_fd(t->loop, t->fd);
	close(t->fd);
	free(t);
}

static void signal_fired(int fd, uint32_t events, void *data)
{
	struct signal *s = data;
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) == sizeof(info))
		s->fn(s->signo, s->data);
}

int loop_add_signal(struct loop *l, int signo, void (*fn)(int signo, void *data), void *data,
		    struct err *e)
{
	__cleanup_close int fd = -1;
	struct signal *s;
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, signo);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "signalfd %d", signo);
	s = mem_alloc0(sizeof(*s));
	*s = (struct signal){.fd = fd, .signo = signo, .fn = fn, .data = data};
	r = loop_add_fd(l, fd, EPOLLIN, signal_fired, s, e);
	if (r < 0) {
		free(s);
		return r;
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	TAKE_FD(fd);
	s->next = l->signals;
	l->signals = s;
	return 0;
}

int loop_run(struct loop *l, struct err *e)
{
	struct epoll_event batch[BATCH];

	l->quit = false;
	while (!l->quit) {
		int n = epoll_wait(l->epoll, batch, BATCH, -1);

		if (n < 0 && errno != EINTR)
			return err_sys(e, -errno, "epoll");
		for (int i = 0; i < n; i++) {
			struct source *s = batch[i].data.ptr;

			if (!s->dead)
				s->fn(s->fd, batch[i].events, s->data);
		}
		if (l->some_dead)
			sweep(l, false);
	}
	return 0;
}

void loop_quit(struct loop *l)
{
	l->quit = true;
}
