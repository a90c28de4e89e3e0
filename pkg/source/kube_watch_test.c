/* SPDX-License-Identifier: Apache-2.0 */
#include "source/kube_watch.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "json/json.h"
#include "source/kube_priv.h"
#include "source/kube_stream.h"
#include "testkit/fake_world.h"
#include "testkit/netns_fixture.h"

static struct fake_world w;
static struct fake_script script;

static int stop(void **state)
{
	fake_world_stop(&w);
	return 0;
}

static void play(struct fake_script s)
{
	script = s;
	fake_world_start(&w, NULL, fake_play, &script);
	fake_world_watch(&w, "fieldSelector=spec.nodeName%3Dn1");
}

#define Q "?fieldSelector=spec.nodeName%3Dn1&"

/* The nth request; the script's thread has written it before it answered. */
static void expect_asked(unsigned int n, const char *prefix)
{
	if (n >= script.n_asked || strncmp(script.asked[n], prefix, strlen(prefix)) != 0)
		fail_msg("request %u: %s", n, n < script.n_asked ? script.asked[n] : "none");
}

static void a_list_comes_first_and_then_what_happens(void **state)
{
	play((struct fake_script){
		.lists = {{FAKE_LIST("5", FAKE_POD("a", "3") "," FAKE_POD("b", "4"))}},
		.watches = {{FAKE_EVENT("ADDED", FAKE_POD("c", "6"))
				     FAKE_EVENT("MODIFIED", FAKE_POD("a", "7"))
					     FAKE_EVENT("DELETED", FAKE_POD("b", "8")),
			     .how = FAKE_HOLD}}});
	assert_string_equal(w.said, "");
	fake_world_until(&w, "begin +shop/a@3 +shop/b@4 synced +shop/c@6 +shop/a@7 -shop/b@8");
	expect_asked(0, "L " Q "resourceVersion=0&limit=500");
	expect_asked(1, "W " Q "watch=true&allowWatchBookmarks=true&resourceVersion=5&"
			"timeoutSeconds=");
}

static void an_empty_list_is_one(void **state)
{
	play((struct fake_script){
		.lists = {{"{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":null}"}},
		.watches = {FAKE_HELD}});
	fake_world_until(&w, "begin synced");
}

static void pages_make_one_list(void **state)
{
	play((struct fake_script){.lists = {{FAKE_LIST_PAGE("5", "to/k+n=", FAKE_POD("a", "3"))},
					    {FAKE_LIST_PAGE("5", "second", FAKE_POD("b", "3"))},
					    {FAKE_LIST("5", FAKE_POD("c", "4"))}},
				  .watches = {FAKE_HELD}});
	fake_world_until(&w, "begin +shop/a@3 +shop/b@3 +shop/c@4 synced");
	expect_asked(1, "L " Q "continue=to%2Fk%2Bn%3D&limit=500");
	expect_asked(2, "L " Q "continue=second&limit=500");
}

static void pages_that_have_expired_are_taken_at_one_go(void **state)
{
	play((struct fake_script){
		.lists = {{FAKE_LIST_PAGE("5", "token", FAKE_POD("a", "3"))},
			  {FAKE_STATUS("410", "The provided continue parameter is too old"), 410},
			  {FAKE_LIST("9", FAKE_POD("b", "3"))}},
		.watches = {FAKE_HELD}});
	fake_world_until(&w, "begin +shop/a@3 begin +shop/b@3 synced");
	expect_asked(2, "L " Q);
	assert_null(strstr(script.asked[2], "limit"));
	assert_null(strstr(script.asked[2], "resourceVersion"));
}

static void expect_path(unsigned int n, const char *path)
{
	if (n >= script.n_asked || strcmp(script.asked_path[n], path) != 0)
		fail_msg("request %u: %s", n, n < script.n_asked ? script.asked_path[n] : "none");
}

/* An API that has an older version only, and one that has it no more after an upgrade. */
static void what_is_not_served_is_asked_for_by_the_other_version(void **state)
{
	static const char none[] = FAKE_STATUS("404", "the server could not find the resource");

	play((struct fake_script){
		.lists = {{none, 404}, FAKE_LIST1, {none, 404}, {none, 404}, FAKE_LIST1},
		.watches = {{FAKE_EVENT("ADDED", FAKE_POD("b", "6"))}, {none, 404}, FAKE_HELD}});
	kube_watch_or(w.watch, "/old/pods");
	fake_world_until(&w, "begin +shop/a@3 synced +shop/b@6");
	expect_path(0, "/api/v1/pods");
	expect_path(1, "/old/pods");
	expect_path(2, "/old/pods");
	fake_world_until(&w, "begin +shop/a@3 synced");
	while (script.n_asked < 8)
		fake_world_run_ms(&w, 5);
	expect_path(3, "/old/pods"); /* the watch that is not served any more */
	expect_path(4, "/old/pods");
	expect_path(5, "/api/v1/pods");
	expect_path(6, "/old/pods"); /* after a while, neither being there */
	expect_path(7, "/old/pods");
}

static void a_watch_that_ends_goes_on_where_it_was(void **state)
{
	play((struct fake_script){
		.lists = {FAKE_LIST1},
		.watches = {{FAKE_EVENT("ADDED", FAKE_POD("b", "6"))},
			    {FAKE_BOOKMARK("9")},
			    {FAKE_EVENT("ADDED", FAKE_POD("c", "10")), .how = FAKE_HOLD}}});
	fake_world_until(&w, "synced +shop/b@6 +shop/c@10");
	expect_asked(2, "W " Q "watch=true&allowWatchBookmarks=true&resourceVersion=6&");
	expect_asked(3, "W " Q "watch=true&allowWatchBookmarks=true&resourceVersion=9&");
}

static void what_is_old_does_not_turn_the_watch_back(void **state)
{
	play((struct fake_script){
		.lists = {FAKE_LIST1},
		.watches = {{FAKE_EVENT("MODIFIED", FAKE_POD("a", "8"))
				     FAKE_EVENT("MODIFIED", FAKE_POD("a", "8")) FAKE_EVENT(
					     "MODIFIED", FAKE_POD("a", "7")) FAKE_BOOKMARK("6")},
			    FAKE_HELD}});
	fake_world_until(&w, "+shop/a@8 +shop/a@8 +shop/a@7");
	while (script.n_asked < 3)
		fake_world_run_ms(&w, 5);
	expect_asked(2, "W " Q "watch=true&allowWatchBookmarks=true&resourceVersion=8&");
}

static void history_that_is_gone_is_listed_anew(void **state)
{
	static const struct fake_turn gone[] = {
		{.text = FAKE_STATUS("410", "too old resource version: 5 (7)"), .status = 410},
		{.text = FAKE_EVENT("ERROR",
				    FAKE_STATUS("410", "too old resource version: 5 (7)"))},
		{.text = FAKE_EVENT("ERROR", FAKE_STATUS("410", "The resourceVersion is too old")),
		 .how = FAKE_HOLD},
	};

	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		play((struct fake_script){
			.lists = {FAKE_LIST1, {FAKE_LIST("9", FAKE_POD("b", "8"))}},
			.watches = {gone[i], FAKE_HELD}});
		fake_world_until(&w, "begin +shop/a@3 synced begin +shop/b@8 synced");
		expect_asked(2, "L " Q "resourceVersion=5&resourceVersionMatch=NotOlderThan");
		assert_null(strstr(script.asked[2], "limit"));
		assert_null(strstr(w.said, "trouble"));
		fake_world_stop(&w);
	}
}

/* A restored backup: the version that we know has not been yet. */
static void a_version_of_an_undone_future_is_forgotten(void **state)
{
	play((struct fake_script){
		.lists = {FAKE_LIST1,
			  {FAKE_STATUS("504", "Timeout: Too large resource version: 5, current: 2"),
			   504},
			  {FAKE_LIST("2", FAKE_POD("b", "1"))}},
		.watches = {
			{FAKE_EVENT("ERROR",
				    FAKE_STATUS("504", "Timeout: Too large resource version: 5"))},
			FAKE_HELD}});
	fake_world_until(&w, "begin +shop/b@1 synced");
	expect_asked(2, "L " Q "resourceVersion=5&");
	expect_asked(3, "L " Q "limit=500");
	while (script.n_asked < 5)
		fake_world_run_ms(&w, 5);
	expect_asked(4, "W " Q "watch=true&allowWatchBookmarks=true&resourceVersion=2&");
}

static void bytes_may_come_one_by_one(void **state)
{
	play((struct fake_script){
		.lists = {{FAKE_LIST("5", FAKE_POD("a", "3") "," FAKE_POD("b", "4")),
			   .how = FAKE_DRIP}},
		.watches = {{FAKE_EVENT("ADDED", FAKE_POD("c", "6"))
				     FAKE_EVENT("DELETED", FAKE_POD("b", "8")),
			     .how = FAKE_DRIP | FAKE_HOLD}}});
	fake_world_until(&w, "begin +shop/a@3 +shop/b@4 synced +shop/c@6 -shop/b@8");
}

/* A pod with an annotation of n bytes. */
static char *fat_pod(const char *name, size_t n)
{
	return mem_printf("{\"metadata\":{\"annotations\":{\"a\":\"%*s\"},\"name\":\"%s\","
			  "\"namespace\":\"shop\",\"resourceVersion\":\"3\"}}",
			  (int)n, "", name);
}

/* The name before what is large: cut, it must still be known whose it is. */
static char *huge_pod(const char *name)
{
	return mem_printf(
		"{\"metadata\":{\"name\":\"%s\",\"namespace\":\"shop\",\"resourceVersion\":\"8\"},"
		"\"spec\":\"%*s\"}",
		name, KUBE_PIECE_MAX, "");
}

static void large_objects_are_taken_and_larger_ones_named(void **state)
{
	__cleanup_free char *fat = fat_pod("fat", 1000000), *huge = huge_pod("huge");
	__cleanup_free char *list = mem_printf(
		"{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[%s,%s,%s]}", fat, huge,
		FAKE_POD("a", "3"));
	__cleanup_free char *watch = mem_printf(
		"{\"type\":\"MODIFIED\",\"object\":%s}\n"
		"{\"type\":\"MODIFIED\",\"object\":%s}\n"
		"{\"type\":\"DELETED\",\"object\":%s}\n" FAKE_EVENT("ADDED", FAKE_POD("b", "9")),
		fat, huge, huge);

	play((struct fake_script){.lists = {{list}}, .watches = {{watch, .how = FAKE_HOLD}}});
	fake_world_until(&w, "begin +shop/fat@3 ?shop/huge +shop/a@3 synced +shop/fat@3 ?shop/huge "
			     "-shop/huge@8 +shop/b@9");
	assert_non_null(strstr(w.e.msg, "/api/v1/pods: shop/huge: larger than 4194304 bytes"));
}

/* What a tenant writes into his object must not take it out of sight. */
static void what_cannot_be_read_is_not_gone(void **state)
{
	static const char bad[] = "{\"metadata\":{\"annotations\":{\"a\":\"\\u0000\"},\"name\":"
				  "\"bad\",\"namespace\":\"shop\",\"resourceVersion\":\"7\"}}";
	__cleanup_free char *list = mem_printf(FAKE_LIST("5", "%s,%s"), bad, FAKE_POD("a", "3"));
	__cleanup_free char *watch = mem_printf(
		"{\"type\":\"MODIFIED\",\"object\":%s}\n" FAKE_EVENT("ADDED", FAKE_POD("b", "6")),
		bad);

	play((struct fake_script){.lists = {{list}}, .watches = {{watch}, FAKE_HELD}});
	fake_world_until(&w, "begin ?shop/bad +shop/a@3 synced ?shop/bad +shop/b@6");
	assert_non_null(strstr(w.e.msg, "/api/v1/pods: shop/bad: line 1"));
	while (script.n_asked < 3)
		fake_world_run_ms(&w, 5);
	expect_asked(2, "W " Q "watch=true&allowWatchBookmarks=true&resourceVersion=7&");
}

static void a_burst_comes_in_order(void **state)
{
	__cleanup_free char *events = mem_strdup("");
	char wanted[32];

	for (int i = 0; i < 1000; i++) {
		char *more = mem_printf("%s{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":"
					"\"p%d\",\"resourceVersion\":\"%d\"}}}\n",
					events, i, 10 + i);

		free(events);
		events = more;
	}
	play((struct fake_script){.lists = {FAKE_LIST1}, .watches = {{events, .how = FAKE_HOLD}}});
	for (int i = 0; i < 1000; i++) {
		snprintf(wanted, sizeof(wanted), "+p%d@%d", i, 10 + i);
		fake_world_until(&w, wanted);
	}
	assert_string_equal(w.said, "");
}

/* ---- freed by its own callbacks ---- */

static const char *last_word;

static void free_at(const char *word)
{
	if (strcmp(word, last_word) == 0) {
		kube_watch_free(TAKE(w.watch));
		loop_quit(w.loop);
	}
}

static void free_at_begin(void *data)
{
	free_at("begin");
}
static void free_at_object(void *data, const struct json *object)
{
	free_at("object");
}
static void free_at_gone(void *data, const char *namespace, const char *name, const char *version)
{
	free_at("gone");
}
static void free_at_unreadable(void *data, const char *namespace, const char *name,
			       const struct err *e)
{
	free_at("unreadable");
}
static void free_at_synced(void *data)
{
	free_at("synced");
}
static void free_at_trouble(void *data, const struct err *e)
{
	free_at(e ? "trouble" : "over");
}

static void a_watch_may_be_freed_by_any_of_its_callbacks(void **state)
{
	static const struct kube_watch_ops ops = {
		free_at_begin,	    free_at_object, free_at_gone,
		free_at_unreadable, free_at_synced, free_at_trouble,
	};
	static const char *const words[] = {"begin",  "object",	 "gone", "unreadable",
					    "synced", "trouble", "over"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		last_word = words[i];
		script = (struct fake_script){
			.lists = {{FAKE_STATUS("500", "no"), 500}, FAKE_LIST1},
			.watches = {{FAKE_EVENT("DELETED", FAKE_POD("a", "9")) FAKE_EVENT(
					     "ADDED", "{\"metadata\":{\"name\":\"\\u0000\"}}")
					     FAKE_EVENT("ADDED", "{\"metadata\":{\"name\":\"b\","
								 "\"a\":\"\\u0000\"}}"),
				     .how = FAKE_HOLD}}};
		if (i == 3)
			script.watches[0].text = FAKE_EVENT(
				"ADDED", "{\"metadata\":{\"name\":\"b\",\"a\":\"\\u0000\"}}");
		fake_world_start(&w, NULL, fake_play, &script);
		w.watch = kube_watch_new(w.kube, "/api/v1/pods", NULL, &ops, NULL);
		while (w.watch)
			fake_world_run_ms(&w, 50);
		fake_world_run_ms(&w, 5);
		fake_world_stop(&w);
	}
}

static void a_watch_that_is_freed_at_once_asks_nothing(void **state)
{
	play((struct fake_script){.lists = {FAKE_LIST1}, .watches = {FAKE_HELD}});
	kube_watch_free(TAKE(w.watch));
	fake_world_run_ms(&w, 20);
	assert_string_equal(w.said, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_list_comes_first_and_then_what_happens, stop),
		cmocka_unit_test_teardown(an_empty_list_is_one, stop),
		cmocka_unit_test_teardown(pages_make_one_list, stop),
		cmocka_unit_test_teardown(pages_that_have_expired_are_taken_at_one_go, stop),
		cmocka_unit_test_teardown(what_is_not_served_is_asked_for_by_the_other_version,
					  stop),
		cmocka_unit_test_teardown(a_watch_that_ends_goes_on_where_it_was, stop),
		cmocka_unit_test_teardown(what_is_old_does_not_turn_the_watch_back, stop),
		cmocka_unit_test_teardown(history_that_is_gone_is_listed_anew, stop),
		cmocka_unit_test_teardown(a_version_of_an_undone_future_is_forgotten, stop),
		cmocka_unit_test_teardown(bytes_may_come_one_by_one, stop),
		cmocka_unit_test_teardown(large_objects_are_taken_and_larger_ones_named, stop),
		cmocka_unit_test_teardown(what_cannot_be_read_is_not_gone, stop),
		cmocka_unit_test_teardown(a_burst_comes_in_order, stop),
		cmocka_unit_test_teardown(a_watch_may_be_freed_by_any_of_its_callbacks, stop),
		cmocka_unit_test_teardown(a_watch_that_is_freed_at_once_asks_nothing, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
