/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * runDir/sluiced.sock: SOCK_SEQPACKET. A request is one JSON object in one message, 64 KiB at most;
 * an answer has as many messages as it needs, of which all but the last are of SOCKET_PIECE bytes.
 * Request {"v":1,"op":"resolve"|"added"|"deleted"|"status"|…}; answer {"v":1,"ok":true,…}
 * or {"v":1,"ok":false,"error":"…"}. Client side only; the daemon serves in
 * reconcile/server.c.
 *
 * resolve: {"namespace","name","uid","labels":{…}|null,"network","ifname"} →
 *	{"kind":"free"|"policy"|"undecided","policy":N,"spread":N,"flags":N,"key":"hex"}
 *	(the program is in the kernel before the answer)
 */
#include "base/err.h"
#include "json/json.h"

#define SOCKET_PIECE 65536

/* -ENOENT/-ECONNREFUSED: no daemon; -ETIMEDOUT. Otherwise the answer's tree, also when "ok" is
 * false. */
int socket_ask(const char *run_dir, const struct json *request, int timeout_ms, struct json **ret,
	       struct err *e);
