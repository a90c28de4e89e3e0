/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * epoll with timers and signals (signalfd, timerfd). Daemon only, one thread. data is borrowed and
 * handed to fn as it is. Functions return 0 or -errno.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct loop_timer;

int loop_new(struct loop **ret, struct err *e);
void loop_free(struct loop *l);
/* events: EPOLLIN|EPOLLOUT. fd stays the caller's; fn may remove and close it. */
int loop_add_fd(struct loop *l, int fd, uint32_t events,
		void (*fn)(int fd, uint32_t events, void *data), void *data, struct err *e);
void loop_del_fd(struct loop *l, int fd);
/* A timer that fires once, ms from when it is armed (CLOCK_MONOTONIC); arming again moves it. */
int loop_timer_new(struct loop *l, void (*fn)(void *data), void *data, struct loop_timer **ret,
		   struct err *e);
void loop_timer_arm(struct loop_timer *t, int64_t ms); /* ms < 0 disarms it */
void loop_timer_free(struct loop_timer *t);
int loop_add_signal(struct loop *l, int signo, void (*fn)(int signo, void *data), void *data,
		    struct err *e);
int loop_run(struct loop *l, struct err *e); /* until loop_quit */
void loop_quit(struct loop *l);
