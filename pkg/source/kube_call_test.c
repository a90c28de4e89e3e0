/* SPDX-License-Identifier: Apache-2.0 */
#include "source/kube.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "json/json.h"
#include "source/kube_priv.h"
#include "testkit/fake_world.h"
#include "testkit/netns_fixture.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct fake_world w;

static int stop(void **state)
{
	fake_world_stop(&w);
	return 0;
}

#define ECHO(method, path, type, body)                                                           \
	"{\"method\":\"" method "\",\"path\":\"" path "\",\"token\":\"secret\",\"type\":\"" type \
	"\",\"user\":\"\",\"connection\":0,\"body\":\"" body "\"}"

static void a_call_brings_the_answer_as_json(void **state)
{
	static const struct {
		struct kube_request request;
		const char *answer;
	} cases[] = {
		{{.path = "/api/v1/pods?a=b%2Fc"}, ECHO("GET", "/api/v1/pods?a=b%2Fc", "", "")},
		{{.method = "POST", .path = "/x", .body = "[1]"},
		 ECHO("POST", "/x", "application/json", "[1]")},
		{{.method = "PATCH", .path = "/x", .content_type = KUBE_APPLY, .body = "[2]"},
		 ECHO("PATCH", "/x", "application/apply-patch+yaml", "[2]")},
		{{.method = "DELETE", .path = "/x/../y"}, ECHO("DELETE", "/x/../y", "", "")},
		{{.method = "PUT", .path = "/x", .body = ""},
		 ECHO("PUT", "/x", "application/json", "")},
	};

	fake_world_start(&w, NULL, fake_echo, NULL);
	for (size_t i = 0; i < N(cases); i++) {
		fake_world_call(&w, &cases[i].request);
		assert_int_equal(w.status, 200);
		assert_string_equal(w.e.msg, "");
		assert_string_equal(w.body, cases[i].answer);
	}
}

static void answers(struct fake_conn *c, const struct fake_request *r, void *data)
{
	if (strcmp(r->path, "/forbidden?x=y") == 0) {
		fake_json(c, 403,
			  "{\"kind\":\"Status\",\"message\":\"pods \\\"a\\\" is "
			  "forbidden\",\"code\":403}");
	} else if (strcmp(r->path, "/busy") == 0) {
		fake_answer(c, 429, "text/plain", "Retry-After: 7\r\n",
			    "Too many requests, please try again later.\n");
	} else if (strcmp(r->path, "/starting") == 0) {
		fake_json(c, 429,
			  "{\"kind\":\"Status\",\"message\":\"storage is (re)initializing\","
			  "\"details\":{\"retryAfterSeconds\":2},\"code\":429}");
	} else if (strcmp(r->path, "/html") == 0) {
		fake_answer(c, 200, "text/html", NULL, "<html>");
	} else if (strcmp(r->path, "/gateway") == 0) {
		fake_answer(c, 502, "text/html; charset=x", NULL, "\n<html>\x01no\nmore");
	} else if (strcmp(r->path, "/moved") == 0) {
		fake_answer(c, 302, "text/plain", "Location: https://127.0.0.1/\r\n", "");
	} else if (strcmp(r->path, "/broken") == 0) {
		fake_json(c, 200, "{\"a\":");
	} else if (strcmp(r->path, "/torn") == 0) {
		fake_head(c, 200, NULL);
		fake_printf(c, "{\"a\":1");
		fake_reset(c);
	} else if (strcmp(r->path, "/large") == 0) {
		fake_head(c, 200, NULL);
		for (int i = 0; i < 100 && !fake_over(c); i++)
			fake_printf(c, "%*s", 1000, "");
		fake_end(c);
	} else if (strcmp(r->path, "/slow") == 0) {
		fake_head(c, 200, "Application/JSON; charset=utf-8");
		for (const char *p = "{\"slow\":true}"; *p; p++) {
			fake_chunk(c, p, 1);
			fake_pause(c, 1);
		}
		fake_end(c);
	} else if (strcmp(r->path, "/loris") == 0) {
		fake_head(c, 200, NULL);
		while (!fake_over(c)) {
			fake_printf(c, " ");
			fake_pause(c, 20);
		}
	} else {
		fake_hold(c);
	}
}

static void what_is_no_success_is_said_in_words(void **state)
{
	static const struct {
		struct kube_request request;
		int status, code;
		const char *words, *body;
		unsigned int retry_after;
	} cases[] = {
		{{.path = "/forbidden?x=y"},
		 403,
		 -EACCES,
		 "GET /forbidden: 403 Forbidden: pods \"a\" is forbidden",
		 "{\"kind\":\"Status\"",
		 0},
		{{.path = "/busy"},
		 429,
		 -EAGAIN,
		 "429 Too Many Requests: Too many requests, please try again later.",
		 NULL,
		 7},
		{{.path = "/starting"},
		 429,
		 -EAGAIN,
		 "storage is (re)initializing",
		 "{\"kind\":\"Status\"",
		 2},
		{{.path = "/html"}, 200, -EPROTO, "answered text/html instead of JSON", NULL, 0},
		{{.path = "/gateway"}, 502, -EAGAIN, "502 Bad Gateway: <html>no", NULL, 0},
		{{.path = "/moved"}, 302, -EINVAL, "302 Found", NULL, 0},
		{{.path = "/broken"}, 200, -EINVAL, "GET /broken: answer: line 1", NULL, 0},
		{{.path = "/torn"}, 0, -ECONNRESET, "GET /torn: https://127.0.0.1:", NULL, 0},
		{{.path = "/large", .max = 5000},
		 200,
		 -EFBIG,
		 "GET /large: the answer is longer than 5000 bytes",
		 NULL,
		 0},
		{{.path = "/loris", .timeout_ms = 200}, 0, -ETIMEDOUT, "timed out", NULL, 0},
		{{.path = "/silent", .timeout_ms = 100}, 0, -ETIMEDOUT, "timed out", NULL, 0},
		{{.path = "/sp ace"}, 0, -EINVAL, "no path of a URL", NULL, 0},
		{{.path = "/a\r\nX: y"}, 0, -EINVAL, "no path of a URL", NULL, 0},
		{{.path = "no/slash"}, 0, -EINVAL, "no path of a URL", NULL, 0},
		{{.path = "/slow"}, 200, 0, "", "{\"slow\":true}", 0},
	};

	fake_world_start(&w, NULL, answers, NULL);
	for (size_t i = 0; i < N(cases); i++) {
		fake_world_call(&w, &cases[i].request);
		if (w.status != cases[i].status || w.e.code != cases[i].code ||
		    !strstr(w.e.msg, cases[i].words) || w.retry_after != cases[i].retry_after ||
		    !w.body != !cases[i].body ||
		    (w.body && strncmp(w.body, cases[i].body, strlen(cases[i].body)) != 0))
			fail_msg("%s: %d %d %s %s %u", cases[i].request.path, w.status, w.e.code,
				 w.e.msg, w.body ? w.body : "", w.retry_after);
	}
	assert_int_equal(kube_retry_after(w.kube), 0);
}

static void doubts(struct fake_conn *c, const struct fake_request *r, void *data)
{
	int status = (int)strtol(r->path + 1, NULL, 10);

	fake_json(c, status ?: 200, "{\"message\":\"x\"}");
}

static void note(void *data, const char *what)
{
	char **said = data, *before = *said;

	*said = mem_printf("%s%s, ", before, what ?: "again");
	free(before);
}

/* Whoever asks has the answer; that nobody knows us is said once. */
static void a_token_that_is_refused_is_told_once_and_so_is_that_it_is_taken_again(void **state)
{
	static const char *const paths[] = {"/a",   "/401", "/401", "/500", "/429", "/401",
					    "/403", "/401", "/b",   "/404", "/c"};
	__cleanup_free char *said = mem_strdup("");

	fake_world_start(&w, NULL, doubts, NULL);
	kube_on_refused(w.kube, note, &said);
	for (size_t i = 0; i < N(paths); i++)
		fake_world_call(&w, &(struct kube_request){.path = paths[i]});
	assert_string_equal(said, "GET /401, again, GET /401, again, ");
}

static void by_name(struct kube_conf *c)
{
	free(c->server);
	c->server = mem_printf("https://localhost:%d", fake_api_port(w.api));
}

static void by_no_name(struct kube_conf *c)
{
	free(c->server);
	c->server = mem_strdup("https://api.invalid:6443");
}

/* localhost is ::1 as well, where nobody listens: the next address is tried. */
static void a_name_is_resolved_and_all_its_addresses_are_tried(void **state)
{
	fake_world_start(&w, NULL, fake_echo, NULL);
	fake_world_reconfigure(&w, by_name);
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_string_equal(w.e.msg, "");
	assert_int_equal(w.status, 200);
	fake_world_reconfigure(&w, by_no_name);
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_int_equal(w.status, 0);
	assert_non_null(strstr(w.e.msg, "api.invalid"));
}

static void a_server_that_comes_back_is_found_again(void **state)
{
	struct fake_faults f = {0};

	fake_world_start(&w, NULL, fake_echo, NULL);
	f.port = fake_api_port(w.api);
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_int_equal(w.status, 200);
	fake_api_stop(TAKE(w.api));
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_int_equal(w.e.code, -ECONNREFUSED);
	w.api = fake_api_start(&f, fake_echo, NULL); /* with another CA: its tokens are not ours */
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_int_equal(w.e.code, -EPROTO);
	fake_world_reconfigure(&w, NULL);
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_int_equal(w.status, 200);
}

static void a_server_that_takes_connections_and_no_more_is_given_up(void **state)
{
	struct fake_faults f = {.deaf = true};

	fake_world_start(&w, &f, fake_echo, NULL);
	w.kube->times.connect_ms = 100;
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_int_equal(w.e.code, -ETIMEDOUT);
}

static void a_cancelled_call_is_never_done(void **state)
{
	struct kube_request r = {.path = "/silent", .done = fake_world_done, .data = &w};
	struct kube_call *c;

	fake_world_start(&w, NULL, answers, NULL);
	kube_cancel(kube_call(w.kube, &r));
	c = kube_call(w.kube, &r);
	while (fake_api_requests(w.api) < 1)
		fake_world_run_ms(&w, 5);
	kube_cancel(c);
	kube_cancel(NULL);
	kube_call(w.kube, &r); /* and one that ends with the client */
	fake_world_run_ms(&w, 20);
	assert_int_equal(w.done, 0);
}

struct chain {
	int n;
	struct kube_call *other;
};

static void other_done(void *data, int status, const struct json *body, const struct err *e)
{
	struct chain *chain = data;

	chain->other = NULL;
}

static void next_call(void *data, int status, const struct json *body, const struct err *e)
{
	struct chain *chain = data;
	struct kube_request r = {.path = "/x", .done = next_call, .data = chain};

	kube_cancel(TAKE(chain->other));
	if (++chain->n == 200)
		loop_quit(w.loop);
	else
		kube_call(w.kube, &r);
	if (chain->n < 100) {
		r.path = "/y";
		r.done = other_done;
		chain->other = kube_call(w.kube, &r);
	}
}

static void a_done_may_call_and_cancel(void **state)
{
	struct chain chain = {0};
	struct kube_request r = {.path = "/x", .done = next_call, .data = &chain};

	fake_world_start(&w, NULL, fake_echo, NULL);
	kube_call(w.kube, &r);
	while (chain.n < 200)
		fake_world_run_ms(&w, 10);
}

static void connections_are_not_inherited(void **state)
{
	int found = 0;

	fake_world_start(&w, NULL, fake_echo, NULL);
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	for (int fd = 3; fd < 64; fd++) {
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);

		if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0 ||
		    peer.sin_family != AF_INET)
			continue;
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		found++;
	}
	assert_true(found > 0);
}

static void back_off_doubles_and_has_an_end(void **state)
{
	struct kube_backoff b = {0};
	int64_t most = 500;

	for (int i = 0; i < 40; i++) {
		int64_t ms = kube_backoff_ms(&b, 0);

		assert_in_range(ms, most / 2, most);
		most = most * 2 > 30000 ? 30000 : most * 2;
	}
	b = (struct kube_backoff){0};
	assert_in_range(kube_backoff_ms(&b, 5), 5000, 6000);
	assert_in_range(kube_backoff_ms(&b, 5000), 60000, 61000);
}

static void versions_are_compared_as_numbers(void **state)
{
	assert_true(kube_version_compare("9", "10") < 0);
	assert_true(kube_version_compare("10", "9") > 0);
	assert_true(kube_version_compare("10", "10") == 0);
	assert_true(kube_version_compare("18446744073709551616", "18446744073709551615") > 0);
	assert_true(kube_version_compare("", "1") < 0);
	assert_true(kube_version_compare("x1", "1") < 0);
	assert_true(kube_version_compare(NULL, "x") == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_call_brings_the_answer_as_json, stop),
		cmocka_unit_test_teardown(what_is_no_success_is_said_in_words, stop),
		cmocka_unit_test_teardown(
			a_token_that_is_refused_is_told_once_and_so_is_that_it_is_taken_again,
			stop),
		cmocka_unit_test_teardown(a_name_is_resolved_and_all_its_addresses_are_tried, stop),
		cmocka_unit_test_teardown(a_server_that_comes_back_is_found_again, stop),
		cmocka_unit_test_teardown(a_server_that_takes_connections_and_no_more_is_given_up,
					  stop),
		cmocka_unit_test_teardown(a_cancelled_call_is_never_done, stop),
		cmocka_unit_test_teardown(a_done_may_call_and_cancel, stop),
		cmocka_unit_test_teardown(connections_are_not_inherited, stop),
		cmocka_unit_test(back_off_doubles_and_has_an_end),
		cmocka_unit_test(versions_are_compared_as_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
