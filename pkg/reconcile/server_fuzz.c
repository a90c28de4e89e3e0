/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any message to the daemon's socket, over the socket itself, before a node that has
 * policies. Every question has one answer: an object with v and ok, and a reason when it
 * is no.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "reconcile/server.h"
#include "testkit/reconcile_fixture.h"

#define NEEDS_ROOT 69 /* scripts/fuzz */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct loop *loop;
static int client = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	if (geteuid() != 0) {
		fprintf(stderr, "needs root\n");
		exit(NEEDS_ROOT);
	}
	return 0;
}

static void asked(void *data)
{
	loop_quit(loop);
}

static void node_make(void)
{
	rnode_setup(NULL);
	rnode_cluster("n1");
	rnode_policy("web.yaml", POLICY("web", DENY_DOCS AS_OFFICE));
	rnode_policy("db.yaml", POLICY("db", AS_OFFICE));
	rnode_pod("web", 5, WEB);
	rnode_settle();
}

static void serve(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = RNODE "/run/sluiced.sock"};
	struct server_in in = {.run_dir = RNODE "/run", .asked = asked};
	struct server *s;

	assert(loop_new(&loop, NULL) == 0);
	in.loop = loop;
	in.reconcile = rnode();
	assert(server_new(&in, &s, NULL) == 0);
	client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert(connect(client, (struct sockaddr *)&sa, sizeof(sa)) == 0);
}

static void answer_check(const char *text, size_t len)
{
	__cleanup_json struct json *answer = NULL;
	const char *why = "";
	bool ok = false;
	int64_t v;

	if (json_parse(text, len, &answer, NULL) < 0 ||
	    json_int(json_get(answer, "v"), 1, 1, &v, NULL) < 0 ||
	    json_bool(json_get(answer, "ok"), &ok, NULL) < 0)
		abort();
	if (!ok && (json_string(json_get(answer, "error"), &why, NULL) < 0 || !*why))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char buf[65536];
	ssize_t n;

	if (client < 0) {
		node_make();
		serve();
	}
	if (!size || size > sizeof(buf)) /* nothing is the end of a connection */
		return 0;
	assert(send(client, data, size, 0) == (ssize_t)size);
	loop_run(loop, NULL);
	n = recv(client, buf, sizeof(buf), MSG_DONTWAIT);
	assert(n > 0);
	answer_check(buf, (size_t)n);
	return 0;
}
