/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "state/socket.h"

static char folder[128];
static int listener = -1;
static pid_t server = -1;

/* A folder whose path is longer than a unix address when long_name is set. */
static void folder_make(bool long_name)
{
	snprintf(folder, sizeof(folder), "/tmp/sluice-socket-XXXXXX");
	assert_non_null(mkdtemp(folder));
	if (!long_name)
		return;
	snprintf(folder + strlen(folder), 2, "/");
	memset(folder + strlen(folder), 'x', 100);
	assert_int_equal(mkdir(folder, 0700), 0);
}

static void listen_in_folder(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = "sluiced.sock"};
	char cwd[4096];

	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(chdir(folder), 0);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(chdir(cwd), 0);
}

/* As the daemon does: the last one is not full. */
static void pieces_send(int fd, const char *answer)
{
	size_t len = strlen(answer), at = 0;

	for (; len - at >= SOCKET_PIECE; at += SOCKET_PIECE)
		send(fd, answer + at, SOCKET_PIECE, 0);
	send(fd, at < len ? answer + at : " ", at < len ? len - at : 1, 0);
}

/* Answers one request with the given bytes; NULL closes without an answer. */
static void serve(const char *answer)
{
	char buf[4096];
	int fd;

	listen_in_folder();
	server = fork();
	if (server)
		return;
	fd = accept(listener, NULL, NULL);
	if (recv(fd, buf, sizeof(buf), 0) > 0 && answer)
		pieces_send(fd, answer);
	_exit(0);
}

static int teardown(void **state)
{
	__cleanup_free char *path = mem_printf("%s/sluiced.sock", folder);

	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	cleanup_closep(&listener);
	server = listener = -1;
	unlink(path);
	rmdir(folder);
	folder[sizeof("/tmp/sluice-socket-XXXXXX") - 1] = '\0'; /* of a long one, what it is in */
	rmdir(folder);
	return 0;
}

static int ask(int timeout_ms, struct json **ret, struct err *e)
{
	__cleanup_json struct json *q = json_new_object();

	json_set(q, "v", json_new_int(1));
	return socket_ask(folder, q, timeout_ms, ret, e);
}

static void says_that_there_is_no_daemon(void **state)
{
	struct json *a = NULL;

	folder_make(false);
	assert_int_equal(ask(30000, &a, NULL), -ENOENT);
	listen_in_folder();
	close(listener);
	listener = -1;
	assert_int_equal(ask(30000, &a, NULL), -ECONNREFUSED);
}

static void returns_the_answer(void **state)
{
	__cleanup_json struct json *a = NULL;
	bool ok = true;

	folder_make(false);
	serve("{\"v\":1,\"ok\":false,\"error\":\"x\"}");
	assert_int_equal(ask(30000, &a, NULL), 0);
	assert_int_equal(json_bool(json_get(a, "ok"), &ok, NULL), 0);
	assert_false(ok);
}

static void takes_an_answer_of_many_pieces(void **state)
{
	static const size_t lengths[] = {SOCKET_PIECE - 1, SOCKET_PIECE, SOCKET_PIECE + 1,
					 3 * SOCKET_PIECE, 20 * SOCKET_PIECE + 7};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		__cleanup_free char *answer = mem_printf("{\"v\":1,\"x\":\"%*s\"}",
							 (int)lengths[i] - 14, "");
		__cleanup_json struct json *a = NULL;
		const char *x = "";

		assert_int_equal(strlen(answer), lengths[i]);
		folder_make(false);
		serve(answer);
		assert_int_equal(ask(30000, &a, NULL), 0);
		assert_int_equal(json_string(json_get(a, "x"), &x, NULL), 0);
		assert_int_equal(strlen(x), lengths[i] - 14);
		teardown(state);
	}
}

static void reaches_a_folder_with_a_long_name(void **state)
{
	__cleanup_json struct json *a = NULL;

	folder_make(true);
	serve("{\"v\":1}");
	assert_int_equal(ask(30000, &a, NULL), 0);
}

static void gives_up_at_the_deadline(void **state)
{
	struct json *a = NULL;
	struct err e = {0};

	folder_make(false);
	listen_in_folder(); /* and nobody accepts */
	assert_int_equal(ask(50, &a, &e), -ETIMEDOUT);
	assert_non_null(strstr(e.msg, "sluiced.sock"));
}

static void refuses_what_is_no_answer(void **state)
{
	static const char *const answers[] = {NULL, "{", "[]", "null"};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct json *a = NULL;

		folder_make(false);
		serve(answers[i]);
		assert_int_equal(ask(30000, &a, NULL), answers[i] ? -EINVAL : -ECONNRESET);
		teardown(state);
	}
}

/* Sends that message until nobody reads on. */
static void serve_for_ever(size_t len)
{
	__cleanup_free char *piece = mem_printf("%*s", (int)len, "{");
	int fd;

	listen_in_folder();
	server = fork();
	if (server)
		return;
	fd = accept(listener, NULL, NULL);
	while (send(fd, piece, len, MSG_NOSIGNAL) > 0)
		;
	_exit(0);
}

static void says_why_it_is_no_answer(void **state)
{
	static const struct {
		size_t len;
		const char *why;
	} rows[] = {
		{SOCKET_PIECE + 1, "a message is longer than"},
		{SOCKET_PIECE, "the answer is longer than"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct json *a = NULL;
		struct err e = {0};

		folder_make(false);
		serve_for_ever(rows[i].len);
		assert_int_equal(ask(30000, &a, &e), -EMSGSIZE);
		assert_non_null(strstr(e.msg, rows[i].why));
		teardown(state);
	}
}

int main(void)
{
#define T(fn) cmocka_unit_test_teardown(fn, teardown)
	const struct CMUnitTest tests[] = {
		T(says_that_there_is_no_daemon),   T(returns_the_answer),
		T(takes_an_answer_of_many_pieces), T(reaches_a_folder_with_a_long_name),
		T(gives_up_at_the_deadline),	   T(refuses_what_is_no_answer),
		T(says_why_it_is_no_answer),
	};

	return cmocka_run_group_tests_name("state/socket", tests, NULL, NULL);
}
