/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_world.h"

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
#include "testkit/netns_fixture.h"

#define PATIENCE_MS 30000

static void say(struct fake_world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct fake_world *w, const char *fmt, ...)
{
	char *words, *all;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&words, fmt, ap) < 0)
		abort();
	va_end(ap);
	all = mem_printf("%s %s", w->said, words);
	free(words);
	free(w->said);
	w->said = all;
	if (w->wanted && strstr(all, w->wanted))
		loop_quit(w->loop);
}

static void on_begin(void *data)
{
	say(data, "begin");
}

static const char *meta(const struct json *object, const char *key)
{
	const char *s;

	return json_string(json_get(json_get(object, "metadata"), key), &s, NULL) < 0 ? "" : s;
}

static void on_object(void *data, const struct json *object)
{
	const char *namespace = meta(object, "namespace"),
		   *version = meta(object, "resourceVersion");

	say(data, "+%s%s%s%s%s", namespace, *namespace ? "/" : "", meta(object, "name"),
	    *version ? "@" : "", version);
}

static void on_gone(void *data, const char *namespace, const char *name, const char *version)
{
	say(data, "-%s%s%s%s%s", namespace ? namespace : "", namespace ? "/" : "", name,
	    version ? "@" : "", version ? version : "");
}

static void on_unreadable(void *data, const char *namespace, const char *name, const struct err *e)
{
	struct fake_world *w = data;

	w->e = *e;
	say(w, "?%s%s%s", namespace ? namespace : "", namespace ? "/" : "", name);
}

static void on_synced(void *data)
{
	say(data, "synced");
}

static void on_trouble(void *data, const struct err *e)
{
	struct fake_world *w = data;

	if (e) {
		w->e = *e;
		w->retry_after = kube_retry_after(w->kube);
	}
	say(w, e ? "trouble" : "over");
}

const struct kube_watch_ops fake_world_ops = {
	on_begin, on_object, on_gone, on_unreadable, on_synced, on_trouble,
};

static void out_of_patience(void *data)
{
	struct fake_world *w = data;

	fail_msg("waited for \"%s\" in vain; said:%s; last error: %s",
		 w->wanted ? w->wanted : "the end of a call", w->said, w->e.msg);
}

void fake_world_reconfigure(struct fake_world *w, void (*change)(struct kube_conf *c))
{
	__cleanup_kube_conf struct kube_conf conf = {0};

	kube_free(TAKE(w->kube));
	fake_api_conf(w->api, &conf);
	if (change)
		change(&conf);
	expect_ok(kube_new(w->loop, &conf, &w->kube, &w->e), &w->e);
	w->kube->times.first_ms = 10;
	w->kube->times.most_ms = 100;
	w->kube->times.calm_ms = 200;
}

void fake_world_start(struct fake_world *w, const struct fake_faults *f, fake_handler *handler,
		      void *data)
{
	*w = (struct fake_world){.api = fake_api_start(f, handler, data)};
	w->said = mem_strdup("");
	expect_ok(loop_new(&w->loop, &w->e), &w->e);
	expect_ok(loop_timer_new(w->loop, out_of_patience, w, &w->guard, &w->e), &w->e);
	fake_world_reconfigure(w, NULL);
}

void fake_world_stop(struct fake_world *w)
{
	kube_watch_free(w->watch);
	kube_free(w->kube);
	fake_api_stop(w->api);
	loop_timer_free(w->guard);
	loop_free(w->loop);
	free(w->said);
	free(w->body);
	*w = (struct fake_world){0};
}

static void run(struct fake_world *w)
{
	loop_timer_arm(w->guard, PATIENCE_MS);
	expect_ok(loop_run(w->loop, &w->e), &w->e);
	loop_timer_arm(w->guard, -1);
}

void fake_world_until(struct fake_world *w, const char *words)
{
	__cleanup_free char *padded = mem_printf(" %s", words);
	char *at = strstr(w->said, padded), *rest;

	w->wanted = padded;
	if (!at)
		run(w);
	w->wanted = NULL;
	at = strstr(w->said, padded);
	assert_non_null(at);
	rest = mem_strdup(at + strlen(padded));
	free(w->said);
	w->said = rest;
}

static void time_over(void *data)
{
	struct fake_world *w = data;

	loop_quit(w->loop);
}

void fake_world_run_ms(struct fake_world *w, int ms)
{
	struct loop_timer *t;

	expect_ok(loop_timer_new(w->loop, time_over, w, &t, &w->e), &w->e);
	loop_timer_arm(t, ms);
	run(w);
	loop_timer_free(t);
}

void fake_world_done(void *data, int status, const struct json *body, const struct err *e)
{
	struct fake_world *w = data;

	w->done++;
	w->status = status;
	w->retry_after = kube_retry_after(w->kube);
	free(w->body);
	w->body = body ? json_emit(body, 0) : NULL;
	w->e = e ? *e : (struct err){0};
	loop_quit(w->loop);
}

void fake_world_call(struct fake_world *w, const struct kube_request *r)
{
	struct kube_request mine = *r;
	int before = w->done;

	mine.done = fake_world_done;
	mine.data = w;
	kube_call(w->kube, &mine);
	assert_int_equal(w->done, before);
	while (w->done == before)
		run(w);
}

void fake_world_watch(struct fake_world *w, const char *query)
{
	static const struct json_want want[] = {{"metadata", NULL}, {NULL, NULL}};

	w->watch = kube_watch_new(w->kube, "/api/v1/pods", query, &fake_world_ops, w);
	kube_watch_want(w->watch, want); /* as the daemon does */
}

void fake_echo(struct fake_conn *c, const struct fake_request *r, void *data)
{
	__cleanup_free char *text = mem_printf(
		"{\"method\":\"%s\",\"path\":\"%s\",\"token\":\"%s\",\"type\":\"%s\",\"user\":"
		"\"%s\",\"connection\":%u,\"body\":\"%s\"}",
		r->method, r->path, r->token, r->type, r->user, r->connection, r->body);

	fake_json(c, 200, text);
}
