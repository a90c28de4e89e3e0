/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * runDir/sluiced.sock: SOCK_SEQPACKET, one JSON object a message, 64 KiB at most.
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

/* -ENOENT/-ECONNREFUSED: no daemon; -ETIMEDOUT. Otherwise the answer's tree, also when "ok" is
 * false. */
int socket_ask(const char *run_dir, const struct json *request, int timeout_ms, struct json **ret,
	       struct err *e);
