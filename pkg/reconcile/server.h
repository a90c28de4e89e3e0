/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The daemon's end of runDir/sluiced.sock (state/socket.h has the protocol). One
 * message is one question is one answer; a client that does not read, or asks again before it is
 * answered, is dropped.
 */
#include "loop/loop.h"
#include "reconcile/reconcile.h"

struct server;

struct server_in {
	struct loop *loop;
	struct reconcile *reconcile;
	const char *run_dir;
	void (*asked)(void *data); /* after each answer: it may have left something to do */
	/*
	 * Before a resolve: true = its answer needs something that is not here, and
	 * server_answer will be called with this number. Nobody else waits for it. May be NULL.
	 */
	bool (*later)(void *data, uint64_t question, const struct json *request);
	void *data;
};

int server_new(const struct server_in *in, struct server **ret, struct err *e);
/* What can be said now; who asked may be gone. */
void server_answer(struct server *s, uint64_t question);
void server_free(struct server *s); /* removes the socket */
