/* SPDX-License-Identifier: Apache-2.0 */
/* A server and its clients in one loop. */
#include "metrics/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define LIMIT_MS 60000
#define CROWD	 60 /* more than are served at once, and the kernel takes them all */

struct world {
	struct loop *loop;
	struct loop_timer *limit, *tick;
	struct http *http;
	unsigned int gathered;
	const char *why; /* NULL: ready */
	/* the client that is waited for */
	char said[4096];
	size_t len;
	int drip; /* sends a byte now and then; -1: nobody */
};

static char *on_metrics(void *data, size_t *ret_len)
{
	struct world *w = data;

	w->gathered++;
	*ret_len = 6;
	return mem_strdup("n 100\n");
}

static bool on_readyz(void *data, char *why, size_t size)
{
	struct world *w = data;

	if (w->why)
		snprintf(why, size, "%s", w->why);
	return !w->why;
}

static void on_limit(void *data)
{
	fail_msg("nothing happened for %d ms", LIMIT_MS);
}

static void on_tick(void *data)
{
	struct world *w = data;

	if (w->drip < 0)
		return;
	send(w->drip, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	loop_timer_arm(w->tick, 20);
}

static void world_up(struct world *w, int head_ms)
{
	struct http_in in = {.addr = addr_from_v4((const uint8_t[4]){127, 0, 0, 1}),
			     .head_ms = head_ms,
			     .metrics = on_metrics,
			     .ready = on_readyz,
			     .data = w};

	*w = (struct world){.drip = -1};
	assert_int_equal(loop_new(&w->loop, NULL), 0);
	assert_int_equal(loop_timer_new(w->loop, on_limit, w, &w->limit, NULL), 0);
	assert_int_equal(loop_timer_new(w->loop, on_tick, w, &w->tick, NULL), 0);
	loop_timer_arm(w->limit, LIMIT_MS);
	in.loop = w->loop;
	assert_int_equal(http_new(&in, &w->http, NULL), 0);
	assert_int_not_equal(http_port(w->http), 0);
}

static void world_down(struct world *w)
{
	http_free(w->http);
	loop_timer_free(w->limit);
	loop_timer_free(w->tick);
	loop_free(w->loop);
}

/* The kernel takes it before anybody accepts it. */
static int client(const struct world *w, const char *request)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons(http_port(w->http)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = strlen(request);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(send(fd, request, len, MSG_NOSIGNAL), len);
	return fd;
}

static void on_said(int fd, uint32_t events, void *data)
{
	struct world *w = data;
	ssize_t n = recv(fd, w->said + w->len, sizeof(w->said) - 1 - w->len, 0);

	w->len += n > 0 ? (size_t)n : 0;
	w->said[w->len] = '\0';
	if (n > 0)
		return;
	loop_del_fd(w->loop, fd);
	loop_quit(w->loop);
}

/* Until the other side ends it. */
static const char *hear(struct world *w, int fd)
{
	w->len = 0;
	assert_int_equal(loop_add_fd(w->loop, fd, EPOLLIN, on_said, w, NULL), 0);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	close(fd);
	return w->said;
}

static const char *ask(struct world *w, const char *request)
{
	return hear(w, client(w, request));
}

static void expect(struct world *w, const char *request, const char *first, const char *within)
{
	const char *said = ask(w, request);

	if (strncmp(said, first, strlen(first)) != 0 || !strstr(said, within))
		fail_msg("%.60s: %s", request, said);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static void each_page_has_its_answer(void **state)
{
	struct world w;

	world_up(&w, 0);
	expect(&w, GET("/metrics"), "HTTP/1.1 200 ", "\r\n\r\nn 100\n");
	expect(&w, GET("/metrics?a=b"), "HTTP/1.1 200 ",
	       "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	expect(&w, GET("/metrics"), "HTTP/1.1 200 ", "Connection: close\r\n");
	expect(&w, GET("/healthz"), "HTTP/1.1 200 ", "\r\n\r\nok\n");
	expect(&w, GET("/readyz"), "HTTP/1.1 200 ", "\r\n\r\nok\n");
	expect(&w, "HEAD /metrics HTTP/1.0\r\n\r\n", "HTTP/1.", "Content-Length: 6\r\n");
	assert_null(strstr(w.said, "n 100"));
	world_down(&w);
}

static void who_is_not_ready_says_why(void **state)
{
	struct world w;

	world_up(&w, 0);
	w.why = "no chain";
	expect(&w, GET("/readyz"), "HTTP/1.1 503 ", "\r\n\r\nno chain\n");
	world_down(&w);
}

static void what_is_not_asked_for_rightly_is_refused(void **state)
{
	struct world w;

	world_up(&w, 0);
	expect(&w, GET("/"), "HTTP/1.1 404 ", "/metrics");
	expect(&w, GET("/metrics/"), "HTTP/1.1 404 ", "");
	expect(&w, GET("/../metrics"), "HTTP/1.1 404 ", "");
	expect(&w, "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
	       "HTTP/1.1 405 ", "Allow: GET, HEAD\r\n");
	expect(&w, "DELETE /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 ", "");
	expect(&w, "\x16\x03\x01\x02\r\n\r\n", "", "");
	assert_null(strstr(w.said, "n 100"));
	assert_int_equal(w.gathered, 0);
	expect(&w, GET("/healthz"), "HTTP/1.1 200 ", "ok");
	world_down(&w);
}

static void a_long_head_is_refused(void **state)
{
	static const char start[] = "GET /metrics HTTP/1.1\r\nHost: a\r\nX: ";
	__cleanup_free char *request = mem_alloc0(sizeof(start) + 2 * HTTP_HEAD_MAX);
	struct world w;

	memset(request, 'x', sizeof(start) + 2 * HTTP_HEAD_MAX - 1);
	memcpy(request, start, sizeof(start) - 1);
	world_up(&w, 0);
	ask(&w, request);
	assert_null(strstr(w.said, "n 100"));
	expect(&w, GET("/metrics"), "HTTP/1.1 200 ", "n 100");
	world_down(&w);
}

static void the_numbers_are_gathered_once_a_second(void **state)
{
	struct world w;
	int64_t began = clock_ms();

	world_up(&w, 0);
	for (int i = 0; i < 20; i++)
		expect(&w, GET("/metrics"), "HTTP/1.1 200 ", "n 100");
	assert_in_range(w.gathered, 1, (clock_ms() - began) / HTTP_PAGE_MS + 1);
	world_down(&w);
}

static void who_is_slow_is_sent_away(void **state)
{
	struct world w;
	int fd;

	world_up(&w, 200);
	hear(&w, client(&w, "GET /metr"));
	fd = client(&w, "GET /metrics HTTP/1.1\r\nX: ");
	w.drip = fd;
	loop_timer_arm(w.tick, 20);
	hear(&w, fd);
	w.drip = -1;
	assert_null(strstr(w.said, "n 100"));
	world_down(&w);
}

static void a_crowd_that_says_nothing_does_not_keep_others_out(void **state)
{
	struct world w;
	int crowd[CROWD];

	world_up(&w, 200);
	for (int i = 0; i < CROWD; i++)
		crowd[i] = client(&w, "G");
	expect(&w, GET("/metrics"), "HTTP/1.1 200 ", "n 100");
	for (int i = 0; i < CROWD; i++)
		close(crowd[i]);
	expect(&w, GET("/healthz"), "HTTP/1.1 200 ", "ok");
	world_down(&w);
}

static void who_does_not_wait_for_the_answer_does_no_harm(void **state)
{
	struct world w;

	world_up(&w, 0);
	for (int i = 0; i < CROWD; i++)
		close(client(&w, GET("/metrics")));
	expect(&w, GET("/metrics"), "HTTP/1.1 200 ", "n 100");
	world_down(&w);
}

static void a_port_that_somebody_has_is_no_failure(void **state)
{
	struct world w;
	struct http_in in = {.addr = addr_from_v4((const uint8_t[4]){127, 0, 0, 1}),
			     .metrics = on_metrics,
			     .ready = on_readyz,
			     .data = &w};
	struct http *other;

	world_up(&w, 0);
	in.loop = w.loop;
	in.port = http_port(w.http);
	assert_int_equal(http_new(&in, &other, NULL), 0);
	assert_int_equal(http_port(other), 0);
	expect(&w, GET("/metrics"), "HTTP/1.1 200 ", "n 100");
	http_free(other);
	world_down(&w);
}

static void all_addresses_are_those_of_both_families(void **state)
{
	struct world w;
	struct http_in in = {.metrics = on_metrics, .ready = on_readyz, .data = &w};

	world_up(&w, 0);
	http_free(w.http);
	in.loop = w.loop;
	assert_int_equal(http_new(&in, &w.http, NULL), 0);
	expect(&w, GET("/metrics"), "HTTP/1.1 200 ", "n 100");
	world_down(&w);
}

static void on_quit(void *data)
{
	loop_quit(((struct world *)data)->loop);
}

static int n_accepts;

int accept4(int fd, struct sockaddr *from, socklen_t *len, int flags)
{
	n_accepts++;
	return (int)syscall(SYS_accept4, fd, from, len, flags);
}

/* How often it tries to take somebody in meanwhile. */
static int run_for(struct world *w, int64_t ms)
{
	struct loop_timer *end;

	n_accepts = 0;
	assert_int_equal(loop_timer_new(w->loop, on_quit, w, &end, NULL), 0);
	loop_timer_arm(end, ms);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	loop_timer_free(end);
	return n_accepts;
}

/* A spare one for run_for's timer is all that is left. Returns what was before. */
static rlim_t descriptors_run_out(void)
{
	struct rlimit l;
	rlim_t before;
	int fd = dup(0);

	assert_true(fd >= 0 && getrlimit(RLIMIT_NOFILE, &l) == 0);
	before = l.rlim_cur;
	l.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
	close(fd);
	return before;
}

static void descriptors_are_there(rlim_t max)
{
	struct rlimit l;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &l), 0);
	l.rlim_cur = max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
}

/* others: so many are being served when there is no room for one more */
static void without_descriptors(int others)
{
	struct world w;
	rlim_t before;
	int fd, served = -1;

	world_up(&w, 0);
	if (others) {
		served = client(&w, "GET /met");
		run_for(&w, 50);
	}
	fd = client(&w, GET("/metrics"));
	before = descriptors_run_out();
	assert_in_range(run_for(&w, 1500), 0, 4);
	descriptors_are_there(before);
	if (others)
		close(served);
	assert_non_null(strstr(hear(&w, fd), "n 100"));
	expect(&w, GET("/metrics"), "HTTP/1.1 200 ", "n 100");
	world_down(&w);
}

static void without_a_descriptor_it_waits_for_one(void **state)
{
	without_descriptors(0);
}

static void without_a_descriptor_for_one_more_it_waits_for_one(void **state)
{
	without_descriptors(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_page_has_its_answer),
		cmocka_unit_test(who_is_not_ready_says_why),
		cmocka_unit_test(what_is_not_asked_for_rightly_is_refused),
		cmocka_unit_test(a_long_head_is_refused),
		cmocka_unit_test(the_numbers_are_gathered_once_a_second),
		cmocka_unit_test(who_is_slow_is_sent_away),
		cmocka_unit_test(a_crowd_that_says_nothing_does_not_keep_others_out),
		cmocka_unit_test(who_does_not_wait_for_the_answer_does_no_harm),
		cmocka_unit_test(a_port_that_somebody_has_is_no_failure),
		cmocka_unit_test(all_addresses_are_those_of_both_families),
		cmocka_unit_test(without_a_descriptor_it_waits_for_one),
		cmocka_unit_test(without_a_descriptor_for_one_more_it_waits_for_one),
	};

	return cmocka_run_group_tests_name("metrics/http", tests, NULL, NULL);
}
