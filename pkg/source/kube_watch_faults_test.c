/* SPDX-License-Identifier: Apache-2.0 */
/* A watch of a server that fails in every way that one can. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "source/kube_priv.h"
#include "source/kube_watch.h"
#include "testkit/fake_world.h"
#include "testkit/netns_fixture.h"

#define N(a)	(sizeof(a) / sizeof((a)[0]))
#define WATCHES "W ?watch=true&allowWatchBookmarks=true&resourceVersion="

static struct fake_world w;
static struct fake_script script;

static int full; /* so many descriptors the loop's epoll does not take */

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *ev)
{
	if (op == EPOLL_CTL_ADD && full > 0) {
		full--;
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_epoll_ctl, epoll, op, fd, ev);
}

static int stop(void **state)
{
	full = 0;
	fake_world_stop(&w);
	return 0;
}

static void play(struct fake_script s)
{
	script = s;
	fake_world_start(&w, NULL, fake_play, &script);
	fake_world_watch(&w, NULL);
}

static void expect_asked(unsigned int n, const char *prefix)
{
	while (script.n_asked <= n)
		fake_world_run_ms(&w, 5);
	if (strncmp(script.asked[n], prefix, strlen(prefix)) != 0)
		fail_msg("request %u: %s", n, script.asked[n]);
}

static void a_list_that_fails_is_tried_again_and_said(void **state)
{
	static const struct {
		struct fake_turn list;
		const char *words;
	} cases[] = {
		{{.text = FAKE_STATUS("500", "etcdserver: leader changed"), .status = 500},
		 "500 Internal Server Error: etcdserver: leader changed"},
		{{.text = "404 page not found\n", .status = 404, .type = "text/plain"},
		 "GET /api/v1/pods: 404 Not Found: 404 page not found"},
		{{.text = FAKE_STATUS("403", "no pods for you"), .status = 403},
		 "403 Forbidden: no pods for you"},
		{{.text = FAKE_STATUS("401", "Unauthorized"), .status = 401}, "401 Unauthorized"},
		{{.text = "<html>", .type = "text/html"}, "answered text/html instead of JSON"},
		{{.text = "", .status = 204}, "found the end"},
		{{.text = FAKE_LIST("5", FAKE_POD("a", "3")), .how = FAKE_TORN}, ""},
		{{.text = "{\"metadata\":{},\"items\":[" FAKE_POD("a", "3"), .how = FAKE_RESET},
		 ""},
		{{.text = "{\"metadata\":{},\"items\":[" FAKE_POD("a", "3")},
		 "list: it breaks off behind items[1]"},
		{{.text = "{\"metadata\":{},\"items\":[]}"}, "without metadata.resourceVersion"},
		{{.text = "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"a\":1}]}"},
		 "an item without a name"},
		{{.text = "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[7]}"},
		 "items[0]: expected an object"},
		{{.text = "{}"}, "without metadata.resourceVersion"},
		{{.text = "[]"}, "expected object"},
		{{.text = ""}, "found the end"},
	};

	for (size_t i = 0; i < N(cases); i++) {
		play((struct fake_script){.lists = {cases[i].list, FAKE_LIST1},
					  .watches = {FAKE_HELD}});
		fake_world_until(&w, "trouble");
		if (!strstr(w.e.msg, cases[i].words))
			fail_msg("%zu: %s", i, w.e.msg);
		fake_world_until(&w, "begin +shop/a@3 synced over");
		fake_world_stop(&w);
	}
}

static void a_watch_that_is_refused_is_tried_again_and_said(void **state)
{
	static const struct {
		struct fake_turn watch;
		const char *words;
	} cases[] = {
		{{.text = FAKE_STATUS("500", "no"), .status = 500},
		 "500 Internal Server Error: no"},
		{{.text = FAKE_STATUS("403", "no"), .status = 403}, "403 Forbidden: no"},
		{{.text = "<html>", .type = "text/html"}, "answered text/html instead of JSON"},
		{{.text = FAKE_EVENT("ERROR", FAKE_STATUS("500", "etcd is gone"))},
		 "/api/v1/pods: in the watch: 500: etcd is gone"},
		{{.text = FAKE_EVENT("ERROR", "{}")}, "an error without a message"},
	};

	for (size_t i = 0; i < N(cases); i++) {
		play((struct fake_script){.lists = {FAKE_LIST1},
					  .watches = {cases[i].watch, FAKE_HELD}});
		fake_world_until(&w, "synced trouble");
		if (!strstr(w.e.msg, cases[i].words))
			fail_msg("%zu: %s", i, w.e.msg);
		fake_world_until(&w, "over");
		expect_asked(2, WATCHES "5&");
		fake_world_stop(&w);
	}
}

/* What is no event may hide one. */
static void a_watch_that_makes_no_sense_is_listed_anew(void **state)
{
	static const char *const lines[] = {
		"garbage\n",
		"{\"object\":{}}\n",
		"{\"type\":7}\n",
		"{\"type\":\"ADDED\"}\n",
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{}}}\n",
		"{\"type\":\"DELETED\",\"object\":[]}\n",
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"\\u0000\"}}}\n",
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"\n",
	};

	for (size_t i = 0; i < N(lines); i++) {
		play((struct fake_script){
			.lists = {FAKE_LIST1},
			.watches = {{.text = lines[i], .how = FAKE_HOLD}, FAKE_HELD}});
		if (i == N(lines) - 1) /* whose it is can be seen */
			fake_world_until(&w, "synced ?a");
		else
			fake_world_until(&w, "synced trouble begin +shop/a@3 synced over");
		fake_world_stop(&w);
	}
}

static void a_kind_of_event_that_is_new_is_left(void **state)
{
	play((struct fake_script){.lists = {FAKE_LIST1},
				  .watches = {{.text = FAKE_EVENT("NOVELTY", "{}") FAKE_BOOKMARK(
						       "6") FAKE_EVENT("ADDED", FAKE_POD("b", "7")),
					       .how = FAKE_HOLD}}});
	fake_world_until(&w, "synced +shop/b@7");
	assert_string_equal(w.said, "");
}

static void a_torn_watch_goes_on_where_it_was_without_a_word(void **state)
{
	static const int hows[] = {FAKE_TORN, FAKE_RESET, 0};

	for (size_t i = 0; i < N(hows); i++) {
		play((struct fake_script){
			.lists = {FAKE_LIST1},
			.watches = {
				{.text = FAKE_EVENT("ADDED", FAKE_POD("b", "7")) "{\"type\":\"AD",
				 .how = hows[i]},
				{.text = FAKE_EVENT("ADDED", FAKE_POD("c", "8")),
				 .how = FAKE_HOLD}}});
		fake_world_until(&w, "synced +shop/b@7 +shop/c@8");
		expect_asked(2, WATCHES "7&");
		fake_world_stop(&w);
	}
}

/* libcurl itself tries once more where a connection that was in use is reset. */
static void a_watch_that_is_reset_before_it_begins_is_trouble(void **state)
{
	play((struct fake_script){.lists = {FAKE_LIST1},
				  .watches = {{.text = "", .how = FAKE_MUTE},
					      {.text = "", .how = FAKE_MUTE},
					      FAKE_HELD}});
	fake_world_until(&w, "synced trouble");
	assert_non_null(strstr(w.e.msg, "GET /api/v1/pods: https://127.0.0.1:"));
	fake_world_until(&w, "over");
}

static void patience_is_given_as_asked_for(void **state)
{
	play((struct fake_script){.lists = {{.text = "Too many requests",
					     .status = 429,
					     .type = "text/plain",
					     .headers = "Retry-After: 1\r\n"},
					    FAKE_LIST1},
				  .watches = {FAKE_HELD}});
	fake_world_until(&w, "trouble begin");
	assert_int_equal(w.retry_after, 1);
	assert_true(script.asked_ms[1] - script.asked_ms[0] >= 1000);
}

static void a_list_that_trickles_to_a_halt_is_given_up(void **state)
{
	script = (struct fake_script){
		.lists = {{.text = FAKE_LIST("5", ""), .how = FAKE_LORIS}, FAKE_LIST1},
		.watches = {FAKE_HELD}};
	fake_world_start(&w, NULL, fake_play, &script);
	w.kube->times.list_ms = 300;
	fake_world_watch(&w, NULL);
	fake_world_until(&w, "trouble");
	assert_non_null(strstr(w.e.msg, "/api/v1/pods: nothing came for"));
	fake_world_until(&w, "begin +shop/a@3 synced");
}

static bool was_asked(const char *prefix)
{
	for (unsigned int i = 0; i < script.n_asked; i++)
		if (strncmp(script.asked[i], prefix, strlen(prefix)) == 0)
			return true;
	return false;
}

/* Half-open: the other side is gone and nobody says so. */
static void a_silent_watch_is_begun_anew_where_it_was(void **state)
{
	script = (struct fake_script){
		.lists = {FAKE_LIST1},
		.watches = {{.text = FAKE_EVENT("ADDED", FAKE_POD("b", "7")), .how = FAKE_HOLD}}};
	fake_world_start(&w, NULL, fake_play, &script);
	w.kube->times.quiet_ms = 300;
	fake_world_watch(&w, NULL);
	fake_world_until(&w, "synced +shop/b@7");
	while (!was_asked(WATCHES "7&"))
		fake_world_run_ms(&w, 5);
	assert_null(strstr(w.said, "trouble"));
}

/* A server that takes the request for a watch and is never heard of again. */
static void a_watch_that_does_not_begin_is_trouble(void **state)
{
	script = (struct fake_script){.lists = {FAKE_LIST1}, .watches = {FAKE_HELD}};
	fake_world_start(&w, &(struct fake_faults){.deaf = true}, fake_play, &script);
	w.kube->times.list_ms = 200;
	fake_world_watch(&w, NULL);
	fake_world_until(&w, "trouble trouble");
	assert_int_equal(w.e.code, -ETIMEDOUT);
}

static void a_watch_that_always_ends_at_once_is_trouble_and_no_storm(void **state)
{
	play((struct fake_script){.lists = {FAKE_LIST1}, .watches = {{.text = ""}}});
	w.kube->times.calm_ms = 20000; /* on a busy machine, too, it never gets calm */
	fake_world_until(&w, "synced trouble");
	assert_non_null(strstr(w.e.msg, "the watch ends as soon as it begins"));
	assert_true(script.n_watches >= 4);
}

/* A list whose version is too old for a watch at once, again and again. */
static void a_server_that_forgets_at_once_is_not_stormed(void **state)
{
	play((struct fake_script){
		.lists = {FAKE_LIST1},
		.watches = {{.text = FAKE_STATUS("410", "too old"), .status = 410}}});
	w.kube->times.calm_ms = 20000;
	fake_world_until(&w, "synced begin +shop/a@3 synced begin +shop/a@3 synced begin");
	/* each waited for, longer each time: 5, 10 and 20 ms at least */
	assert_true(script.asked_ms[6] - script.asked_ms[1] >= 35);
}

static void watches_and_calls_do_not_disturb_each_other(void **state)
{
	struct kube_watch *more[8];

	play((struct fake_script){
		.lists = {FAKE_LIST1, FAKE_LIST1, FAKE_LIST1, FAKE_LIST1, FAKE_LIST1, FAKE_LIST1},
		.watches = {{.text = FAKE_EVENT("ADDED", FAKE_POD("b", "7")), .how = FAKE_HOLD}}});
	for (size_t i = 0; i < N(more); i++)
		more[i] = kube_watch_new(w.kube, "/api/v1/pods", NULL, &fake_world_ops, &w);
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_int_equal(w.status, 200);
	for (size_t i = 0; i < N(more) + 1; i++)
		fake_world_until(&w, "+shop/b@7");
	for (size_t i = 0; i < N(more); i++)
		kube_watch_free(more[i]);
}

static void a_socket_that_the_loop_does_not_take_is_heard_a_moment_later(void **state)
{
	static const int refusals[] = {1, 2, 7};

	for (size_t i = 0; i < N(refusals); i++) {
		play((struct fake_script){.lists = {FAKE_LIST1}, .watches = {FAKE_HELD}});
		full = refusals[i];
		fake_world_until(&w, "begin +shop/a@3 synced");
		/* libcurl's own timers may bring it there before all are used up */
		assert_true(full < refusals[i]);
		full = 0;
		fake_world_call(&w, &(struct kube_request){.path = "/x"});
		assert_int_equal(w.status, 200);
		fake_world_stop(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_list_that_fails_is_tried_again_and_said, stop),
		cmocka_unit_test_teardown(a_watch_that_is_refused_is_tried_again_and_said, stop),
		cmocka_unit_test_teardown(a_watch_that_makes_no_sense_is_listed_anew, stop),
		cmocka_unit_test_teardown(a_kind_of_event_that_is_new_is_left, stop),
		cmocka_unit_test_teardown(a_torn_watch_goes_on_where_it_was_without_a_word, stop),
		cmocka_unit_test_teardown(a_watch_that_is_reset_before_it_begins_is_trouble, stop),
		cmocka_unit_test_teardown(patience_is_given_as_asked_for, stop),
		cmocka_unit_test_teardown(a_list_that_trickles_to_a_halt_is_given_up, stop),
		cmocka_unit_test_teardown(a_silent_watch_is_begun_anew_where_it_was, stop),
		cmocka_unit_test_teardown(a_watch_that_does_not_begin_is_trouble, stop),
		cmocka_unit_test_teardown(a_watch_that_always_ends_at_once_is_trouble_and_no_storm,
					  stop),
		cmocka_unit_test_teardown(a_server_that_forgets_at_once_is_not_stormed, stop),
		cmocka_unit_test_teardown(
			a_socket_that_the_loop_does_not_take_is_heard_a_moment_later, stop),
		cmocka_unit_test_teardown(watches_and_calls_do_not_disturb_each_other, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
