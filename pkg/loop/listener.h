/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A socket that others connect to. accept4 needs a descriptor; while there is none (EMFILE,
 * ENFILE) or no memory, who connects stays in the kernel's queue, and epoll would tell of it again
 * at once: the daemon would do nothing else. So it is not listened to for LISTENER_REST_MS, which
 * is said in the log at most once in LISTENER_SAY_MS.
 */
#include "base/cleanup.h"
#include "base/err.h"
#include "loop/loop.h"

#define LISTENER_REST_MS 1000
#define LISTENER_SAY_MS	 60000

struct sockaddr_storage;
struct listener;

struct listener_in {
	struct loop *loop;
	int fd;		  /* borrowed; does not block */
	const char *what; /* for the log, borrowed: "gateways" */
	/* fd is the callee's; close on exec, does not block. from: as accept4 has it. */
	void (*accepted)(void *data, int fd, const struct sockaddr_storage *from);
	void *data;
};

int listener_new(const struct listener_in *in, struct listener **ret, struct err *e);
void listener_free(struct listener *l);
DEFINE_CLEANUP(struct listener *, listener_free);

/* ---- for who lets others accept ---- */

/* The process has no room for another descriptor (-errno), or it has (0). */
int listener_room(void);
/* Says so in the log, unless it was said already; *quiet_until: ms, the caller's. */
void listener_say(const char *what, int error, int64_t *quiet_until);
