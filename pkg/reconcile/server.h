/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The daemon's end of runDir/sluiced.sock (state/socket.h has the protocol). One
 * message is one question is one answer; a client that does not read is dropped.
 */
#include "loop/loop.h"
#include "reconcile/reconcile.h"

struct server;

struct server_in {
	struct loop *loop;
	struct reconcile *reconcile;
	const char *run_dir;
	void (*asked)(void *data); /* after each answer: it may have left something to do */
	void *data;
};

int server_new(const struct server_in *in, struct server **ret, struct err *e);
void server_free(struct server *s); /* removes the socket */
