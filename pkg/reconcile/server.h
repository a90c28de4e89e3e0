/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The daemon's end of runDir/sluiced.sock (state/socket.h has the protocol). One
 * message is one question is one answer; a client that does not read is dropped.
 */
#include "loop/loop.h"
#include "reconcile/reconcile.h"

struct server;

/* asked: called after each answer that may have left something to do. */
int server_new(struct loop *l, struct reconcile *r, const char *run_dir, void (*asked)(void *data),
	       void *data, struct server **ret, struct err *e);
void server_free(struct server *s); /* removes the socket */
